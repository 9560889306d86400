"""Two apps on one database and one storage, of which one is stopped between two of its steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import httpx

from app.infra.storage import Storage
from tests.api.service import Service, serve
from tests.factories import make_key
from tests.worker_kit import Kit

Step = Callable[[], object]


class Stepped:
    """A storage that does something else after its `at`-th step of the kind `verb`."""

    def __init__(self, storage: Storage, verb: str, *, before: bool, at: int, then: Step) -> None:
        self._storage = storage
        self._verb = verb
        self._before = before
        self._left = at
        self._then = then

    def __getattr__(self, verb: str) -> Any:
        found = getattr(self._storage, verb)
        return self._stepped(found) if verb == self._verb else found

    def _stepped(self, verb: Callable[..., Any]) -> Callable[..., Any]:
        def step(*arguments: Any) -> Any:
            self._left -= 1
            if self._left == 0 and self._before:
                self._then()
            result = verb(*arguments)
            if self._left == 0 and not self._before:
                self._then()
            return result

        return step


def interrupt(service: Service, verb: str, *, at: int, then: Step, before: bool = False) -> None:
    held = service.services
    stepped = Stepped(held.storage, verb, before=before, at=at, then=then)
    service.app.state.services = replace(held, storage=stepped)


@contextmanager
def two_apps(kit: Kit) -> Iterator[tuple[Service, Service, httpx.Client, httpx.Client]]:
    key = make_key(kit.sessions, "acme")
    with serve(kit.settings) as one, serve(kit.settings) as other:
        with one.client(key) as first, other.client(key) as second:
            yield one, other, first, second
