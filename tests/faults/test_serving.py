"""Promises 19 and 20: swaps under load, a corrupt model, a killed predictor, flat memory."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from app.core.messages import Call, Input, Options, Target
from app.infra.predictor_client import PredictorClient
from app.infra.settings import Settings
from benchmarks.serving.open_loop import Plan, http_request, run_async
from tests import serving_kit as kit
from tests.api.predictions.conftest import register
from tests.api.service import Service, serve
from tests.factories import make_key, migrated
from tests.faults.counts import times

RATE, SECONDS = times(20, 200), times(6, 20)
PREDICTIONS = times(1_500, 100_000)
AT_ONCE = 50
PNG = kit.digit_pngs(1, skip=30)[0][0]


@pytest.fixture(scope="module")
def swapped(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Service, list[Target], str]]:
    """A service with two good models and a corrupt one."""
    folder = tmp_path_factory.mktemp("swap")
    settings = Settings(data_dir=folder)
    migrated(folder)
    targets = [
        kit.store_model(settings, organisation="default", name=name, seed=seed).target
        for seed, name in enumerate(("first", "second", "corrupt"))
    ]
    path = folder / "storage" / targets[2].artifact / "head.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with kit.predictor(settings), serve(settings) as service:
        key = make_key(service.services.sessions)
        for target in targets:
            register(service.services.sessions, target, name=target.model)
        yield service, targets, key


@pytest.mark.promise(19)
def test_a_swap_under_load_is_neither_an_error_nor_a_mix(
    swapped: tuple[Service, list[Target], str],
) -> None:
    service, targets, key = swapped
    good = [target.model for target in targets[:2]]
    seen: Counter[str] = Counter()
    errors: list[tuple[int, bytes]] = []

    def check(_number: int, status: int, body: bytes) -> None:
        if status != 200:
            errors.append((status, body))
            return
        answer = json.loads(body)
        assert len(answer["data"]) == 1
        seen[answer["model"]] += 1

    async def swap(client: httpx.AsyncClient) -> None:
        for turn in range(int(SECONDS / 0.25)):
            await client.put("/v1/aliases/live", json={"model": good[turn % 2]})
            refused = await client.put("/v1/aliases/live", json={"model": targets[2].model})
            assert refused.status_code == 503
            await asyncio.sleep(0.25)

    async def go() -> None:
        headers = {"authorization": f"Bearer {key}"}
        async with httpx.AsyncClient(base_url=service.url, headers=headers, timeout=300) as client:
            await client.put("/v1/aliases/live", json={"model": good[0]})
            request = http_request("/v1/models/live/predictions", key, PNG, kind="image/png")
            load = run_async(service.url, [request], Plan(rate=RATE, seconds=SECONDS), check=check)
            await asyncio.gather(load, swap(client))

    asyncio.run(go())
    assert errors == []
    assert set(seen) == set(good)
    assert sum(seen.values()) >= RATE * SECONDS * 0.8


def test_a_killed_predictor_is_a_503_and_then_serves_again(
    swapped: tuple[Service, list[Target], str], tmp_path: Path
) -> None:
    service, targets, key = swapped
    store = service.settings.data_dir / "storage"
    shutil.copytree(store, tmp_path / "storage")
    settings = Settings(
        data_dir=tmp_path, database_url=service.settings.database, max_predict_items=4
    )
    url = f"/v1/models/{targets[0].model}/predictions"
    with serve(settings) as other, other.client(key) as client:
        for _ in range(2):
            away = client.post(url, content=PNG, headers={"content-type": "image/png"})
            assert (away.status_code, away.json()["code"]) == (503, "predictor_unavailable")
            assert int(away.headers["retry-after"]) >= 1
            with kit.predictor(settings) as process:
                served = client.post(url, content=PNG, headers={"content-type": "image/png"})
                assert served.status_code == 200
                process.kill()
                process.wait(300)


@pytest.mark.promise(20)
def test_memory_stays_flat(tmp_path: Path) -> None:
    """Promise 20: every other input is new to the cache, whose budget is soon full."""
    settings = Settings(data_dir=tmp_path)
    target = kit.store_model(settings).target
    small = {"HEADSTART_PREDICTION_CACHE_BYTES": "200000"}
    with kit.predictor(settings, **small) as process:
        resident = asyncio.run(_predict_many(settings, target, process.pid))
    warm = resident[len(resident) // 4]
    assert max(resident) - warm < 15, resident


async def _predict_many(settings: Settings, target: Target, pid: int) -> list[float]:
    """Resident MB of `pid` after each tenth of the predictions."""
    client = PredictorClient(settings.predictor, limit=1024)
    resident = []
    for number in range(PREDICTIONS // AT_ONCE):
        inputs = tuple(
            Input("image", PNG + number.to_bytes(4, "big") * (place % 2) + bytes([place]))
            for place in range(AT_ONCE)
        )
        call = Call(id="p", tenant="t", target=target, options=Options(), inputs=inputs)
        answer = await client.predict(call)
        assert answer.body.count(b'"label"') >= AT_ONCE
        if number % max(1, PREDICTIONS // AT_ONCE // 20) == 0:
            resident.append(_resident_mb(pid))
    await client.close()
    return resident


def _resident_mb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 / 1e6
