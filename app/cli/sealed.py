"""`headstart secrets`: with which keys secrets are sealed, and sealing them with a newer one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from app.cli.options import DataDir, console, missing_service, settings_of
from app.cli.remote.show import AsJson, dump
from app.core import secret_keys
from app.core.errors import HeadstartError
from app.infra.database import Sessions, make_sessions, open_engine, reading, transaction
from app.infra.migrate import migrate
from app.infra.repositories import sealing
from app.infra.settings import Settings
from app.infra.vault import Vault, keys
from app.operations.sealed import advice, open_vault, where

sealed = typer.Typer(no_args_is_help=True, help="What seals the secrets in the database.")


@sealed.command("new-key")
def new_key() -> None:
    """Print a key that was never used, for HEADSTART_SECRETS_KEY or a file of keys."""
    typer.echo(secret_keys.new())


@sealed.command("status")
def status(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """How many secrets are sealed with which key; status 1 where something is to be done."""
    settings = settings_of(data_dir)
    with _opened(settings) as (sessions, vault), reading(sessions) as session:
        tally = sealing.tally(session)
        to_do = list(advice(session, vault, settings))
    rows = [
        {"key": name, "secrets": tally.get(name, 0), "here": name in vault.keys}
        for name in dict.fromkeys([*vault.keys, *sorted(name for name in tally if name)])
    ]
    plain = tally.get(None, 0)
    if as_json:
        dump({"newest": vault.newest, "keys": rows, "plain": plain, "to_do": to_do})
    else:
        for row in rows:
            newest = "newest" if row["key"] == vault.newest else ""
            here = "" if row["here"] else "not here"
            typer.echo(f"{row['key']}\t{row['secrets']}\t{newest or here}")
        typer.echo(f"not sealed\t{plain}")
        for sentence in to_do:
            console.print(sentence)
    if to_do:
        raise typer.Exit(1)


@sealed.command("reseal")
def reseal(
    data_dir: DataDir = None,
    forget_lost: Annotated[
        bool,
        typer.Option(
            help="Of what cannot be opened any more, forget tools' tokens (set the tool up again) "
            "and keys of pseudonyms (patients get other ones)."
        ),
    ] = False,
) -> None:
    """Seal every secret with the newest key, while the service may run.

    Status 1 where some could not be opened; a webhook's or hook's is renewed by POST …/secret.
    """
    with _opened(settings_of(data_dir)) as (sessions, vault), transaction(sessions) as session:
        done, lost = sealing.seal_all(session, vault, forget_lost=forget_lost)
    typer.echo(f"{done} secrets are sealed anew; all that can be opened are under {vault.newest}")
    if lost:
        console.print(
            f"{lost} could not be opened: `headstart secrets status` says which key lacks"
        )
        raise typer.Exit(1)


@sealed.command("rotate")
def rotate(data_dir: DataDir = None) -> None:
    """Put a new key first into the data folder's file, and seal everything with it.

    The former ones stay in the file, as backups may need them.
    """
    settings = settings_of(data_dir)
    if (
        settings.secrets_key.get_secret_value()
        or settings.secrets_key_file
        or settings.database_url
    ):
        why = f"keys are told by {where(settings)}: put a new one first there, start every app anew"
        raise HeadstartError("invalid_value", f"{why}, and then `headstart secrets reseal`")
    with _opened(settings):  # there is a service, and a first key
        keys.put_first(settings.data_dir, [secret_keys.decode(secret_keys.new())])
    reseal(data_dir)


@contextmanager
def _opened(settings: Settings) -> Iterator[tuple[Sessions, Vault]]:
    """The database and the keys of this machine's service. Raises not_found, invalid_value."""
    told = missing_service(settings)
    if told is not None:
        raise HeadstartError("not_found", told)
    engine = open_engine(settings.database)
    try:
        migrate(engine)
        sessions = make_sessions(engine)
        yield sessions, open_vault(settings, sessions)
    finally:
        engine.dispose()
