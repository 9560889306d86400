"""`headstart doctor`: what is wrong here, and what to do about it."""

from __future__ import annotations

import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Annotated, cast

import httpx
import typer
from rich.text import Text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from app.cli.embedded import missing_libraries
from app.cli.options import DataDir, settings_of
from app.cli.remote.connection import known_address, no_service, object_of, probed, refusal
from app.cli.remote.show import AsJson, dump, table
from app.core.errors import HeadstartError
from app.infra import vault as vaults
from app.infra import weights
from app.infra.database import (
    database_errors,
    make_sessions,
    open_engine,
    reading,
    refuse_damaged,
)
from app.infra.migrate import current, head, is_later
from app.infra.repositories import sealing
from app.infra.settings import Settings
from app.infra.storage import open_storage, scratch, staging
from app.operations.sealed import advice
from app.operations.stored_files import looked_at

_LEAST_FREE = 2_000_000_000
_MOST_SKEW = 30.0
_TOLD = 10
"""Files that are named."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    name: str
    fine: bool
    said: str


def doctor(
    data_dir: DataDir = None,
    files: Annotated[
        bool,
        typer.Option("--files", help="Hold the stored files against their hashes, too."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Look at database, broker, storage, weights, disk, clock, migrations and the service."""
    settings = settings_of(data_dir)
    findings = list(examine(settings, files=files))
    if as_json:
        dump([vars(one) for one in findings])
    else:
        marks = {True: Text("ok", "green"), False: Text("wrong", "red")}
        table(("", "", ""), [(one.name, marks[one.fine], one.said) for one in findings])
    if not all(one.fine for one in findings):
        raise typer.Exit(1)


def examine(settings: Settings, *, files: bool = False) -> Iterator[Finding]:
    """Every finding, whatever the others are; of stored `files` only where they are asked for."""
    checks: dict[str, Callable[[Settings], str]] = {
        "libraries": _libraries,
        "data folder": _folder,
        "disk": _disk,
        "database": _database,
        "broker": _broker,
        "storage": _storage,
        **({"files": _files} if files else {}),
        "secrets": _secrets,
        "weights": _weights,
        "service": _service,
    }
    for name, check in checks.items():
        try:
            yield Finding(name, True, check(settings))
        except HeadstartError as error:
            yield Finding(name, False, error.message)
        except DBAPIError as error:
            yield Finding(name, False, f"{error.orig}: mend it, or set it aside and start anew")
        except SQLAlchemyError as error:
            yield Finding(name, False, f"HEADSTART_DATABASE_URL: {error}")
        except OSError as error:
            yield Finding(name, False, f"{error.strerror or error}")


def _libraries(_: Settings) -> str:
    missing = missing_libraries()
    if missing:
        why = f"{' and '.join(missing)} not installed; pip install 'headstart[api,worker]'"
        raise HeadstartError("backbone_unavailable", f"{why} to train and predict on this machine")
    return "the worker's are installed"


def _folder(settings: Settings) -> str:
    if not settings.data_dir.is_dir():
        return f"{settings.data_dir} is not there yet; `headstart up` makes it"
    probe = settings.data_dir / ".doctor"
    probe.write_bytes(b"probe")
    probe.unlink()
    return f"{settings.data_dir} can be written"


def _disk(settings: Settings) -> str:
    where = settings.data_dir if settings.data_dir.is_dir() else settings.data_dir.absolute().parent
    while not where.is_dir():
        where = where.parent
    free = shutil.disk_usage(where).free
    if free < _LEAST_FREE:
        why = f"only {free / 1e9:.1f} GB are free; make room, or set HEADSTART_DATA_DIR elsewhere"
        raise HeadstartError("storage_full", why)
    return f"{free / 1e9:.0f} GB free"


def _database(settings: Settings) -> str:
    if not settings.database_url and not (settings.data_dir / "headstart.db").exists():
        return "none yet; `headstart up` makes it"
    engine = open_engine(settings.database)
    try:
        with database_errors(), engine.connect() as connection:
            there = current(connection)
            if engine.dialect.name == "sqlite":
                refuse_damaged(cast(sqlite3.Connection, connection.connection.driver_connection))
    finally:
        engine.dispose()
    if is_later(there):
        return f"answers, at migration {there} of a later release; this one knows {head()}"
    if there != head():
        why = f"at migration {there}, this version wants {head()}; run `headstart prepare`"
        raise HeadstartError("database_unavailable", why)
    return f"answers, at migration {there}"


