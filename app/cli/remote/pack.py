"""A folder on its way up: one zip, nothing of it in memory."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import BinaryIO, Literal

from app.core.errors import HeadstartError

_LEFT_OUT = frozenset({"__MACOSX", "Thumbs.db", "desktop.ini"})


def kind_of(name: str) -> Literal["file", "folder"] | None:
    """What is called so here; None also of words that no file can be called, as long ones are."""
    with suppress(OSError, ValueError):
        found = Path(name).stat().st_mode
        return "folder" if S_ISDIR(found) else "file" if S_ISREG(found) else None
    return None


def check_there(name: str) -> None:
    """Raises not_found, so that nobody is asked, nor a service started, for what is not there."""
    if kind_of(name) is None:
        raise HeadstartError("not_found", f"there is no file or folder {name}")


@contextmanager
def packed(path: Path) -> Iterator[tuple[str, BinaryIO]]:
    """What to upload for `path`, by name: the file itself, or a zip of the folder.

    Raises not_found, empty_dataset.
    """
    if path.is_file():
        with path.open("rb") as file:
            yield path.name, file
        return
    check_there(str(path))
    with tempfile.TemporaryFile() as file:
        _zip(path, file)
        file.seek(0)
        yield f"{path.resolve().name}.zip", file


def _zip(folder: Path, file: BinaryIO) -> None:
    found = sorted(_files(folder, folder, ()))
    if not found:
        raise HeadstartError("empty_dataset", f"there is no file in {folder}")
    with zipfile.ZipFile(file, "w", strict_timestamps=False) as archive:
        for one in found:
            archive.write(one, one.relative_to(folder).as_posix())


def _files(folder: Path, top: Path, above: tuple[Path, ...]) -> Iterator[Path]:
    """The files below `folder`, those behind links too, but for hidden ones.

    Raises not_found for a link to nothing, invalid_value for one to a folder that it lies in, and
    for a folder that cannot be read: none of them is left out in silence.
    """
    here = folder.resolve()
    if here in above:
        raise HeadstartError("invalid_value", f"{folder} is a link to a folder that it lies in")
    try:
        listed = list(folder.iterdir())
    except OSError as error:
        why = f"{folder} cannot be read: {error.strerror}"
        raise HeadstartError("invalid_value", why) from error
    for one in listed:
        if _hidden(one, top):
            continue
        if one.is_dir():
            yield from _files(one, top, (*above, here))
        elif one.is_file():
            yield one
        elif one.is_symlink():
            raise HeadstartError("not_found", f"{one} is a link to what is not there")


def _hidden(path: Path, folder: Path) -> bool:
    parts = path.relative_to(folder).parts
    return any(part.startswith(".") or part in _LEFT_OUT for part in parts)


class Counted:
    """A file that tells how much of it has been read."""

    def __init__(self, file: BinaryIO, told: Callable[[int], None]) -> None:
        self._file, self._told = file, told

    def read(self, size: int = -1) -> bytes:
        """The next bytes."""
        data = self._file.read(size)
        self._told(len(data))
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go there."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Where it is."""
        return self._file.tell()

    def fileno(self) -> int:
        """The descriptor, by which a client learns the length."""
        return self._file.fileno()
