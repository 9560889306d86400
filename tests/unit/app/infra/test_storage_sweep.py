"""What killed processes left half-written goes; what somebody still writes stays."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from app.infra.storage import OLD_SECONDS, scratch, sweep

KILLED = """
import os, signal, sys
from pathlib import Path
from app.infra.storage import scratch
with scratch(Path(sys.argv[1])) as folder:
    (folder / "upload").write_bytes(b"x")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_killed_processes_left_is_swept(tmp_path: Path) -> None:
    long_ago = OLD_SECONDS + 60
    for name, age in (("old", long_ago), ("new", 10), ("filling", long_ago)):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "upload").write_bytes(b"x")
        then = time.time() - age
        os.utime(folder / "upload", (then, then) if name != "filling" else None)
        os.utime(folder, (then, then))
    (tmp_path / "pack-1").write_bytes(b"x")
    os.utime(tmp_path / "pack-1", (1, 1))
    assert sweep(tmp_path) == 2
    assert {path.name for path in tmp_path.iterdir()} == {"new", "filling"}
    assert sweep(tmp_path / "absent") == 0


def test_what_a_killed_process_left_goes_at_the_next_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
    assert len(list(tmp_path.glob("*/upload"))) == 1
    with scratch(tmp_path) as mine:
        assert sweep(tmp_path) == 0, "whoever has just made one may not have locked it yet"
        monkeypatch.setattr("app.infra.storage.files._LOCKED_BY_NOW", 0.0)
        assert sweep(tmp_path) == 1
        assert list(tmp_path.iterdir()) == [mine]
    assert list(tmp_path.iterdir()) == []
