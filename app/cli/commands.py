"""The `headstart` command."""

from __future__ import annotations

import importlib.util
import logging
import socket
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from app.accounts.service import create_key
from app.cli.supervisor import Supervisor, only_one
from app.core.errors import HeadstartError
from app.core.identity import SCOPES
from app.infra.database import make_sessions, open_engine, transaction
from app.infra.migrate import migrate as migrate_database
from app.infra.settings import Settings, load_settings

cli = typer.Typer(no_args_is_help=True, add_completion=False, help="Fine-tuning on few examples.")
keys = typer.Typer(no_args_is_help=True, help="API keys.")
cli.add_typer(keys, name="keys")
console = Console(stderr=True)

DataDir = Annotated[Path | None, typer.Option(help="Where everything is kept.")]


@cli.command()
def up(
    host: str = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 takes a free one.")] = 8000,
    data_dir: DataDir = None,
) -> None:
    """Run the whole service on this machine: app, trainer and predictor, until Ctrl-C."""
    settings = _settings(data_dir)
    with only_one(settings.data_dir):
        supervisor = start(settings, host=host, port=port)
        console.print(f"[bold]Headstart[/] is at [bold]{supervisor.url}[/] · docs at /docs")
        console.print(f"The API key is in {settings.data_dir / 'api-key'} · Ctrl-C stops")
        try:
            supervisor.run()
        finally:
            supervisor.stop()


@cli.command()
def demo(
    data: Annotated[Path | None, typer.Option(help="A zip of class folders.")] = None,
    data_dir: DataDir = None,
) -> None:
    """Upload, fine-tune and predict real data through HTTP, with a progress bar, and stop."""
    from app.cli.demo import run_demo

    settings = _settings(data_dir)
    with only_one(settings.data_dir):
        with console.status("starting the app, the trainer and the predictor"):
            supervisor = start(settings, host="127.0.0.1", port=0)
        try:
            key = (settings.data_dir / "api-key").read_text().strip()
            run_demo(supervisor.url, key=key, archive=data)
        finally:
            supervisor.stop()


@cli.command("prepare")
def prepare_command(data_dir: DataDir = None) -> None:
    """Migrate the database and make the first key; what `up` does before it starts anything."""
    prepare(_settings(data_dir))


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
    settings = _settings(data_dir)
    engine = open_engine(settings.database)
    migrate_database(engine)
    with transaction(make_sessions(engine)) as session:
        _, key = create_key(session, organisation_id=organisation, name=name, scopes=wanted)
    typer.echo(key)


def start(settings: Settings, *, host: str, port: int) -> Supervisor:
    """Migrate, make the first key, start every process; ready when this returns."""
    _require_worker()
    prepare(settings)
    supervisor = Supervisor(settings, host=host, port=_free_port(host, port))
    supervisor.start()
    return supervisor


def prepare(settings: Settings) -> None:
    """Bring the data folder into being: schema, first key (file `api-key`, mode 600)."""
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    engine = open_engine(settings.database)
    migrate_database(engine)
    path = settings.data_dir / "api-key"
    if not path.exists():
        with transaction(make_sessions(engine)) as session:
            _, key = create_key(
                session, organisation_id="default", name="first", scopes=["admin", "operator"]
            )
        _write_key(path, key)
    engine.dispose()


def _write_key(path: Path, key: str) -> None:
    """Written after the commit, and there as a whole or not: a file is what stops a second key."""
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    draft.touch(mode=0o600)
    draft.write_text(key + "\n")
    draft.replace(path)


def main() -> None:
    """The console script: domain errors become one line and exit status 1."""
    logging.basicConfig(level=logging.WARNING)
    try:
        cli()
    except HeadstartError as error:
        console.print(f"[red]{error.code}[/]: {error.message}")
        raise SystemExit(1) from None


def _settings(data_dir: Path | None) -> Settings:
    settings = load_settings()
    return settings.model_copy(update={"data_dir": data_dir}) if data_dir else settings


def _require_worker() -> None:
    missing = [name for name in ("torch", "openvino") if importlib.util.find_spec(name) is None]
    if missing:
        raise HeadstartError(
            "internal",
            f"{' and '.join(missing)} not installed; the embedded service needs the worker's"
            " libraries: pip install 'headstart[api,worker]'",
        )


def _free_port(host: str, port: int) -> int:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise HeadstartError(
                "in_use", f"port {port} on {host} is taken; choose another with --port ({error})"
            ) from None
        return int(probe.getsockname()[1])
