"""`headstart keys`: make, list, revoke and renew keys, for whoever may open the database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from app.accounts.service import create_first_key, create_key, find_live, live_keys
from app.cli.folder import write_key
from app.cli.options import DataDir, console, missing_service, settings_of
from app.core.errors import HeadstartError
from app.core.identity import SCOPES
from app.http.keyring import find_key
from app.infra.database import Sessions, make_sessions, now, open_engine, reading, transaction
from app.infra.migrate import migrate
from app.infra.settings import Settings, make_folder

keys = typer.Typer(no_args_is_help=True, help="API keys.")


@keys.command("create")
def create(
    organisation: str = "default",
    name: str = "cli",
    scopes: Annotated[str, typer.Option(help=f"Some of {', '.join(SCOPES)}.")] = "admin",
    data_dir: DataDir = None,
) -> None:
    """Make a key for an organisation (made if it is new) and print it once."""
    wanted = [scope.strip() for scope in scopes.split(",")]
    if unknown := sorted(set(wanted) - set(SCOPES)):
        raise HeadstartError("invalid_value", f"unknown scopes: {', '.join(unknown)}")
    with _database(settings_of(data_dir), new=True) as sessions, transaction(sessions) as session:
        _, key = create_key(session, organisation_id=organisation, name=name, scopes=wanted)
    typer.echo(key)


@keys.command("list")
def list_keys(
    organisation: Annotated[str | None, typer.Option(help="Only this one's.")] = None,
    data_dir: DataDir = None,
) -> None:
    """Every key that is not revoked, newest first: id, organisation, prefix, scopes, name."""
    with _database(settings_of(data_dir)) as sessions, reading(sessions) as session:
        for row in session.scalars(live_keys(organisation)):
            scopes = ",".join(row.scopes)
            typer.echo("\t".join((row.id, row.organisation_id, row.prefix, scopes, row.name)))


@keys.command("revoke")
def revoke(
    key: Annotated[str, typer.Argument(help="Its id, its prefix, or the key itself.")],
    data_dir: DataDir = None,
) -> None:
    """Revoke a key: within a second it opens nothing any more."""
    with _database(settings_of(data_dir)) as sessions, transaction(sessions) as session:
        row = find_live(session, live_keys(), key)
        row.revoked_at = now(session)
        typer.echo(f"{row.id} of {row.organisation_id} is revoked")


@keys.command("renew")
def renew(data_dir: DataDir = None) -> None:
    """Put a new first key into the file `api-key`, and revoke the one that is there."""
    settings = settings_of(data_dir)
    path = settings.data_dir / "api-key"
    with _database(settings) as sessions:
        with transaction(sessions) as session:
            old = find_key(session, _written(path))
            _, key = create_first_key(session)
        write_key(path, key)
        if old is not None:
            with transaction(sessions) as session:
                find_live(session, live_keys(), old.key_id).revoked_at = now(session)
    typer.echo(f"a new key is in {path}")


def recognised(settings: Settings, path: Path) -> bool:
    """Whether the key in the file at `path` opens anything."""
    with _database(settings) as sessions, reading(sessions) as session:
        return find_key(session, _written(path)) is not None


def _written(path: Path) -> str:
    return path.read_text().strip() if path.exists() else ""


@contextmanager
def _database(settings: Settings, *, new: bool = False) -> Iterator[Sessions]:
    """The database of this machine's service. Raises not_found where none is, unless it may be new.

    `HEADSTART_URL` names no database, so a key made here opens nothing there.
    """
    where = missing_service(settings)
    if where is not None:
        if not new:
            raise HeadstartError("not_found", where)
        console.print(f"{where}: a new database is made here")
    make_folder(settings.data_dir)
    engine = open_engine(settings.database)
    try:
        migrate(engine)
        yield make_sessions(engine)
    finally:
        engine.dispose()
