"""The embedded service, as commands start it: prepared, on a free port, with all its processes."""

from __future__ import annotations

import errno
import importlib.util
import socket
from pathlib import Path

from app.accounts.service import create_first_key, live_keys
from app.cli.folder import write_key
from app.cli.options import console
from app.cli.supervisor import Supervisor
from app.core.errors import HeadstartError
from app.infra.database import Sessions, make_sessions, open_engine, reading, transaction
from app.infra.migrate import migrate as migrate_database
from app.infra.repositories.sealing import seal_all
from app.infra.settings import Settings, make_folder
from app.operations.sealed import advice, open_vault


def start(settings: Settings, *, host: str, port: int, lock: int | None = None) -> Supervisor:
    """Migrate, make the first key, start every process; predictions work when this returns."""
    supervisor = prepared(settings, host=host, port=port, lock=lock)
    supervisor.start()
    return supervisor


def prepared(settings: Settings, *, host: str, port: int, lock: int | None) -> Supervisor:
    """A supervisor of a prepared data folder, that has started nothing yet."""
    _require_worker()
    prepare(settings)
    return Supervisor(settings, host=host, port=_free_port(host, port), lock=lock)


def prepare(settings: Settings, *, first_key: bool = True) -> None:
    """Bring the data folder into being: schema, first key (file `api-key`, mode 600).

    Secrets of former releases are sealed where the database is in the folder, and this its only
    service; what is to be done about keys is told.
    """
    make_folder(settings.data_dir)
    engine = open_engine(settings.database)
    migrate_database(engine)
    sessions = make_sessions(engine)
    path = settings.data_dir / "api-key"
    if first_key and not path.exists():
        _make_first_key(sessions, path)
    _seal(settings, sessions)
    engine.dispose()


def _make_first_key(sessions: Sessions, path: Path) -> None:
    """Where there are keys already, as after a restore, it is told: it opens all that they open."""
    with transaction(sessions) as session:
        before = len(session.scalars(live_keys("default")).all())
        row, key = create_first_key(session)
        made = row.id
    write_key(path, key)
    if before:
        console.print(
            f"{path} was not there: a further admin key, {made}, was made and is in it. The"
            f" {before} that there were before open as they did; `headstart keys list` has all."
        )


def _seal(settings: Settings, sessions: Sessions) -> None:
    vault = open_vault(settings, sessions)
    if not settings.database_url and vault.newest is not None:
        with transaction(sessions) as session:
            seal_all(session, vault)
    with reading(sessions) as session:
        for sentence in advice(session, vault, settings):
            console.print(sentence)


def _require_worker() -> None:
    missing = missing_libraries()
    if missing:
        raise HeadstartError(
            "internal",
            f"{' and '.join(missing)} not installed; the embedded service needs the worker's"
            " libraries: pip install 'headstart[api,worker]'",
        )


def missing_libraries() -> list[str]:
    """What to compute with that is not installed; where a GPU is, OpenVINO may be missing."""
    needed = ("torch",) if Path("/dev/nvidiactl").exists() else ("torch", "openvino")
    return [name for name in needed if importlib.util.find_spec(name) is None]


def _free_port(host: str, port: int) -> int:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise _unbound(host, port, error) from None
        return int(probe.getsockname()[1])


def _unbound(host: str, port: int, error: OSError) -> HeadstartError:
    """Why nobody can listen there: only a port that is taken is mended by another."""
    if error.errno == errno.EADDRINUSE:
        why = f"port {port} on {host} is taken; choose another with --port ({error})"
        return HeadstartError("in_use", why)
    if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
        why = f"{host} is no address of this machine; choose another with --host ({error})"
        return HeadstartError("invalid_request", why)
    why = f"port {port} on {host} cannot be listened on; choose another with --port ({error})"
    return HeadstartError("invalid_request", why)
