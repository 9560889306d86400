"""What killed processes left behind goes; what is being written stays."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from functools import partial
from pathlib import Path

from app.infra.storage import OLD_SECONDS, sweep
from app.operations.tidying import repeated, tidied


def left_behind(folder: Path, name: str, *, age: float) -> Path:
    made = folder / name
    made.mkdir()
    (made / "upload").write_bytes(b"half")
    for path in (made / "upload", made):
        os.utime(path, (time.time() - age,) * 2)
    return made


def test_it_sweeps_at_once_and_again(tmp_path: Path) -> None:
    old = left_behind(tmp_path, ".scratch-old", age=OLD_SECONDS + 60)
    fresh = left_behind(tmp_path, ".scratch-fresh", age=60)

    async def live() -> None:
        async with tidied(partial(sweep, tmp_path), every=0.02):
            await until_gone(old)
            later = left_behind(tmp_path, ".scratch-later", age=OLD_SECONDS + 60)
            await until_gone(later)

    asyncio.run(live())
    assert fresh.is_dir()


def test_a_folder_that_cannot_be_read_is_tried_again(tmp_path: Path) -> None:
    (tmp_path / "staging").write_bytes(b"no folder yet")

    async def live() -> None:
        async with tidied(partial(sweep, tmp_path / "staging"), every=0.02):
            (tmp_path / "staging").unlink()
            (tmp_path / "staging").mkdir()
            await until_gone(left_behind(tmp_path / "staging", "x", age=OLD_SECONDS + 60))

    asyncio.run(live())


def test_at_its_end_the_step_under_way_is_waited_for() -> None:
    begun, ended = threading.Event(), threading.Event()

    def slow() -> int:
        begun.set()
        time.sleep(0.2)
        ended.set()
        return 0

    async def live() -> None:
        async with tidied(slow):
            await asyncio.to_thread(begun.wait, 10)
        assert ended.is_set()

    asyncio.run(live())


def test_what_nobody_expected_ends_nothing() -> None:
    async def live() -> None:
        steps, third = 0, asyncio.Event()

        async def stumble() -> None:
            nonlocal steps
            steps += 1
            if steps == 3:
                third.set()
            raise KeyError("what")

        async with repeated(stumble, every=0.01):
            await asyncio.wait_for(third.wait(), 10)

    asyncio.run(live())


async def until_gone(path: Path) -> None:
    await asyncio.to_thread(wait_gone, path)


def wait_gone(path: Path) -> None:
    deadline = time.monotonic() + 10
    while path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
