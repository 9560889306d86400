"""Fetching what a request names by a URL: bounded in time and size, and never from inside.

Addresses are judged as those of webhooks are (`app.hooks.outbound`), each redirect anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import urljoin

import httpx

from app.core.errors import HeadstartError
from app.hooks import outbound
from app.infra.settings import MIB, Settings

SECONDS = 10.0
MOST_BYTES = 20 * MIB
REDIRECTS = 3
_SILENCE = 60.0
"""Seconds in which something must come; whoever asks bounds the whole."""
_ALLOWED: Mapping[str, outbound.Networks] = {
    "public": (),
    "any": outbound.networks(("0.0.0.0/0", "::/0")),
}
_HEADERS = {"user-agent": "headstart"}


class UnreachableError(Exception):
    """Why an address has not answered with what was asked for."""


async def fetch(url: str, settings: Settings) -> bytes:
    """What the address answers with. Raises unsafe_url, url_unreachable."""
    if settings.fetch_urls not in _ALLOWED:
        raise HeadstartError("unsafe_url", "nothing is fetched here (FETCH_URLS)", param="url")
    with reaching("the address cannot be fetched", param="url", seconds=SECONDS):
        async with asyncio.timeout(SECONDS):
            return await _followed(url, _ALLOWED[settings.fetch_urls])


@contextmanager
def reaching(what: str, *, param: str, seconds: float, hint: str = "") -> Iterator[None]:
    """Say whatever keeps a request from its answer as url_unreachable or unsafe_url, of `param`.

    `seconds` are what the block allows itself, `hint` is said of an address that is not allowed.
    """
    try:
        yield
    except TimeoutError as error:
        why = f"{what}: it took more than {seconds:.0f} s"
        raise HeadstartError("url_unreachable", why, param=param) from error
    except UnreachableError as error:
        raise HeadstartError("url_unreachable", f"{what}: {error}", param=param) from error
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
        why = f"{what}: no answer that can be read"
        raise HeadstartError("url_unreachable", why, param=param) from error
    except HeadstartError as error:
        if error.code != "unsafe_webhook_url":
            raise
        raise HeadstartError("unsafe_url", error.message + hint, param=param) from error


async def _followed(url: str, allowed: outbound.Networks) -> bytes:
    for _ in range(REDIRECTS + 1):
        answer = await exchange("GET", url, allowed, headers=_HEADERS, most=MOST_BYTES)
        if isinstance(answer, bytes):
            return answer
        url = urljoin(url, answer)
    raise UnreachableError("it redirects again and again")


async def exchange(
    method: str,
    url: str,
    allowed: outbound.Networks,
    *,
    headers: Mapping[str, str],
    most: int,
    body: bytes | None = None,
) -> bytes | str:
    """One request to an address that may be asked: the body, or where it redirects to.

    Raises UnreachableError, unsafe_webhook_url, OSError, and what httpx does.
    """
    place = await outbound.pinned(url, allowed)
    async with (
        httpx.AsyncClient(
            trust_env=False, verify=outbound.certificates(), timeout=_SILENCE
        ) as client,
        client.stream(
            method,
            place.url,
            headers={**headers, "host": place.host, "accept-encoding": "identity"},
            content=body,
            extensions={"sni_hostname": place.name},
        ) as answer,
    ):
        if answer.is_redirect:
            return answer.headers["location"]
        if answer.status_code != httpx.codes.OK:
            raise UnreachableError(f"it answers {answer.status_code}")
        return await _body(answer, most)


async def _body(answer: httpx.Response, most: int) -> bytes:
    pieces, size = [], 0
    async for piece in answer.aiter_raw():
        size += len(piece)
        if size > most:
            raise UnreachableError(f"it sends more than {most // MIB} MiB")
        pieces.append(piece)
    return b"".join(pieces)
