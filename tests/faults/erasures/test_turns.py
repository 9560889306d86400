"""Who appends to a dataset all the time keeps no erasure out of it, on both databases."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from itertools import count

import httpx
import pytest

from app.datasets.erasing import turn
from app.infra.orm import DatasetRow
from tests.api.uploading import DATASETS, code, send
from tests.archives import png, zipped
from tests.faults.erasures.test_erasures import assert_gone, dataset, erase, ready
from tests.faults.two_apps import interrupt, two_apps
from tests.servers import wait_for
from tests.worker_kit import Kit

NUMBERS = count(960)


def append(client: httpx.Client, name: str) -> httpx.Response:
    number = next(NUMBERS)
    members = {f"b/{number}.png": png(number)}
    return send(client, zipped(members), to=f"{DATASETS}/{name}/examples")


def is_taken(footing: Kit, name: str) -> bool:
    """Whether an erasure has its turn."""
    return bool(footing.read(lambda session: session.get_one(DatasetRow, name).erasing_until))


def test_each_try_finds_another_version_until_it_has_its_turn(footing: Kit) -> None:
    begun: list[Future[httpx.Response]] = []
    with two_apps(footing) as (one, _, first, second), ThreadPoolExecutor(8) as pool:
        name = dataset(footing, first)

        def another() -> None:
            """As somebody would who waits for nothing but the answer to the one before."""
            if is_taken(footing, name):
                begun.append(pool.submit(append, second, name))
                return
            assert append(second, name).status_code == 201
            ready(footing, name)

        for at in range(1, 40):  # every file that it puts
            interrupt(one, "put", at=at, then=another)
        assert erase(first, name).status_code == 201
        assert begun, "it has never had to take its turn"
        answers = [one.result(60) for one in begun]
        assert {answer.status_code for answer in answers} <= {201, 409}
        assert not is_taken(footing, name)
        ready(footing, name)
        assert append(second, name).status_code == 201
        ready(footing, name)
        assert_gone(footing, second, name)


def test_it_waits_for_a_version_in_the_making_and_no_further_one_begins(
    footing: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turn, "_PATIENCE_SECONDS", 0.0)
    with two_apps(footing) as (_, _, first, second), ThreadPoolExecutor(1) as pool:
        name = dataset(footing, first)
        assert append(second, name).status_code == 201
        told = pool.submit(erase, first, name)
        wait_for(lambda: is_taken(footing, name))
        assert code(append(second, name)) == (409, "in_flight")
        ready(footing, name)
        assert told.result(60).status_code == 201
        assert append(second, name).status_code == 201
        ready(footing, name)
        assert_gone(footing, second, name)


def test_one_that_was_refused_finds_no_further_version(
    footing: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turn, "_PATIENCE_SECONDS", 0.0)
    monkeypatch.setattr(turn, "_MAKING_SECONDS", 0.0)
    with two_apps(footing) as (_, _, first, second):
        name = dataset(footing, first)
        assert append(second, name).status_code == 201
        assert code(erase(first, name)) == (409, "in_use")
        assert code(append(second, name)) == (409, "in_flight")
        ready(footing, name)
        assert erase(first, name).status_code == 201
        assert append(second, name).status_code == 201


def test_a_turn_that_nobody_ends_is_over_by_itself(
    footing: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turn, "_MAKING_SECONDS", 0.0)
    monkeypatch.setattr(turn, "_REFUSED_SECONDS", 0.0)
    with two_apps(footing) as (_, _, first, second):
        name = dataset(footing, first)
        assert append(second, name).status_code == 201
        assert code(erase(first, name)) == (409, "in_use")
        assert append(second, name).status_code == 201


def test_one_that_fails_lets_others_go_on(footing: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turn, "_PATIENCE_SECONDS", 0.0)
    with two_apps(footing) as (one, _, first, second):
        name = dataset(footing, first)

        def fail() -> None:
            raise OSError("as if the store were away")

        interrupt(one, "put", at=3, then=fail, before=True)
        interrupt(one, "put", at=1, then=lambda: append(second, name) and ready(footing, name))
        assert erase(first, name).status_code >= 500
        assert append(second, name).status_code == 201
