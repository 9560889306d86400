"""One service a data folder, for as long as a process of it lives."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from app.cli import folder
from app.cli.folder import only_one
from app.cli.supervisor import Supervisor
from app.core.errors import HeadstartError
from app.infra.settings import Settings


def test_a_second_service_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder, "_DYING_SECONDS", {True: 0.1, False: 0.1})
    with only_one(tmp_path):
        with pytest.raises(HeadstartError, match="another Headstart service"), only_one(tmp_path):
            pass
    with only_one(tmp_path):
        pass


def test_a_killed_services_last_process_is_waited_for(tmp_path: Path) -> None:
    with only_one(tmp_path) as lock:
        command = [sys.executable, "-c", "import time; time.sleep(0.5)"]
        child = subprocess.Popen(command, pass_fds=[lock])
    (tmp_path / ".lock").write_text("4194305")  # no process has that number
    began = time.monotonic()
    with only_one(tmp_path):
        assert child.poll() is not None or time.monotonic() - began > 0.2
    child.wait()


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000"),
        ("0.0.0.0", "http://127.0.0.1:8000"),
        ("::", "http://[::1]:8000"),
        ("::1", "http://[::1]:8000"),
        ("localhost", "http://localhost:8000"),
    ],
)
def test_where_it_answers_is_an_address_that_can_be_opened(host: str, url: str) -> None:
    assert Supervisor(Settings(), host=host, port=8000).url == url
