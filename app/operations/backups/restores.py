"""Restoring a backup into an empty place, or leaving that as it was."""

from __future__ import annotations

from collections.abc import Iterator, Set
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from sqlalchemy import Engine

from app.core import secret_keys
from app.core.errors import HeadstartError
from app.infra.repositories import references, sealing
from app.infra.settings import Settings, make_folder
from app.infra.storage import Storage
from app.infra.vault import keys, open_vault
from app.operations.backups import DATABASE, KEYS, rows, shelves
from app.operations.backups.lists import BackupList, key_of
from app.operations.backups.service import Backup, opened, sealed_in


def restore(settings: Settings, source: Path) -> Backup:
    """Put a backup where there is nothing yet; nothing runs there.

    All of it is looked at before any is placed. Then come its files, its keys and, last, its rows;
    where one of these fails, those before it are taken back. What was killed has no rows and may be
    begun again. Raises in_use over anything else, not_found, invalid_value for what is no backup or
    damaged, storage_full, storage_unavailable, database_unavailable.
    """
    listed = shelves.listed_in(source)
    make_folder(settings.data_dir)
    open_vault(settings)  # what cannot be read is refused before anything is placed
    with opened(settings) as (engine, storage, folder):
        before = _there(engine, storage, {key_of(name) for name in _stored(listed)})
        told = _checked(source, listed, folder)
        sealed = sealed_in(folder / DATABASE)
        placing = _Placing(settings.data_dir, storage, before)
        copy = rows.open_file(folder / DATABASE)
        try:
            with _as_a_whole(engine, placing):
                _place(source, listed, placing, folder)
                last = partial(placing.put_keys, told)
                rows.load(copy, folder / DATABASE, engine, last=last)
        finally:
            copy.dispose()
    size = sum(one.bytes for one in listed.files.values())
    return Backup(files=len(listed.files), bytes=size, missing=listed.missing, sealed=sealed,
                  has_keys=KEYS in listed.files, made=listed.made,
                  lacking=sealing.lacking(sealed, open_vault(settings)))  # fmt: skip


def _stored(listed: BackupList) -> Set[str]:
    """The names of the files that go to the storage."""
    return set(listed.files) - {DATABASE, KEYS}


def _there(engine: Engine, storage: Storage, coming: Set[str]) -> Set[str]:
    """What of the coming keys a killed restore has left. Raises in_use where there is more."""
    there = {key for top in references.FOLDERS for key in storage.keys(top)}
    if there - coming or not rows.is_empty(engine):
        raise HeadstartError(
            "in_use",
            "there is something already; a backup is restored into an empty database and an empty"
            " storage only: name another --data-dir, or other HEADSTART_DATABASE_URL and"
            " HEADSTART_STORAGE_URL",
        )
    return there


def _checked(source: Path, listed: BackupList, folder: Path) -> list[bytes]:
    """Look at every file, and put the rows into `folder`; the backup's keys. Raises invalid_value,
    storage_full.
    """
    found = set()
    for name, file in shelves.contents(source):
        if name not in listed.files:
            raise HeadstartError("invalid_value", f"the backup does not list {name[:200]!r}")
        stays = folder / name if name in (DATABASE, KEYS) else None
        shelves.take(name, file, listed.files[name], stays)
        found.add(name)
    if lost := sorted(set(listed.files) - found):
        raise HeadstartError("invalid_value", f"the backup is damaged: no {lost[0]} in it")
    rows.check(folder / DATABASE)
    return _keys_in(folder / KEYS) if KEYS in listed.files else []


def _keys_in(file: Path) -> list[bytes]:
    try:
        return secret_keys.several(file.read_text("utf-8"))
    except ValueError:
        why = f"the backup is damaged: {KEYS} is not a list of keys"
        raise HeadstartError("invalid_value", why) from None


@dataclass
class _Placing:
    """What a restore has put in place so far, beside what was there `before`."""

    data_dir: Path
    storage: Storage
    before: Set[str]
    keys: list[str] = field(default_factory=list)
    secrets: str = ""

    def put(self, key: str, file: Path) -> None:
        """Store a file. Raises storage_full, storage_unavailable."""
        if key not in self.before:
            self.keys.append(key)
        self.storage.put(key, file)

    def put_keys(self, told: list[bytes]) -> None:
        """Put keys that seal into the data folder. Raises storage_full."""
        if told:
            self.secrets = keys.put_first(self.data_dir, told)

    def take_back(self) -> int:
        """Take it all away again; how many files could not be."""
        keys.take_out(self.data_dir, self.secrets)
        while self.keys:
            try:
                self.storage.delete(self.keys[-1])
            except (HeadstartError, OSError):
                break
            self.keys.pop()
        return len(self.keys)


def _place(source: Path, listed: BackupList, placing: _Placing, folder: Path) -> None:
    """Store the files, each of which is looked at again: whatever lies there may have changed."""
    placed = set()
    for name, file in shelves.contents(source):
        if name in (DATABASE, KEYS):
            continue
        if name not in listed.files:
            raise HeadstartError("invalid_value", f"the backup does not list {name[:200]!r}")
        shelves.take(name, file, listed.files[name], folder / "file")
        placing.put(key_of(name), folder / "file")
        placed.add(name)
    if lost := sorted(_stored(listed) - placed):
        raise HeadstartError("invalid_value", f"the backup is damaged: no {lost[0]} in it")


@contextmanager
def _as_a_whole(engine: Engine, placing: _Placing) -> Iterator[None]:
    """Take back what was placed where the rest fails, unless its rows may be there: a database that
    went while it was told to commit may have done so.
    """
    try:
        yield
    except BaseException as error:
        left = placing.take_back() if _has_no_rows(engine) else len(placing.keys)
        if left and isinstance(error, HeadstartError):
            what = f"{left} files of the backup are left in the storage, which it may be restored"
            why = f"{error.message}; {what} over, or which is to be emptied"
            raise HeadstartError(error.code, why, retry_after=error.retry_after) from error
        raise


def _has_no_rows(engine: Engine) -> bool:
    """Whether the database says so."""
    try:
        return rows.is_empty(engine)
    except HeadstartError:
        return False
