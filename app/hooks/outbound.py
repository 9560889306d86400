"""Calls to addresses that callers have named: only public ones, and those that the operator allows.

A name is resolved once, every address that it has is looked at, and the connection goes to one of
them: what the name means a moment later does not matter. No redirect is followed, no proxy of the
environment used, and no more is read than is needed.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import socket
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from urllib.parse import urlsplit

import httpx

from app.core.errors import HeadstartError

MOST_BYTES = 64 * 1024
SECONDS = 15.0
_CONNECT_SECONDS = 5.0
_MOST_URL = 2000
Address = IPv4Address | IPv6Address
Networks = Sequence[IPv4Network | IPv6Network]
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_DOCUMENTATION = ipaddress.ip_network("3fff::/20")
"""RFC 9637's, of no host; `ipaddress` knows neither it nor the site-local ones for private."""
_PORTS = {"https": 443, "http": 80}


@dataclass(frozen=True)
class OutboundReply:
    """What came back: the status, and the beginning of the body."""

    status: int
    body: bytes


@dataclass(frozen=True)
class _Place:
    scheme: str
    host: str
    port: int
    target: str
    """Path and query."""


def networks(told: Sequence[str]) -> Networks:
    """The networks that an operator's setting names."""
    return [ipaddress.ip_network(one, strict=False) for one in told]


def check_url(url: str, allowed: Networks) -> None:
    """Raises unsafe_webhook_url where a URL is no plain one, or leads inside as far as is known.

    A name that cannot be resolved now may be some day; each call looks again.
    """
    place = _placed(url)
    try:
        addresses = _resolved(place)
    except OSError:
        return
    _check(addresses, allowed)


def _placed(url: str) -> _Place:
    if len(url) > _MOST_URL or any(ord(char) <= 32 or ord(char) > 126 for char in url):
        raise _unsafe(f"it has blanks or other characters that no URL has, or over {_MOST_URL}")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise _unsafe(str(error)) from error
    if parts.scheme not in _PORTS:
        raise _unsafe("it is no http or https URL")
    if parts.username is not None or parts.password is not None or "\\" in url:
        raise _unsafe("it names a user")
    if not parts.hostname:
        raise _unsafe("it names no host")
    if parts.fragment:
        raise _unsafe("it has a fragment")
    try:
        parts.hostname.encode("idna")
    except UnicodeError as error:
        raise _unsafe("its host has an empty part, or one of over 63 characters") from error
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return _Place(parts.scheme, parts.hostname, port or _PORTS[parts.scheme], target)


def _resolved(place: _Place) -> list[Address]:
    found = socket.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)
    return [ipaddress.ip_address(str(one[4][0]).partition("%")[0]) for one in found]


def _check(addresses: Sequence[Address], allowed: Networks) -> None:
    """Every address must do: which of them is used is not up to us."""
    for address in addresses:
        plain = _plain(address)
        if not _is_public(plain) and not any(plain in network for network in allowed):
            raise _unsafe("it leads to an address that is not public")


def _plain(address: Address) -> Address:
    """The IPv4 address that an IPv6 one stands for, where it does."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address.sixtofour is not None:
            return address.sixtofour
        if address in _NAT64:
            return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _is_public(address: Address) -> bool:
    if isinstance(address, IPv6Address) and (address.is_site_local or address in _DOCUMENTATION):
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def _unsafe(why: str) -> HeadstartError:
    return HeadstartError("unsafe_webhook_url", f"the URL is not allowed: {why}", param="url")


def post(url: str, body: bytes, headers: Mapping[str, str], allowed: Networks) -> OutboundReply:
    """Send `body`, within 15 seconds all in all. Blocks.

    Raises unsafe_webhook_url, TimeoutError, httpx.HTTPError, OSError.
    """
    return asyncio.run(asyncio.wait_for(_post(url, body, headers, allowed), SECONDS))


async def _post(
    url: str, body: bytes, headers: Mapping[str, str], allowed: Networks
) -> OutboundReply:
    place = await pinned(url, allowed)
    timeout = httpx.Timeout(SECONDS, connect=_CONNECT_SECONDS)
    async with httpx.AsyncClient(trust_env=False, verify=certificates(), timeout=timeout) as client:
        request = client.build_request(
            "POST",
            place.url,
            content=body,
            headers={**headers, "host": place.host},
            extensions={"sni_hostname": place.name},
        )
        answer = await client.send(request, stream=True, follow_redirects=False)
        try:
            return OutboundReply(answer.status_code, await _beginning(answer))
        finally:
            await answer.aclose()


_TRUSTED = ("SSL_CERT_FILE", "SSL_CERT_DIR")


@cache
def certificates() -> ssl.SSLContext:
    """Whose signatures are trusted: what `SSL_CERT_FILE` or `SSL_CERT_DIR` names, or the usual.

    Read once: it takes tens of milliseconds, in which nobody else is answered. Raises OSError,
    which names the variable.
    """
    try:
        return httpx.create_ssl_context()
    except OSError as error:
        name = next((one for one in _TRUSTED if os.environ.get(one)), "the usual certificates")
        raise OSError(f"{name}={os.environ.get(name, '')}: {error}") from None


def certificates_or_exit() -> None:
    """Read them while somebody looks on: what cannot be read fails a start, and no delivery."""
    try:
        certificates()
    except OSError as error:
        raise SystemExit(f"headstart: {error}") from None


@dataclass(frozen=True)
class Pinned:
    """Where a request goes: an address that was looked at, the Host header, the name for TLS."""

    url: str
    host: str
    name: str


async def pinned(url: str, allowed: Networks) -> Pinned:
    """An address of the URL's host, all of which do. Raises unsafe_webhook_url, OSError."""
    place = _placed(url)
    addresses = await asyncio.to_thread(_resolved, place)
    if not addresses:
        raise OSError(f"{place.host} has no address")
    _check(addresses, allowed)
    return Pinned(_pinned(place, addresses[0]), _host(place), place.host)


def _pinned(place: _Place, address: Address) -> str:
    host = f"[{address}]" if isinstance(address, IPv6Address) else str(address)
    return f"{place.scheme}://{host}:{place.port}{place.target}"


def _host(place: _Place) -> str:
    host = f"[{place.host}]" if ":" in place.host else place.host
    return host if place.port == _PORTS[place.scheme] else f"{host}:{place.port}"


async def _beginning(answer: httpx.Response) -> bytes:
    """At most MOST_BYTES as they come, not inflated."""
    read = b""
    async for piece in answer.aiter_raw():
        read += piece
        if len(read) >= MOST_BYTES:
            return read[:MOST_BYTES]
    return read
