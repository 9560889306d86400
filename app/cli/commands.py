"""The `headstart` command."""

from __future__ import annotations

import importlib.util
import logging
import socket
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from sqlalchemy.exc import InterfaceError, OperationalError

from app.accounts.service import create_first_key
from app.cli.folder import only_one, write_key
from app.cli.keys import keys, recognised
from app.cli.options import DataDir, console, settings_of
from app.cli.serve import serve
from app.cli.supervisor import Supervisor, leave_on_signals
from app.core.errors import HeadstartError
from app.infra.database import make_sessions, open_engine, transaction, translate
from app.infra.migrate import migrate as migrate_database
from app.infra.settings import Settings, make_folder

cli = typer.Typer(no_args_is_help=True, add_completion=False, help="Fine-tuning on few examples.")
cli.add_typer(keys, name="keys")
Host = Annotated[str, typer.Option(help="`::` and `0.0.0.0` are all of the machine's addresses.")]


@cli.command()
def up(
    host: Host = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 takes a free one.")] = 8000,
    data_dir: DataDir = None,
) -> None:
    """Run the whole service on this machine: app, trainer and predictor, until Ctrl-C."""
    leave_on_signals()
    settings = settings_of(data_dir)
    with only_one(settings.data_dir) as lock:
        supervisor = _prepared(settings, host=host, port=port, lock=lock)
        supervisor.obey_signals()
        console.print("Starting the app, the predictor and the trainer")
        try:
            supervisor.start(console.print)
            if not supervisor.stopping:
                _greet(supervisor)
            supervisor.run()
        finally:
            supervisor.stop()


def _greet(supervisor: Supervisor) -> None:
    path = supervisor.settings.data_dir / "api-key"
    console.print(f"[bold]Headstart[/] is at [bold]{supervisor.url}[/] · docs at /docs")
    console.print(f"The API key is in {path} · Ctrl-C stops")
    if not recognised(supervisor.settings, path):
        console.print("That key was revoked: `headstart keys renew` makes another one")


@cli.command("serve")
def serve_command(host: Host = "127.0.0.1", port: Annotated[int, typer.Option()] = 8000) -> None:
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
def prepare_command(data_dir: DataDir = None) -> None:
    """Migrate the database and make the first key; what `up` does before it starts anything."""
    prepare(settings_of(data_dir))


def start(settings: Settings, *, host: str, port: int, lock: int | None = None) -> Supervisor:
    """Migrate, make the first key, start every process; predictions work when this returns."""
    supervisor = _prepared(settings, host=host, port=port, lock=lock)
    supervisor.start()
    return supervisor


def _prepared(settings: Settings, *, host: str, port: int, lock: int | None) -> Supervisor:
    _require_worker()
    prepare(settings)
    return Supervisor(settings, host=host, port=_free_port(host, port), lock=lock)


def prepare(settings: Settings) -> None:
    """Bring the data folder into being: schema, first key (file `api-key`, mode 600)."""
    make_folder(settings.data_dir)
    engine = open_engine(settings.database)
    migrate_database(engine)
    path = settings.data_dir / "api-key"
    if not path.exists():
        with transaction(make_sessions(engine)) as session:
            _, key = create_first_key(session)
        write_key(path, key)
    engine.dispose()


def main() -> None:
    """The console script: domain errors become one line and exit status 1."""
    logging.basicConfig(level=logging.WARNING)
    try:
        cli()
    except (OperationalError, InterfaceError) as error:
        raise SystemExit(f"headstart: {translate(error).message}") from None
    except HeadstartError as error:
        console.print(f"[red]{error.code}[/]: {escape(error.message)}")
        raise SystemExit(1) from None


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
