"""Requests a minute counted by several processes of the app, and by each alone without Redis."""

from __future__ import annotations

import anyio
import pytest

from app.http.rates import Rates
from tests.servers import running_redis

pytestmark = pytest.mark.servers


def taken(rates: Rates) -> str:
    """The code of a refusal, or how many requests are left."""
    told, refused = anyio.run(rates.take, "acme", 2)
    if refused is not None:
        return refused.code
    return dict(told)[b"x-ratelimit-remaining-requests"].decode()


def test_processes_share_the_count_and_go_on_without_the_broker() -> None:
    with running_redis() as server:
        one, other = Rates(server.url), Rates(server.url)
        assert [taken(one), taken(other), taken(one)] == ["1", "0", "rate_limited"]
        server.kill()
        assert [taken(one), taken(one), taken(one)] == ["1", "0", "rate_limited"]
        assert taken(other) == "1"
