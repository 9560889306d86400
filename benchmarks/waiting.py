"""Many who wait for one change each: the app's one poller, and each caller asking by itself."""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median

from anyio import to_thread
from sqlalchemy import Engine, select, update

from app.http.waiting import WORK, Waiting
from app.infra.database import make_sessions, now, open_engine, reading, transaction
from app.infra.migrate import migrate
from app.infra.orm import OrganisationRow, WorkRow
from app.infra.repositories import work
from benchmarks.record import record

WAITERS, SECONDS = (10, 100, 1000), 5.0
Wait = Callable[[str], Awaitable[None]]


def main() -> None:
    """Both ways for each number of waiters, on SQLite, alternating."""
    results = {}
    for count in WAITERS:
        with tempfile.TemporaryDirectory() as folder:
            engine = open_engine(f"sqlite:///{Path(folder) / 'waiting.db'}")
            migrate(engine)
            ids = _add_work(engine, 2 * count)
            results[str(count)] = {
                "one_poller": asyncio.run(_one_poller(engine, ids[:count])),
                "each_by_itself": asyncio.run(_each_by_itself(engine, ids[count:])),
            }
            engine.dispose()
    record(
        "waiting",
        figure="cores used while so many wait and nothing changes, and seconds from the commit that"
        " they wait for until each has been told (median, longest)",
        method=f"{SECONDS:g} s of rest, then one commit that ends every wait; SQLite; both look"
        " every 20 ms",
        results={"load_average": round(os.getloadavg()[0], 1), "waiters": results},
    )


def _add_work(engine: Engine, count: int) -> list[str]:
    with transaction(make_sessions(engine)) as session:
        session.add(OrganisationRow(id="acme", created_at=now(session)))
        session.flush()
        rows = [
            work.add(session, "export", organisation_id="acme", payload={}) for _ in range(count)
        ]
        return [row.id for row in rows]


async def _one_poller(engine: Engine, ids: list[str]) -> dict[str, float]:
    waiting = Waiting(engine)

    async def wait(row_id: str) -> None:
        await waiting.until(WORK, row_id, done=lambda state: state == "done", seconds=600)

    try:
        return await _measured(engine, ids, wait)
    finally:
        await waiting.close()


async def _each_by_itself(engine: Engine, ids: list[str]) -> dict[str, float]:
    sessions = make_sessions(engine)

    def state_of(row_id: str) -> str | None:
        with reading(sessions) as session:
            return session.scalar(select(WorkRow.state).where(WorkRow.id == row_id))

    async def wait(row_id: str) -> None:
        while await to_thread.run_sync(state_of, row_id) != "done":  # noqa: ASYNC110
            await asyncio.sleep(0.02)

    return await _measured(engine, ids, wait)


async def _measured(engine: Engine, ids: list[str], wait: Wait) -> dict[str, float]:
    """Rest, then end every wait with one commit."""
    told: list[float] = []

    async def one(row_id: str) -> None:
        await wait(row_id)
        told.append(time.perf_counter())

    tasks = [asyncio.create_task(one(row_id)) for row_id in ids]
    await asyncio.sleep(1.0)
    used = time.process_time()
    await asyncio.sleep(SECONDS)
    cores = (time.process_time() - used) / SECONDS
    await to_thread.run_sync(_end, engine, ids)
    committed = time.perf_counter()
    await asyncio.gather(*tasks)
    delays = [max(0.0, at - committed) for at in told]
    return {
        "cores": round(cores, 3),
        "told_median_s": round(median(delays), 3),
        "told_longest_s": round(max(delays), 3),
    }


def _end(engine: Engine, ids: list[str]) -> None:
    with transaction(make_sessions(engine)) as session:
        session.execute(update(WorkRow).where(WorkRow.id.in_(ids)).values(state="done"))


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()
    main()
