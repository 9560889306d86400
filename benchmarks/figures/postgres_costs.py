"""What a row, a look-up and a claim cost Postgres, and which rows a service writes.

HEADSTART_DATABASE_URL names an empty Postgres on this machine: its processes' CPU time is read.
"""

from __future__ import annotations

import argparse
import base64
import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import Any

from sqlalchemy import Engine, text

from app.http.keyring import Keyring
from app.infra.database import Sessions, make_sessions, open_engine, transaction
from app.infra.migrate import migrate
from app.infra.repositories import embeddings, work
from app.infra.settings import Settings, load_settings
from benchmarks.record import record, shared_data
from benchmarks.service import class_folders, fine_tune, running, upload, wait_until_ready, zipped
from worker.trainer.kinds import KINDS

TENANTS, EMBEDDINGS, USAGE = 20_000, 300_000, 200_000
QUEUED = (100, 1_000, 10_000)
_TENANT = "'org-' || lpad(i::text, 8, '0')"
_HASH = "encode(sha256(i::text::bytea), 'hex')"
_SOME = 10_000
"""Rows a statement: the service's connections wait for none of them long."""
_SPAN = "FROM generate_series(CAST(:start AS int), CAST(:stop AS int)) i"
_SEGMENTS = EMBEDDINGS // 1000
_FILL = {
    "organisations": (
        TENANTS,
        f"INSERT INTO organisations (id, created_at, last_claimed_at) SELECT {_TENANT}, 0, i",
    ),
    "api_keys": (
        TENANTS,
        "INSERT INTO api_keys (id, organisation_id, name, prefix, secret_sha256, scopes,"
        f" created_at) SELECT 'key_' || lpad(i::text, 22, '0'), {_TENANT}, 'first',"
        " 'hs_' || lpad(i::text, 12, '0'),"
        " encode(sha256(('hs_' || lpad(i::text, 12, '0') || repeat('x', 28))::bytea), 'hex'),"
        """ '["read", "write", "predict"]', 0""",
    ),
    "segments": (
        _SEGMENTS,
        "INSERT INTO segments (id, organisation_id, key, bytes, created_at, last_used_at)"
        f" SELECT 'seg_' || lpad(i::text, 26, '0'), {_TENANT}, 'k', 1, 0, 0",
    ),
    "embeddings": (
        EMBEDDINGS,
        "INSERT INTO embeddings (organisation_id, key, sha256, segment_id, row)"
        f" SELECT 'org-' || lpad((1 + mod(i, {_SEGMENTS}))::text, 8, '0'),"
        f" 'efficientnet_lite0-all-squish-v1', {_HASH},"
        f" 'seg_' || lpad((1 + mod(i, {_SEGMENTS}))::text, 26, '0'), i / {_SEGMENTS}",
    ),
    "usage": (
        USAGE,
        "INSERT INTO usage (organisation_id, day, kind, subject, amount)"
        " SELECT 'org-' || lpad((1 + mod(i, 1000))::text, 8, '0'), 20000 + i / 1000,"
        " 'predictions', 'ft:efficientnet_lite0:org:name:01m8eps1743zqghhhrpa0r45wb', 1",
    ),
}


def row_bytes(engine: Engine) -> dict[str, float]:
    """Bytes a row of each table with its indexes."""
    size = "SELECT pg_total_relation_size(CAST(:name AS regclass))"
    found = {}
    with engine.connect() as connection:
        for name, (count, statement) in _FILL.items():
            for start in range(1, count + 1, _SOME):
                span = {"start": start, "stop": min(count, start + _SOME - 1)}
                connection.execute(text(f"{statement} {_SPAN}"), span)
                connection.commit()
            connection.execute(text(f"ANALYZE {name}"))
            connection.commit()
            total = connection.execute(text(size), {"name": name}).scalar_one()
            found[name] = round(total / count, 1)
    return found


def _backend_ms(engine: Engine, times: int, step: Callable[[int], object]) -> dict[str, float]:
    """Median milliseconds of `step`, and of Postgres' core for one."""
    with engine.connect() as connection:
        pid = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
    before, taken = _core_seconds(pid), []
    for number in range(times):
        began = time.perf_counter()
        step(number)
        taken.append(1000 * (time.perf_counter() - began))
    core = 1000 * (_core_seconds(pid) - before) / times
    return {"median_ms": round(median(taken), 3), "postgres_core_ms": round(core, 4)}


