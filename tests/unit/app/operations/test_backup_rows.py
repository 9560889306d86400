"""The rows that a backup takes."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from app.core.errors import HeadstartError
from app.infra.database import open_engine
from app.operations.backups import rows
from tests.factories import migrated


def test_none_are_taken_of_a_damaged_database(tmp_path: Path) -> None:
    whole = migrated(tmp_path).read_bytes()
    for seed in range(4):
        damaged, random = bytearray(whole), Random(seed)
        for _ in range(600):
            damaged[random.randrange(len(damaged))] ^= 0xFF
        path = tmp_path / f"{seed}.db"
        path.write_bytes(damaged)
        engine = open_engine(f"sqlite:///{path}")
        with pytest.raises(HeadstartError, match="damaged"):
            rows.save(engine, tmp_path / f"{seed}.copy")
        engine.dispose()
