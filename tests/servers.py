"""Real servers for tests: redis-server and Postgres on free loopback ports, gone afterwards."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import HTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

_USERS = ("postgres", "nobody")


def free_port() -> int:
    """A loopback port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


PATIENCE = 5.0
"""How many times longer than on an idle machine whatever is waited for may take on a busy one: a
wait that ends well costs nothing, and no test is about time."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.005, 0.05


def pauses() -> Iterator[float]:
    """Seconds between looks: what takes long is not made longer by looking all the time."""
    pause = _FIRST_PAUSE
    while True:
        yield pause
        pause = min(1.2 * pause, _LONGEST_PAUSE)


def wait_for(done: Callable[[], Any], *, seconds: float = 30.0) -> Any:
    """Poll until `done` answers something true; not being reachable yet counts as no."""
    deadline, between = time.monotonic() + PATIENCE * seconds, pauses()
    while True:
        try:
            if found := done():
                return found
        except (OSError, httpx.TransportError, redis.RedisError, DBAPIError):
            pass
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(next(between))


@contextmanager
def again_and_again(step: Callable[[], None], *, seconds: float) -> Iterator[None]:
    """Do something every so many seconds for as long as the block lasts."""
    stop = threading.Event()

    def run() -> None:
        while not stop.wait(seconds):
            step()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@contextmanager
def serving(server: HTTPServer) -> Iterator[None]:
    """Let a stand-in answer, in a thread, until the block ends."""
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def missing(what: str) -> None:
    """Skip for want of a server, or fail where CI promised one."""
    if os.environ.get("HEADSTART_REQUIRE_SERVERS"):
        pytest.fail(f"{what} is not installed")
    pytest.skip(f"{what} is not installed (tests on it are skipped)")


@dataclass
class Redis:
    """A redis-server with nothing on disk, which can be killed and started again."""

    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def client(self) -> redis.Redis:
        return redis.Redis(port=self.port, socket_timeout=5)

    def start(self) -> None:
        quiet = ["--save", "", "--appendonly", "no", "--loglevel", "warning"]
        self.process = subprocess.Popen(
            ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", *quiet],
            stdout=subprocess.DEVNULL,
        )
        wait_for(self._answers)

    def _answers(self) -> bool:
        with self.client() as client:
            return bool(client.ping())

    def kill(self) -> None:
        """SIGKILL; what it held is gone."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def freeze(self) -> None:
        """Stalled: connections stay open, nothing answers."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)


@dataclass
class Postgres:
    """A Postgres of its own, run by a user that is not root."""

    folder: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def initialise(self) -> None:
        if user := _user().get("user"):
            shutil.chown(self.folder, user=user)
        subprocess.run(
            [_binary("initdb"), "-D", self._data, "-A", "trust", "-U", "postgres", "-N"],
            check=True, stdout=subprocess.DEVNULL, cwd=self.folder, **_user(),
        )  # fmt: skip

    def start(self) -> None:
        options = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "fsync": "off",
            "max_connections": "200",
        }
        settings = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [_binary("postgres"), "-D", self._data, "-p", str(self.port), *settings],
                stdout=log, stderr=log, cwd=self.folder, **_user(),
            )  # fmt: skip
        wait_for(self._answers)

    def _answers(self) -> bool:
        engine = create_engine(
            self.url.replace("postgresql", "postgresql+psycopg"),
            connect_args={"connect_timeout": 2},
        )
        try:
            with engine.connect() as connection:
                return connection.execute(text("SELECT 1")).scalar() == 1
        finally:
            engine.dispose()

    def stop(self) -> None:
        """Immediate shutdown: sessions are cut, the next start recovers."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGQUIT)
            self.process.wait(300)

    @property
    def _data(self) -> str:
        return str(self.folder / "data")


def _user() -> dict[str, Any]:
    """Popen's arguments to become somebody whom Postgres runs for."""
    if os.geteuid() != 0:
        return {}
    known = {entry.pw_name for entry in pwd.getpwall()}
    name = next(name for name in _USERS if name in known)
    return {"user": name, "group": pwd.getpwnam(name).pw_gid, "extra_groups": []}


def _binary(name: str) -> str:
    """The newest installed Postgres's program."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return str(found[-1]) if found else shutil.which(name) or name


@contextmanager
def running_redis() -> Iterator[Redis]:
    """A redis-server, or a skip."""
    if shutil.which("redis-server") is None:
        missing("redis-server")
    server = Redis()
    server.start()
    try:
        yield server
    finally:
        server.kill()


@contextmanager
def running_postgres() -> Iterator[Postgres]:
    """A Postgres server, or a skip."""
    if not Path(_binary("initdb")).exists():
        missing("Postgres")
    folder = Path(tempfile.mkdtemp(prefix="headstart-postgres-"))
    server = Postgres(folder)
    try:
        server.initialise()
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def pooled(database: str, *, processes: int = 4) -> Iterator[str]:
    """The URL of a PgBouncer before the database, which gives each transaction any of few server
    processes; or a skip."""
    program = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
    if program is None:
        missing("PgBouncer")
    there, port = make_url(database), free_port()
    with tempfile.TemporaryDirectory(prefix="headstart-pgbouncer-") as folder:
        settings = Path(folder) / "pgbouncer.ini"
        settings.write_text(
            f"[databases]\n{there.database} = host=127.0.0.1 port={there.port} user=postgres\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
            f"auth_type = any\npool_mode = transaction\nmax_client_conn = 200\n"
            f"default_pool_size = {processes}\nserver_lifetime = 30\n"
        )
        Path(folder).chmod(0o755)
        told = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        process = subprocess.Popen([program, str(settings)], **told, **_user())
        url = there.set(port=port).render_as_string(hide_password=False)
        try:
            wait_for(lambda: socket.create_connection(("127.0.0.1", port), 1).close() or True)
            yield url
        finally:
            process.terminate()
            process.wait(60)


@contextmanager
def redis_server() -> Iterator[str]:
    """The URL of a fresh redis-server."""
    with running_redis() as server:
        yield server.url


@contextmanager
def postgres_url() -> Iterator[str]:
    """The URL of a server: of our own, or HEADSTART_TEST_POSTGRES_URL."""
    if given := os.environ.get("HEADSTART_TEST_POSTGRES_URL"):
        yield given
        return
    with running_postgres() as server:
        yield server.url


@contextmanager
def postgres_database(server: str) -> Iterator[str]:
    """The URL of a new, empty database of a server, dropped afterwards."""
    name = f"headstart_test_{os.getpid()}_{time.time_ns()}"
    admin = create_engine(
        make_url(server).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT"
    )
    with admin.connect() as connection:
        connection.execute(text(f'CREATE DATABASE "{name}"'))
    try:
        yield make_url(server).set(database=name).render_as_string(hide_password=False)
    finally:
        with admin.connect() as connection:
            connection.execute(text(f'DROP DATABASE "{name}" WITH (FORCE)'))
        admin.dispose()


@contextmanager
def postgres_server() -> Iterator[str]:
    """The URL of an empty database on a server of its own."""
    with postgres_url() as server, postgres_database(server) as url:
        yield url
