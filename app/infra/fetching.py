"""Fetching what a request names by a URL: bounded in time and size, and never from inside.

The host is looked up once, every address of it is judged, and the connection goes to an address
that was judged: a name that changes its mind in between gains nothing. Redirects are judged anew.
"""

from __future__ import annotations

import asyncio
import socket
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import urljoin, urlsplit

import httpx

from app.core.errors import HeadstartError
from app.infra.settings import MIB, Settings

SECONDS = 10.0
MOST_BYTES = 20 * MIB
_REDIRECTS = 3
_EMBEDDED = (ip_network("64:ff9b::/96"), ip_network("64:ff9b:1::/48"), ip_network("::/96"))
"""Networks of IPv6 whose addresses stand for one of IPv4."""
Address = IPv4Address | IPv6Address


async def fetch(url: str, settings: Settings) -> bytes:
    """What the address answers with. Raises unsafe_url, url_unreachable."""
    if settings.fetch_urls == "none":
        raise HeadstartError("unsafe_url", "nothing is fetched here (FETCH_URLS)", param="url")
    try:
        async with asyncio.timeout(SECONDS):
            for _ in range(_REDIRECTS + 1):
                answer = await _get(url, anywhere=settings.fetch_urls == "any")
                if isinstance(answer, bytes):
                    return answer
                url = urljoin(url, answer)
    except TimeoutError as error:
        raise _unreachable(f"it took more than {SECONDS:.0f} s") from error
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
        raise _unreachable("no answer that can be read") from error
    raise _unreachable("it redirects again and again")


async def _get(url: str, *, anywhere: bool) -> bytes | str:
    """The body, or where it redirects to."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or {"https": 443}.get(parts.scheme, 80)
    if parts.scheme not in ("http", "https") or not host or parts.username or parts.password:
        raise HeadstartError("unsafe_url", "send an http or https URL without a key", param="url")
    address = await _resolved(host, port, anywhere=anywhere)
    shown = f"[{address}]" if isinstance(address, IPv6Address) else str(address)
    target = parts._replace(netloc=f"{shown}:{port}", fragment="").geturl()
    headers = {"host": parts.netloc, "accept-encoding": "identity", "user-agent": "headstart"}
    async with (
        httpx.AsyncClient(trust_env=False, follow_redirects=False, timeout=SECONDS) as client,
        client.stream("GET", target, headers=headers, extensions={"sni_hostname": host}) as answer,
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


async def _resolved(host: str, port: int, *, anywhere: bool) -> Address:
    """An address of the host. Raises unsafe_url if any of its addresses is not public."""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise _unreachable("its host has no address") from error
    addresses = [ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]
    if not anywhere and not all(map(is_public, addresses)):
        raise HeadstartError("unsafe_url", "that is no public address", param="url")
    return addresses[0]


def is_public(address: Address) -> bool:
    """Whether the address, and the IPv4 one that it may stand for, is out on the internet."""
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner is None and address.teredo is not None:
            return False
        if inner is None and any(address in network for network in _EMBEDDED):
            inner = IPv4Address(int(address) & 0xFFFF_FFFF)
        if inner is not None:
            return is_public(inner) and (address.ipv4_mapped is not None or address.is_global)
    return address.is_global and not address.is_multicast


def _unreachable(why: str) -> HeadstartError:
    return HeadstartError("url_unreachable", f"the address cannot be fetched: {why}", param="url")
