"""A folder of weights that is named and not there is told by every process that reads weights."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from app.infra.settings import Settings
from app.main import open_services
from worker.predictor.process import Predictor
from worker.trainer.context import open_context


def trainer(settings: Settings) -> None:
    open_context(settings).close()


def predictor(settings: Settings) -> None:
    async def begin() -> None:
        Predictor(settings)

    asyncio.run(begin())


def app(settings: Settings) -> None:
    open_services(settings).engine.dispose()


@pytest.mark.parametrize("process", [trainer, predictor, app])
@pytest.mark.parametrize("there", [True, False])
def test_each_process_says_that_the_folder_is_not_there(
    tmp_path: Path, process: Callable[[Settings], None], there: bool
) -> None:
    folder = tmp_path / "weights"
    if there:
        folder.mkdir()
    with capture_logs() as told:
        process(Settings(data_dir=tmp_path / "data", weights_dir=folder))
    named = [one for one in told if "HEADSTART_WEIGHTS_DIR" in str(one["event"])]
    assert len(named) == (not there)
    assert there or f"{folder}, which is not there (yet)" in named[0]["event"]
