"""The data folder is its owner's, and no key leads out of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.infra.settings import make_folder
from app.infra.storage import LocalStorage


def mode(folder: Path) -> int:
    return folder.stat().st_mode & 0o777


def test_a_new_data_folder_is_for_its_owner_alone(tmp_path: Path) -> None:
    make_folder(tmp_path / "deep" / "data")
    assert mode(tmp_path / "deep" / "data") == 0o700


@pytest.mark.parametrize(("before", "after"), [(0o755, 0o750), (0o770, 0o770), (0o777, 0o770)])
def test_of_one_that_is_there_others_are_let_out(tmp_path: Path, before: int, after: int) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    folder.chmod(before)
    make_folder(folder)
    make_folder(folder)
    assert mode(folder) == after


@pytest.mark.parametrize("key", ["../secret", "models/../../secret", "/etc/hostname"])
def test_no_key_leads_out_of_the_storage(tmp_path: Path, key: str) -> None:
    (tmp_path / "secret").write_bytes(b"x")
    storage = LocalStorage(tmp_path / "storage")
    for verb in (
        storage.fetch,
        storage.delete,
        lambda name: storage.put(name, tmp_path / "secret"),
    ):
        with pytest.raises(ValueError, match="leaves the storage"):
            verb(key)
    assert (tmp_path / "secret").read_bytes() == b"x"