def _secrets(settings: Settings) -> str:
    if not settings.database_url and not (settings.data_dir / "headstart.db").exists():
        return "none yet"
    engine = open_engine(settings.database)
    try:
        vault = vaults.open_vault(settings)
        with reading(make_sessions(engine)) as session:
            told = list(advice(session, vault, settings))
            sealed = sum(sealing.tally(session).values())
    finally:
        engine.dispose()
    if told:
        raise HeadstartError("secrets_key_missing", "; ".join(told))
    return f"{sealed} are sealed"


def _broker(settings: Settings) -> str:
    if not settings.broker_url or settings.broker_url.startswith("memory:"):
        return "none: workers watch the database"
    import redis

    try:
        redis.Redis.from_url(settings.broker_url, socket_timeout=5).ping()
    except redis.RedisError as error:
        why = f"{error}; jobs go on by looking at the database, up to ten seconds later"
        raise HeadstartError("overloaded", why) from error
    return "answers"


def _storage(settings: Settings) -> str:
    if not settings.storage_url and not settings.data_dir.is_dir():
        return "a folder of the data folder, which is not there yet"
    open_storage(settings)
    return settings.storage_url or "a folder of the data folder"


def _files(settings: Settings) -> str:
    if not settings.storage_url and not settings.data_dir.is_dir():
        return "none yet"
    engine = open_engine(settings.database)
    try:
        with scratch(staging(settings)) as folder:  # of a remote store what it has, not our copies
            afresh = settings.model_copy(update={"data_dir": folder})
            storage = open_storage(afresh if settings.storage_url else settings)
            seen = {one.key: one for one in looked_at(make_sessions(engine), storage)}
    finally:
        engine.dispose()
    wrong = [f"{one.key} ({one.wrong})" for one in seen.values() if one.wrong is not None]
    if wrong:
        more = f" and {len(wrong) - _TOLD} more" if len(wrong) > _TOLD else ""
        remedy = "restore a backup, or upload and train anew; embeddings are made again unasked"
        raise HeadstartError("content_corrupt", f"{'; '.join(wrong[:_TOLD])}{more}: {remedy}")
    return f"{len(seen)} are what was stored"


def _weights(settings: Settings) -> str:
    if settings.weights_dir is not None and not settings.weights_dir.is_dir():
        why = f"HEADSTART_WEIGHTS_DIR names {settings.weights_dir}, and there is no such folder"
        raise HeadstartError("backbone_unavailable", why)
    found = []
    for name in (settings.default_backbone_image, settings.default_backbone_text):
        weights.require(weights.get(name, settings.weights_dir), settings.weights_dir)
        found.append(name)
    return f"{' and '.join(found)} are here"


def _service(_: Settings) -> str:
    address = known_address()
    if address is None:
        return "no key yet; `headstart up` makes the first, `headstart login` remembers another"
    try:
        answer = probed(f"{address.url}/readyz", seconds=10)
    except httpx.HTTPError:
        return f"none answers at {address.url}; `headstart up` starts one"
    if answer.is_error:
        raise HeadstartError("overloaded", f"{address.url}: {refusal(answer).message}")
    checks = (object_of(answer) or {}).get("checks")
    if not isinstance(checks, dict):
        raise HeadstartError("overloaded", no_service(answer))
    skew = _skew(answer)
    if skew > _MOST_SKEW:
        why = f"its clock and this one's differ by {skew:.0f} s; set both by NTP"
        raise HeadstartError("overloaded", why)
    down = [f"{name}: {said}" for name, said in checks.items() if said != "ok"]
    if down:
        raise HeadstartError("overloaded", f"{address.url}: {'; '.join(down)}")
    return f"{address.url} is ready"


def _skew(answer: httpx.Response) -> float:
    """Seconds between the answer's clock and this machine's; none where it tells no time."""
    with suppress(ValueError):
        told = parsedate_to_datetime(answer.headers.get("date", ""))
        return abs(told.timestamp() - time.time())
    return 0.0
