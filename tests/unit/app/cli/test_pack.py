"""What goes up for a folder: all of it, whatever is a link."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pytest

from app.cli.remote.pack import packed
from app.core.errors import HeadstartError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "set"
    (made / "hat").mkdir(parents=True)
    (made / "hat" / "1.png").write_bytes(b"1")
    return made


def names(folder: Path) -> list[str]:
    with packed(folder) as (_, file):
        return zipfile.ZipFile(file).namelist()


def test_linked_folders_and_files_are_followed(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "disk" / "deep").mkdir(parents=True)
    (tmp_path / "disk" / "2.png").write_bytes(b"2")
    (tmp_path / "disk" / "deep" / "3.png").write_bytes(b"3")
    (folder / "shirt").symlink_to(tmp_path / "disk")
    (folder / "coat").symlink_to(tmp_path / "disk")
    (folder / "hat" / "4.png").symlink_to(tmp_path / "disk" / "2.png")
    linked = [f"{name}/{file}" for name in ("coat", "shirt") for file in ("2.png", "deep/3.png")]
    assert sorted(names(folder)) == sorted(["hat/1.png", "hat/4.png", *linked])


def test_a_link_to_the_folder_that_it_lies_in_is_refused(folder: Path) -> None:
    (folder / "hat" / "again").symlink_to(folder)
    with pytest.raises(HeadstartError, match="hat/again is a link to a folder that it lies in"):
        names(folder)


def test_a_link_to_nothing_is_refused(folder: Path) -> None:
    (folder / "shirt").symlink_to(folder.parent / "nowhere")
    with pytest.raises(HeadstartError, match="shirt is a link to what is not there") as caught:
        names(folder)
    assert caught.value.code == "not_found"


def test_a_hidden_link_is_left_out(folder: Path) -> None:
    (folder / ".cache").symlink_to(folder.parent / "nowhere")
    assert names(folder) == ["hat/1.png"]


def test_a_folder_that_cannot_be_read_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "shirt").mkdir()
    listing = Path.iterdir

    def denied(self: Path) -> object:
        if self.name == "shirt":
            raise PermissionError(13, os.strerror(13))
        return listing(self)

    monkeypatch.setattr(Path, "iterdir", denied)
    with pytest.raises(HeadstartError, match="shirt cannot be read"):
        names(folder)
