"""`headstart backup` and `headstart restore`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from app.cli.folder import only_one
from app.cli.options import DataDir, console, missing_service, settings_of
from app.core.errors import HeadstartError
from app.infra.settings import make_folder
from app.operations.backups.service import Backup, back_up
from app.operations.backups.service import restore as restore_backup


def backup(
    target: Annotated[Path, typer.Argument(help="A folder, or a .tar or .tar.gz file.")],
    data_dir: DataDir = None,
) -> None:
    """Write everything the service keeps, as of one moment, while it may run."""
    settings = settings_of(data_dir)
    where = missing_service(settings)
    if where is not None:
        raise HeadstartError("not_found", where)
    make_folder(settings.data_dir)
    done = back_up(settings, target)
    console.print(f"{_told(done)} are in {target}; it holds labels, contents and webhooks' secrets")
    _tell_missing(done)


def restore(
    source: Annotated[Path, typer.Argument(help="What `headstart backup` has written.")],
    data_dir: DataDir = None,
) -> None:
    """Put a backup where there is nothing yet: an empty database, an empty storage."""
    settings = settings_of(data_dir)
    with only_one(settings.data_dir):
        done = restore_backup(settings, source)
    console.print(f"{_told(done)} are restored; the keys of then open it")
    _tell_missing(done)


def _told(done: Backup) -> str:
    return f"{done.files:,} files, {done.bytes:,} bytes"


def _tell_missing(done: Backup) -> None:
    """Status 1 where something that rows name was not in storage when it was backed up."""
    for key in done.missing:
        console.print(Text("missing", "red"), f"{key} was not in storage")
    if done.missing:
        raise typer.Exit(1)
