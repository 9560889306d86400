"""Backing a service up while it runs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Set
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Engine

from app.infra.database import make_sessions, open_engine, reading
from app.infra.migrate import head
from app.infra.repositories import references, sealing
from app.infra.repositories.references import Named
from app.infra.settings import Settings
from app.infra.storage import DamagedError, Storage, open_storage, scratch, staging
from app.infra.vault import keys, open_vault
from app.operations.backups import DATABASE, FILES, KEYS, rows, shelves

_ROUNDS = 20
"""How often rows are read anew because a file that they name went meanwhile."""


@dataclass(frozen=True)
class Backup:
    """What was backed up; `missing` are files that rows name and that are not in storage.

    `sealed` are secrets by the names of the keys that open them, `lacking` are those of them that
    this machine cannot open; `has_keys` says whether the keys that it has are in the backup.
    """

    files: int
    bytes: int
    missing: list[str]
    sealed: Mapping[str, int]
    has_keys: bool
    lacking: Mapping[str, int]
    made: str
    """When, in UTC (ISO 8601)."""


def back_up(settings: Settings, target: Path, *, with_keys: bool = False) -> Backup:
    """Write a backup of the service, which may run, to a folder or a tar file that is not there.

    Keys are read after the rows: one is in its file before it seals, so that a rotation meanwhile
    leaves no row whose key is not there. Raises in_use, not_ready, invalid_value, storage_full,
    storage_unavailable, database_unavailable.
    """
    shelves.require_free(target)
    open_vault(settings)  # what cannot be read is refused before anything is copied
    with opened(settings) as (engine, storage, folder):
        missing = _collect(engine, storage, folder)
        vault, sealed = open_vault(settings), sealed_in(folder / DATABASE)
        lacking = sealing.lacking(sealed, vault)
        if with_keys:
            (folder / KEYS).write_text(keys.text_of(list(vault.keys.values())), "utf-8")
        files = {
            name.relative_to(folder).as_posix(): name
            for name in sorted(folder.rglob("*"))
            if name.is_file()
        }
        made = datetime.now(UTC).isoformat(timespec="seconds")
        secrets = {"sealed": sealed, "keys_in_it": with_keys and not lacking}
        facts = {"made": made, "schema": head(), "missing": missing, "secrets": secrets}
        shelves.write(target, files, facts)
        sizes = [file.stat().st_size for file in files.values()]
    return Backup(files=len(sizes), bytes=sum(sizes), missing=missing, sealed=sealed,
                  has_keys=with_keys, lacking=lacking, made=made)  # fmt: skip


@contextmanager
def opened(settings: Settings) -> Iterator[tuple[Engine, Storage, Path]]:
    """Database, storage and a folder to work in, whose files nobody else may read."""
    engine = open_engine(settings.database)
    try:
        with shelves.readable_by_owner_only(), scratch(staging(settings)) as folder:
            yield engine, open_storage(settings), folder
    finally:
        engine.dispose()


def _collect(engine: Engine, storage: Storage, folder: Path) -> list[str]:
    """Rows, and then the files that they name; again, while files go between the two.

    No key is given twice, so what was copied for former rows is right for later ones, and each
    round has less to copy. What goes while it is copied went with the rest of what its row names:
    the rows are read anew, be it one that must be there or not. Answers what is missing after the
    last.
    """
    there: set[str] = set()
    missing: list[str] = []
    damaged: set[str] = set()
    for _ in range(_ROUNDS):
        rows.save(engine, folder / DATABASE)
        named, required = _named_in(folder / DATABASE)
        listed = {key for top in references.FOLDERS for key in storage.keys(top)}
        gone = False
        for key in sorted(key for key in listed - there - damaged if key in named):
            try:
                _copy(storage, key, folder / FILES / key)
                there.add(key)
            except DamagedError:
                damaged.add(key)
            except FileNotFoundError:
                gone = True
        missing = sorted(required - there)
        if not (missing or gone):
            break
    for key in [key for key in there if key not in named]:
        (folder / FILES / key).unlink()
    return missing


def _named_in(file: Path) -> tuple[Named, Set[str]]:
    """What the rows name, and the keys that must be there."""
    engine = rows.open_file(file)
    try:
        with reading(make_sessions(engine)) as session:
            named = references.named(session)
            return named, references.required(session, named)
    finally:
        engine.dispose()


def sealed_in(file: Path) -> dict[str, int]:
    """How many secrets are sealed, by the names of their keys."""
    engine = rows.open_file(file)
    try:
        with reading(make_sessions(engine)) as session:
            return {name: count for name, count in sealing.tally(session).items() if name}
    finally:
        engine.dispose()


def _copy(storage: Storage, key: str, target: Path) -> None:
    """A link to the stored file where that can be: it stays what it is when the key goes."""
    source = storage.fetch(key)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:
        shutil.copyfile(source, target)
