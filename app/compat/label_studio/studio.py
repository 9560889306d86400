"""Calls to a Label Studio: its API and its files. Bounded, and only to addresses that may be.

Addresses are judged as webhooks' are: public ones, and those of WEBHOOK_NETWORKS. The token goes to
the project's own host alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

from pydantic_core import from_json, to_json

from app.compat.fetching import REDIRECTS, UnreachableError, exchange, reaching
from app.core.errors import HeadstartError
from app.hooks import outbound
from app.infra.settings import MIB, Settings, split_list

_SECONDS = 60.0
_MOST_BYTES = 64 * MIB
_MOST_FILE = 32 * MIB
_JWT_DOTS = 2


@dataclass(frozen=True, slots=True)
class Studio:
    """Where a project lives, and what tells the token for its API, if there is one."""

    hostname: str
    token: Callable[[], str] | None
    settings: Settings

    async def export(self, project: str) -> bytes:
        """The project's annotated tasks, with their annotations: a JSON list."""
        number = project.partition(".")[0]
        if not (number.isascii() and number.isdigit()):
            raise HeadstartError("invalid_request", "the project has no number", param="project")
        url = f"{self.hostname.rstrip('/')}/api/projects/{number}/export?exportType=JSON"
        return await self._get(url, _MOST_BYTES)

    async def file(self, value: str) -> bytes:
        """What a task's value leads to: an address, or a path of the Label Studio's own."""
        return await self._get(urljoin(self.hostname.rstrip("/") + "/", value), _MOST_FILE)

    async def _get(self, url: str, most: int) -> bytes:
        with self._reaching():
            async with asyncio.timeout(_SECONDS):
                headers = await self._authorization()
                for _ in range(REDIRECTS + 1):
                    own = urlsplit(url)[:2] == urlsplit(self.hostname)[:2]
                    answer = await self._exchange("GET", url, headers if own else {}, most)
                    if isinstance(answer, bytes):
                        return answer
                    url = urljoin(url, answer)
                raise UnreachableError("it redirects again and again")

    def _reaching(self) -> AbstractContextManager[None]:
        hint = "; an operator may allow it (WEBHOOK_NETWORKS)"
        return reaching("Label Studio", param="hostname", seconds=_SECONDS, hint=hint)

    async def _authorization(self) -> dict[str, str]:
        """A legacy token as it is; a personal access token is exchanged for one of minutes."""
        token = self.token() if self.token is not None else ""
        if not token:
            return {}
        if token.count(".") != _JWT_DOTS:
            return {"authorization": f"Token {token}"}
        url = f"{self.hostname.rstrip('/')}/api/token/refresh"
        body = to_json({"refresh": token})
        answer = await self._exchange("POST", url, {}, MIB, body)
        access = from_json(answer).get("access") if isinstance(answer, bytes) else None
        if not isinstance(access, str):
            raise UnreachableError("it takes the access token for none")
        return {"authorization": f"Bearer {access}"}

    async def _exchange(
        self, method: str, url: str, headers: dict[str, str], most: int, body: bytes | None = None
    ) -> bytes | str:
        """The body, or where it redirects to."""
        allowed = outbound.networks(split_list(self.settings.webhook_networks))
        told = headers if body is None else {**headers, "content-type": "application/json"}
        return await exchange(method, url, allowed, headers=told, most=most, body=body)
