"""More than can be served, asked of the predictor's own process with an engine of a known rate."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from app.core.errors import HeadstartError
from app.core.messages import Call, Options
from app.infra.predictor_client import PredictorClient
from app.infra.settings import Settings
from tests import serving_kit as kit
from tests.integration.serving.test_predictor import call, with_client
from worker.predictor.held_wait import LONGEST

RATE = 100
PNG = kit.digit_pngs(1)[0][0]
SOON = Options(cache=False)
PATIENT = Options(cache=False, wait=30.0)


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Settings, kit.Stored]]:
    """A predictor of so many images a second, on which twice as many have been asked."""
    settings = Settings(data_dir=tmp_path_factory.mktemp("slow"))
    stored = kit.store_model(settings)
    with kit.predictor(settings, module="benchmarks.serving.stand_in", STAND_IN_RATE=str(RATE)):
        warm = [call(stored.target, [PNG] * 64, PATIENT) for _ in range(3)]
        with_client(settings, lambda client: _all(client, warm))
        yield settings, stored


async def _all(client: PredictorClient, calls: list[Call]) -> list[Any]:
    return await asyncio.gather(*map(client.predict, calls), return_exceptions=True)


def test_who_would_wait_too_long_is_refused_while_who_bears_it_is_served(
    slow: tuple[Settings, kit.Stored],
) -> None:
    settings, stored = slow

    async def body(client: PredictorClient) -> list[Any]:
        patient = [call(stored.target, [PNG] * 13, PATIENT) for _ in range(24)]
        waiting = asyncio.create_task(_all(client, patient))
        await asyncio.sleep(0.1)
        soon = await _all(client, [call(stored.target, [PNG], SOON)])
        return [soon[0], waiting.done(), *await waiting]

    refused, were_done, *served = with_client(settings, body)
    assert isinstance(refused, HeadstartError)
    assert (refused.code, were_done) == ("overloaded", False)
    assert refused.retry_after is not None
    assert 0 < refused.retry_after <= LONGEST
    assert [answer.status for answer in served] == [200] * 24


def test_a_flood_whose_clients_obey_is_served_to_the_last(
    slow: tuple[Settings, kit.Stored],
) -> None:
    settings, stored = slow
    tries, refusals = 0, set()

    async def insist(client: PredictorClient) -> int:
        nonlocal tries
        for _ in range(20):
            tries += 1
            try:
                return (await client.predict(call(stored.target, [PNG], SOON))).status
            except HeadstartError as error:
                refusals.add(error.code)
                await asyncio.sleep(error.retry_after or 0)
        raise AssertionError("refused for ever")

    async def body(client: PredictorClient) -> list[int]:
        return await asyncio.gather(*(insist(client) for _ in range(4 * RATE)))

    assert with_client(settings, body) == [200] * 4 * RATE
    assert refusals == {"overloaded"}
    assert 4 * RATE < tries <= 4 * 4 * RATE


def test_a_flood_refuses_none_of_anothers_calls(slow: tuple[Settings, kit.Stored]) -> None:
    settings, stored = slow

    async def body(client: PredictorClient) -> tuple[list[Any], list[Any]]:
        loud = [call(stored.target, [PNG], SOON, tenant="loud") for _ in range(5 * RATE)]
        flood = asyncio.create_task(_all(client, loud))
        ask = call(stored.target, [PNG], SOON, tenant="quiet")
        quiet = [await client.predict(ask) for _ in range(10)]
        return await flood, quiet

    flood, quiet = with_client(settings, body)
    refused = [one for one in flood if isinstance(one, HeadstartError)]
    assert {error.code for error in refused} == {"overloaded"}
    assert [answer.status for answer in quiet] == [200] * 10
