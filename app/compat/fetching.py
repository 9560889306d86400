"""Fetching what a request names by a URL: bounded in time and size, and never from inside.

Addresses are judged as those of webhooks are (`app.hooks.outbound`), each redirect anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from urllib.parse import urljoin

import httpx

from app.core.errors import HeadstartError
from app.hooks import outbound
from app.infra.settings import MIB, Settings

SECONDS = 10.0
MOST_BYTES = 20 * MIB
_REDIRECTS = 3
_ALLOWED: Mapping[str, outbound.Networks] = {
    "public": (),
    "any": outbound.networks(("0.0.0.0/0", "::/0")),
}
_HEADERS = {"accept-encoding": "identity", "user-agent": "headstart"}


async def fetch(url: str, settings: Settings) -> bytes:
    """What the address answers with. Raises unsafe_url, url_unreachable."""
    if settings.fetch_urls not in _ALLOWED:
        raise HeadstartError("unsafe_url", "nothing is fetched here (FETCH_URLS)", param="url")
    try:
        async with asyncio.timeout(SECONDS):
            return await _followed(url, _ALLOWED[settings.fetch_urls])
    except TimeoutError as error:
        raise _unreachable(f"it took more than {SECONDS:.0f} s") from error
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
        raise _unreachable("no answer that can be read") from error
    except HeadstartError as error:
        if error.code != "unsafe_webhook_url":
            raise
        raise HeadstartError("unsafe_url", error.message, param="url") from error


async def _followed(url: str, allowed: outbound.Networks) -> bytes:
    for _ in range(_REDIRECTS + 1):
        answer = await _get(url, allowed)
        if isinstance(answer, bytes):
            return answer
        url = urljoin(url, answer)
    raise _unreachable("it redirects again and again")


async def _get(url: str, allowed: outbound.Networks) -> bytes | str:
    """The body, or where it redirects to."""
    place = await outbound.pinned(url, allowed)
    async with (
        httpx.AsyncClient(trust_env=False, timeout=SECONDS) as client,
        client.stream(
            "GET",
            place.url,
            headers={**_HEADERS, "host": place.host},
            extensions={"sni_hostname": place.name},
        ) as answer,
    ):
        if answer.is_redirect:
            return answer.headers["location"]
        if answer.status_code != httpx.codes.OK:
            raise _unreachable(f"it answers {answer.status_code}")
        return await _body(answer)


async def _body(answer: httpx.Response) -> bytes:
    pieces, size = [], 0
    async for piece in answer.aiter_raw():
        size += len(piece)
        if size > MOST_BYTES:
            raise _unreachable(f"it has more than {MOST_BYTES // MIB} MiB")
        pieces.append(piece)
    return b"".join(pieces)


def _unreachable(why: str) -> HeadstartError:
    return HeadstartError("url_unreachable", f"the address cannot be fetched: {why}", param="url")
