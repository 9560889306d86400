"""Calls to a Label Studio: its API and its files. Bounded, and only to addresses that may be.

Addresses are judged as webhooks' are: public ones, and those of WEBHOOK_NETWORKS. The token goes to
the project's own host alone.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx
from anyio import to_thread
from pydantic_core import from_json, to_json

from app.core.errors import HeadstartError
from app.hooks import outbound
from app.infra.settings import MIB, Settings, split_list

_SECONDS = 60.0
_MOST_BYTES = 256 * MIB
_MOST_FILE = 32 * MIB
_REDIRECTS = 3
_JWT_DOTS = 2


@dataclass(frozen=True, slots=True)
class Studio:
    """Where a project lives, and the token for its API."""

    hostname: str
    token: str | None
    settings: Settings

    async def tasks(self, project: str) -> list[dict[str, Any]]:
        """Every annotated task of the project, with its annotations."""
        number = project.partition(".")[0]
        if not (number.isascii() and number.isdigit()):
            raise HeadstartError("invalid_request", "the project has no number", param="project")
        url = f"{self.hostname.rstrip('/')}/api/projects/{number}/export?exportType=JSON"
        told = await to_thread.run_sync(from_json, await self._get(url, _MOST_BYTES))
        if not isinstance(told, list) or not all(isinstance(one, dict) for one in told):
            raise _unreachable("its export is no list of tasks")
        return told

    async def file(self, value: str) -> bytes:
        """What a task's value leads to: an address, or a path of the Label Studio's own."""
        return await self._get(urljoin(self.hostname.rstrip("/") + "/", value), _MOST_FILE)

    async def _get(self, url: str, most: int) -> bytes:
        try:
            async with asyncio.timeout(_SECONDS):
                headers = await self._authorization()
                for _ in range(_REDIRECTS + 1):
                    own = urlsplit(url)[:2] == urlsplit(self.hostname)[:2]
                    answer = await self._exchange("GET", url, headers if own else {}, most)
                    if isinstance(answer, bytes):
                        return answer
                    url = urljoin(url, answer)
        except TimeoutError as error:
            raise _unreachable(f"it took more than {_SECONDS:.0f} s") from error
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            raise _unreachable("no answer that can be read") from error
        except HeadstartError as error:
            if error.code != "unsafe_webhook_url":
                raise
            why = f"{error.message}; an operator may allow it (WEBHOOK_NETWORKS)"
            raise HeadstartError("unsafe_url", why, param="hostname") from error
        raise _unreachable("it redirects again and again")

    async def _authorization(self) -> dict[str, str]:
        """A legacy token as it is; a personal access token is exchanged for one of minutes."""
        if not self.token:
            return {}
        if self.token.count(".") != _JWT_DOTS:
            return {"authorization": f"Token {self.token}"}
        url = f"{self.hostname.rstrip('/')}/api/token/refresh"
        body = to_json({"refresh": self.token})
        answer = await self._exchange("POST", url, {}, MIB, body)
        access = from_json(answer).get("access") if isinstance(answer, bytes) else None
        if not isinstance(access, str):
            raise _unreachable("it takes the access token for none")
        return {"authorization": f"Bearer {access}"}

    async def _exchange(
        self, method: str, url: str, headers: dict[str, str], most: int, body: bytes | None = None
    ) -> bytes | str:
        """The body, or where it redirects to."""
        allowed = outbound.networks(split_list(self.settings.webhook_networks))
        place = await outbound.pinned(url, allowed)
        sent = {**headers, "host": place.host, "accept-encoding": "identity"}
        if body is not None:
            sent["content-type"] = "application/json"
        async with (
            httpx.AsyncClient(trust_env=False, timeout=_SECONDS) as client,
            client.stream(
                method, place.url, headers=sent, content=body,
                extensions={"sni_hostname": place.name},
            ) as answer,
        ):  # fmt: skip
            if answer.is_redirect:
                return answer.headers["location"]
            if answer.status_code != httpx.codes.OK:
                raise _unreachable(f"it answers {answer.status_code}")
            return await _read(answer, most)


async def _read(answer: httpx.Response, most: int) -> bytes:
    pieces, size = [], 0
    async for piece in answer.aiter_raw():
        size += len(piece)
        if size > most:
            raise _unreachable(f"it sends more than {most // MIB} MiB")
        pieces.append(piece)
    return b"".join(pieces)


def _unreachable(why: str) -> HeadstartError:
    return HeadstartError("url_unreachable", f"Label Studio: {why}", param="hostname")
