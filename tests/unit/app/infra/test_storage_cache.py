"""The local copies of what lies in an S3-compatible store stay within their limit."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from app.infra.storage import trim


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    for age, name in enumerate(("new", "middle", "old")):
        file = tmp_path / "packs" / name
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b"x" * 100)
        os.utime(file, (1e9 - age, 1e9 - age))
    return tmp_path


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("limit", "left"),
    [
        (300, {"new", "middle", "old"}),
        (299, {"new", "middle"}),
        (150, {"new"}),
        (0, set()),
    ],
)
def test_what_was_used_longest_ago_goes_first(cache: Path, limit: int, left: set[str]) -> None:
    assert trim(cache, limit) == 3 - len(left)
    assert names(cache) == left


def test_a_download_under_way_is_left_alone(cache: Path) -> None:
    part = cache / ".scratch-1" / "part"
    part.parent.mkdir()
    part.write_bytes(b"x")
    trim(cache, 0)
    assert names(cache) == {"part"}


def test_a_folder_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert trim(tmp_path / "none", 0) == 0
