"""What killed processes left half-written goes; what somebody still writes stays."""

from __future__ import annotations

import os
import time
from pathlib import Path

from app.infra.storage import OLD_SECONDS, sweep


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
