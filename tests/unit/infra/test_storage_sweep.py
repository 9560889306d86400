"""What killed processes left half-written goes; what somebody still writes stays."""

from __future__ import annotations

import os
import time
from pathlib import Path

from app.infra.storage import sweep


def test_what_killed_processes_left_is_swept(tmp_path: Path) -> None:
    for name, age in (("old", 9000), ("new", 10), ("filling", 9000)):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "upload").write_bytes(b"x")
        then = time.time() - age
        os.utime(folder / "upload", (then, then) if name != "filling" else None)
        os.utime(folder, (then, then))
    (tmp_path / "pack-1").write_bytes(b"x")
    os.utime(tmp_path / "pack-1", (1, 1))
    assert sweep(tmp_path, older_than=3600) == 2
    assert {path.name for path in tmp_path.iterdir()} == {"new", "filling"}
    assert sweep(tmp_path / "absent", older_than=0) == 0
