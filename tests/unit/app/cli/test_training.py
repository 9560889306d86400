"""Who stops waiting for a job."""

from __future__ import annotations

import httpx
import pytest

from app.cli.remote.training import bars, watch


def test_who_stops_waiting_is_told_that_the_job_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(request: httpx.Request) -> httpx.Response:
        raise KeyboardInterrupt

    with (
        httpx.Client(base_url="http://s", transport=httpx.MockTransport(interrupted)) as client,
        bars() as progress,
        pytest.raises(KeyboardInterrupt),
    ):
        watch(client, "ftjob-1", progress)
    assert "headstart jobs watch ftjob-1" in capsys.readouterr().err
