"""A whole service of three processes with passwords for everything, whose lines are kept."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from sqlalchemy import create_engine, text

from app.cli.embedded import prepare
from app.infra.settings import Settings
from tests.e2e.canaries.planted import Canaries
from tests.s3 import s3_server
from tests.servers import Postgres, Redis, free_port, running_postgres, running_redis, wait_for
from tests.workers import ROOT, environment


@dataclass
class House:
    """Its processes by name, its servers, and the log of all of them."""

    settings: Settings
    canaries: Canaries
    extra: dict[str, str]
    port: int = field(default_factory=free_port)
    postgres: Postgres | None = None
    redis: Redis | None = None
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        return self.settings.data_dir.parent / "log"

    @property
    def key(self) -> str:
        """The operator's."""
        return (self.settings.data_dir / "api-key").read_text().strip()

    @property
    def variables(self) -> dict[str, str]:
        return environment(self.settings, log_level="DEBUG") | self.extra

    def start(self, name: str) -> None:
        """One of the processes."""
        celery = ["-m", "celery", "-A", "worker.trainer.celery_app", "worker", "--pool=threads"]
        trainer = (
            [*celery, "-c", "1", "--loglevel=debug"] if self.redis else ["-m", "worker.trainer"]
        )
        command = {
            "app": ["-m", "app.cli.serve", "--host", "127.0.0.1", "--port", str(self.port)],
            "predictor": ["-m", "worker.predictor"],
            "trainer": trainer,
        }[name]
        with self.log.open("ab") as log:
            self.running[name] = subprocess.Popen(
                [sys.executable, *command], env=self.variables, cwd=ROOT, stdout=log, stderr=log
            )

    def kill(self, name: str) -> None:
        """SIGKILL."""
        self.running[name].send_signal(signal.SIGKILL)
        self.running[name].wait()

    def ready(self) -> None:
        """Wait until it answers, predictor and all."""
        wait_for(lambda: httpx.get(f"{self.url}/readyz").status_code == 200, seconds=600)

    def command(self, *words: str) -> bytes:
        """What a command of the operator's prints."""
        done = subprocess.run(
            [sys.executable, "-m", "app.cli", *words],
            env=self.variables | {"HEADSTART_URL": self.url, "HEADSTART_API_KEY": self.key},
            cwd=ROOT, capture_output=True, check=False, timeout=600,
        )  # fmt: skip
        return done.stdout + done.stderr

    def refuse_feedback(self, label: str) -> None:
        """Have the database break what writes such feedback, and say the row while it does."""
        engine = create_engine(self.settings.database.replace("postgresql:", "postgresql+psycopg:"))
        with engine.begin() as connection:
            if self.postgres:
                check = f"CHECK (label <> '{label}')"
                connection.execute(text(f"ALTER TABLE feedback ADD CONSTRAINT no {check}"))
            else:
                told = f"SELECT RAISE(ABORT, 'no') WHERE NEW.label = '{label}'"
                trigger = f"CREATE TRIGGER no BEFORE INSERT ON feedback BEGIN {told}; END"
                connection.exec_driver_sql(trigger)
        engine.dispose()


@contextmanager
def opened(footing: str, folder: Path) -> Iterator[House]:
    """A running one, of either footing."""
    canaries = Canaries()
    with ExitStack() as stack:
        made = _production(stack, folder, canaries) if footing == "production" else _embedded(
            folder, canaries
        )  # fmt: skip
        prepare(made.settings)
        try:
            for name in ("predictor", "app", "trainer"):
                made.start(name)
            made.ready()
            yield made
        finally:
            for process in made.running.values():
                process.terminate()
            for process in made.running.values():
                process.wait(300)


def _embedded(folder: Path, canaries: Canaries) -> House:
    settings = Settings(data_dir=folder / "data", webhook_networks="127.0.0.0/8", fetch_urls="any")
    return House(settings, canaries, {})


def _production(stack: ExitStack, folder: Path, canaries: Canaries) -> House:
    postgres, redis = (stack.enter_context(one()) for one in (running_postgres, running_redis))
    assert isinstance(postgres, Postgres)
    assert isinstance(redis, Redis)
    with redis.client() as client:
        client.config_set("requirepass", canaries.one("broker"))
    settings = Settings(
        data_dir=folder / "data",
        database_url=postgres.url.replace("@", f":{canaries.one('database')}@"),
        broker_url=redis.url.replace("//", f"//:{canaries.one('broker')}@"),
        storage_url="s3://canaries",
        storage_endpoint=stack.enter_context(s3_server("canaries")),
        predictor_url=f"http://127.0.0.1:{free_port()}",
        webhook_networks="127.0.0.0/8",
        fetch_urls="any",
    )
    extra = {
        "AWS_ACCESS_KEY_ID": "headstart",
        "AWS_SECRET_ACCESS_KEY": canaries.one("store"),
        "AWS_REGION": "us-east-1",
    }
    os.environ.update(extra)
    stack.callback(lambda: [os.environ.pop(name, None) for name in extra])
    return House(settings, canaries, extra, postgres=postgres, redis=redis)
