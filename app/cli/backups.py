"""`headstart backup` and `headstart restore`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from app.cli.folder import only_one
from app.cli.options import DataDir, console, missing_service, settings_of
from app.cli.supervisor import leave_on_signals
from app.core.errors import HeadstartError
from app.infra.settings import Settings, make_folder
from app.operations.backups.restores import restore as restore_backup
from app.operations.backups.service import Backup, back_up
from app.operations.sealed import where

_NONE_SEALED = "no secret in it is sealed"


def backup(
    target: Annotated[Path, typer.Argument(help="A folder, or a .tar or .tar.gz file.")],
    data_dir: DataDir = None,
    with_secrets_key: Annotated[
        bool, typer.Option(help="Put the keys in that open its secrets: it opens them then, too.")
    ] = False,
) -> None:
    """Write everything the service keeps, as of one moment, while it may run.

    Status 1 where something lacks: a file, or a key that was to be put in.
    """
    settings = settings_of(data_dir)
    none = missing_service(settings)
    if none is not None:
        raise HeadstartError("not_found", none)
    make_folder(settings.data_dir)
    done = back_up(settings, target, with_keys=with_secrets_key)
    console.print(f"{_told(done)} are in {target}; it holds labels and contents")
    console.print(_keys_of(done, settings))
    for name, count in done.lacking.items():
        told = f"the key {name}, which opens {count} secrets, is not on this machine"
        console.print(Text("missing", "red"), f"{told}: add it to {where(settings)}")
    _tell_missing(done, lacking=with_secrets_key and bool(done.lacking))


def restore(
    source: Annotated[Path, typer.Argument(help="What `headstart backup` has written.")],
    data_dir: DataDir = None,
) -> None:
    """Put a backup where there is nothing yet: an empty database, an empty storage.

    It is looked at as a whole first: one that is damaged leaves nothing there.
    """
    leave_on_signals()  # what was placed until then is taken back
    settings = settings_of(data_dir)
    with only_one(settings.data_dir):
        done = restore_backup(settings, source)
    console.print(f"{_told(done)} are restored; the API keys of then open it")
    console.print(_UNDONE.format(made=done.made))
    for name, count in done.lacking.items():
        told = f"the key {name}, which opens {count} secrets: add it to {where(settings)}"
        console.print(Text("still missing", "yellow"), told)
    _tell_missing(done)


_UNDONE = (
    "It is as it was at {made}: what was erased, deleted, revoked or rotated since then is back, "
    "keys too, and hooks and webhooks of then run. Do those again before others use it."
)


def _told(done: Backup) -> str:
    return f"{done.files:,} files, {done.bytes:,} bytes"


def _keys_of(done: Backup, settings: Settings) -> str:
    """Whether a backup opens its own secrets, and what else is needed."""
    count, lacking = sum(done.sealed.values()), sum(done.lacking.values())
    which = f"{count - lacking} of its" if lacking else "its"
    if done.has_keys:
        return f"the keys that open {which} {count} secrets are in it: keep it as you keep keys"
    if count == lacking:
        return f"no key of this machine opens its {count} secrets" if count else _NONE_SEALED
    names = ", ".join(name for name in done.sealed if name not in done.lacking)
    kept = f"the key that opens {which} {count} secrets ({names}) is not in it"
    return f"{kept}: keep {where(settings)} elsewhere, or say --with-secrets-key"


def _tell_missing(done: Backup, *, lacking: bool = False) -> None:
    """Status 1 where keys lack, or something that rows name was not in storage."""
    for key in done.missing:
        console.print(Text("missing", "red"), f"{key} was not in storage")
    if done.missing or lacking:
        raise typer.Exit(1)
