"""The `headstart` command."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import httpx
import typer
from rich.text import Text
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from app.cli.backups import backup, restore
from app.cli.embedded import prepare, prepared, start
from app.cli.folder import only_one
from app.cli.keys import keys, recognised
from app.cli.options import DataDir, console, settings_of
from app.cli.remote import commands as remote
from app.cli.remote import retraining
from app.cli.remote.datasets import datasets
from app.cli.remote.doctor import doctor
from app.cli.remote.jobs import jobs
from app.cli.remote.training import train
from app.cli.sealed import sealed
from app.cli.serve import serve
from app.cli.supervisor import Supervisor, leave_on_signals
from app.core.errors import HeadstartError
from app.infra import weights
from app.infra.database import is_damaged, translate

_FURTHER = 20
"""Of what is wrong with an upload, so much is said."""
cli = typer.Typer(no_args_is_help=True, help="Fine-tuning on few examples.")
cli.add_typer(keys, name="keys")
cli.add_typer(sealed, name="secrets")
cli.add_typer(datasets, name="datasets")
cli.add_typer(jobs, name="jobs")
cli.add_typer(retraining.hooks, name="hooks")
for command in (remote.login, train, remote.predict, remote.models, remote.evaluate, remote.export):
    cli.command()(command)
for moving in (retraining.promote, retraining.rollback):
    cli.command()(moving)
for keeping in (backup, restore, doctor):
    cli.command()(keeping)
Host = Annotated[str, typer.Option(help="`::` and `0.0.0.0` are all of the machine's addresses.")]


@cli.command()
def up(
    host: Host = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="0 takes a free one.")] = 8000,
    data_dir: DataDir = None,
) -> None:
    """Run the whole service on this machine: app, trainer and predictor, until Ctrl-C."""
    leave_on_signals()
    settings = settings_of(data_dir)
    with only_one(settings.data_dir) as lock:
        console.print(f"Preparing {settings.data_dir}")
        if (told := weights.absent_folder(settings)) is not None:
            console.print(told)
        supervisor = prepared(settings, host=host, port=port, lock=lock)
        supervisor.obey_signals()
        console.print("The data folder is up to date; the predictor and the app start")
        try:
            supervisor.start(console.print)
            if not supervisor.stopping:
                _greet(supervisor)
            supervisor.run()
        finally:
            supervisor.stop()


def _greet(supervisor: Supervisor) -> None:
    path = supervisor.settings.data_dir / "api-key"
    where = Text.assemble(("Headstart", "bold"), " is at ", (supervisor.url, "bold"))
    console.print(where, "· docs at /docs")
    console.print(f"Sign in there with the API key in {path} · Ctrl-C stops")
    if not recognised(supervisor.settings, path):
        console.print("That key was revoked: `headstart keys renew` makes another one")


@cli.command("serve")
def serve_command(
    host: Host = "127.0.0.1", port: Annotated[int, typer.Option(min=1, max=65_535)] = 8000
) -> None:
    """Run the app alone, on what the environment names: a container's command."""
    serve(host=host, port=port)


@cli.command()
def demo(
    data: Annotated[Path | None, typer.Option(help="A zip of class folders.")] = None,
    data_dir: DataDir = None,
) -> None:
    """Upload, fine-tune and predict real data through HTTP, with a progress bar, and stop."""
    from app.cli.demo import run_demo

    settings = settings_of(data_dir)
    with only_one(settings.data_dir) as lock:
        with console.status("starting the app, the trainer and the predictor"):
            supervisor = start(settings, host="127.0.0.1", port=0, lock=lock)
        try:
            key = (settings.data_dir / "api-key").read_text().strip()
            run_demo(supervisor.url, key=key, archive=data)
        finally:
            supervisor.stop()


@cli.command("prepare")
def prepare_command(
    data_dir: DataDir = None,
    first_key: Annotated[
        bool,
        typer.Option("--key/--no-key", help="Whether the data folder is given a first key."),
    ] = True,
) -> None:
    """Migrate the database and make the first key; what `up` does before it starts anything."""
    prepare(settings_of(data_dir), first_key=first_key)


def main() -> None:
    """The console script: errors become one line; status 1 refused, 2 misused, 3 no connection."""
    logging.basicConfig(level=logging.WARNING)
    try:
        cli()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        _complain("no connection", str(error))
        raise SystemExit(3) from None
    except DBAPIError as error:
        if not (isinstance(error, OperationalError | InterfaceError) or is_damaged(error)):
            raise
        raise SystemExit(f"headstart: {translate(error).message}") from None
    except HeadstartError as error:
        _complain(error.code, error.message)
        for one in error.extra.get("errors", ())[1:_FURTHER]:
            console.print(f"  {one['code']}: {one['message']}")
        raise SystemExit(1) from None


def _complain(what: str, why: str) -> None:
    console.print(Text.assemble((what, "red"), f": {why}"))
