"""An alias with a log, a real predictor behind it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from app.infra.database import reading
from app.infra.orm import LoggedPredictionRow
from tests import serving_kit as kit
from tests.api.predictions.conftest import model, service
from tests.api.service import Service

__all__ = ["model", "service"]
ALIAS = "digits@live"
URL = f"/v1/models/{ALIAS}/predictions"
DIGITS = kit.digit_pngs(40, skip=60)
Logged = Callable[[int], Sequence[LoggedPredictionRow]]
Kept = Callable[[], list[str]]


@pytest.fixture(autouse=True)
def alias(client: httpx.Client, model: str) -> Iterator[str]:
    client.put(f"/v1/aliases/{ALIAS}", json={"model": model}).raise_for_status()
    yield ALIAS
    client.delete(f"/v1/aliases/{ALIAS}").raise_for_status()


def switch_on(client: httpx.Client, **rule: Any) -> dict[str, Any]:
    """Begin a log; the alias then."""
    told = client.patch(f"/v1/aliases/{ALIAS}", json={"prediction_log": rule})
    assert told.status_code == 200, told.text
    found: dict[str, Any] = told.json()
    return found


def ask(client: httpx.Client, image: bytes, **headers: str) -> httpx.Response:
    """A prediction of one raw image."""
    answer = client.post(URL, content=image, headers={"content-type": "image/png", **headers})
    assert answer.status_code == 200, answer.text
    return answer


@pytest.fixture
def kept(service: Service) -> Kept:
    """The keys of inputs that are kept since the test began: other files' tests have the storage,
    too."""
    storage = service.services.storage
    before = set(storage.keys("live"))
    return lambda: [key for key in storage.keys("live") if key not in before]


@pytest.fixture
def logged(service: Service) -> Logged:
    """The log's rows once there are so many; fails where there are more."""

    def rows(count: int) -> Sequence[LoggedPredictionRow]:
        deadline = time.monotonic() + 30
        while True:
            with reading(service.services.sessions) as session:
                of = LoggedPredictionRow
                found = session.scalars(select(of).where(of.alias == ALIAS).order_by(of.id)).all()
            if len(found) >= count or time.monotonic() > deadline:
                assert len(found) == count
                return found
            time.sleep(0.05)

    return rows