def _core_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def look_ups(engine: Engine, sessions: Sessions, settings: Settings) -> dict[str, Any]:
    """Of a key with its organisation, and of 1,000 embeddings of one tenant."""
    keyring = Keyring(sessions, settings)

    def a_key(number: int) -> None:
        prefix = f"hs_{1 + number % TENANTS:012d}"
        keyring.look_up(f"Bearer {prefix}{'x' * 28}")

    with engine.connect() as connection:
        sql = "SELECT sha256 FROM embeddings WHERE organisation_id = 'org-00000001' LIMIT 1000"
        hashes = list(connection.execute(text(sql)).scalars())

    def a_thousand(_number: int) -> None:
        with sessions() as session:
            found = embeddings.find(
                session,
                organisation_id="org-00000001",
                key="efficientnet_lite0-all-squish-v1",
                sha256s=hashes,
            )
            assert len(found) == len(hashes)

    return {
        "key": _backend_ms(engine, 2000, a_key),
        f"embeddings_{len(hashes)}": _backend_ms(engine, 50, a_thousand),
    }


def claims(engine: Engine, sessions: Sessions) -> dict[str, Any]:
    """Of the next work, with so much of it waiting in as many organisations."""
    taken = {}
    for queued in QUEUED:
        with engine.connect() as connection:
            connection.execute(text("DELETE FROM work"))
            connection.execute(
                text(
                    "INSERT INTO work (id, kind, organisation_id, state, priority, payload, fence,"
                    " not_before, errors, crashes, losses, created_at) SELECT 'work_' || i,"
                    f" 'embed', {_TENANT}, 'queued', 0, '{{}}', 0, 0, 0, 0, 0, i {_SPAN}"
                ),
                {"start": 1, "stop": queued},
            )
            connection.execute(text("ANALYZE work"))
            connection.commit()

        def claim(_number: int) -> None:
            with transaction(sessions) as session:
                found = work.claim(session, worker="w", kinds=[*KINDS], lease_seconds=60)
                assert found is not None

        taken[str(queued)] = _backend_ms(engine, 50, claim)
    return taken


def rows_written() -> dict[str, Any]:
    """Rows that an upload of 50 pictures, a job and 200 predictions add, by table."""
    pictures = class_folders(shared_data() / "clothing" / "train", per_class=5)
    found: dict[str, Any] = {"pictures": len(pictures)}
    with running() as service:
        before = _counted(service.data_dir)
        dataset = upload(service.client, zipped(pictures))
        wait_until_ready(service.client, dataset["id"])
        before = _added(found, "upload", before, service.data_dir)
        job = fine_tune(service.client, dataset["id"])
        service.settle()
        before = _added(found, "job_and_idle_views", before, service.data_dir)
        for _, path in pictures * 4:
            body = {"inputs": [{"image": base64.b64encode(path.read_bytes()).decode()}]}
            where = f"/v1/models/{job['fine_tuned_model']}/predictions"
            service.client.post(where, json=body).raise_for_status()
        service.settle()
        time.sleep(6)  # usage is written down every few seconds
        _added(found, f"predictions_{4 * len(pictures)}", before, service.data_dir)
    return found


def _counted(folder: Path) -> dict[str, int]:
    with closing(sqlite3.connect(folder / "headstart.db")) as database:
        names = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        return {
            name: database.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0]
            for (name,) in names
        }


def _added(
    found: dict[str, Any], what: str, before: dict[str, int], folder: Path
) -> dict[str, int]:
    after = _counted(folder)
    found[what] = {name: after[name] - before[name] for name in after if after[name] > before[name]}
    return after


def main() -> None:
    """Measure everything; the database is filled, and left so."""
    settings = load_settings()
    if not settings.database_url.startswith("postgresql"):
        raise SystemExit("HEADSTART_DATABASE_URL is to name an empty Postgres on this machine")
    engine = open_engine(settings.database)
    migrate(engine)
    sessions = make_sessions(engine)
    results = {
        "row_bytes": row_bytes(engine),
        "look_ups": look_ups(engine, sessions, settings),
        "claims_with_queued": claims(engine, sessions),
    }
    engine.dispose()
    os.environ.pop("HEADSTART_DATABASE_URL")
    results["rows_written"] = rows_written()
    record(
        "postgres_costs",
        figure="bytes a row with its indexes, the time of Postgres' core for a look-up and a claim,"
        " and the rows that a service writes",
        method=f"{TENANTS} organisations with a key each, {EMBEDDINGS} embeddings of 1000 a tenant,"
        f" {USAGE} usage records; pg_total_relation_size over rows; CPU time of the one backend"
        " from /proc over 2000 keys, 50 look-ups of embeddings and 50 claims; rows: counted in the"
        " embedded service's SQLite before and after an upload, a job and predictions",
        results=results,
    )


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()
    main()
