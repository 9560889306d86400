"""What a proxy says of its client (`Forwarded`, RFC 7239; `X-Forwarded-*`), if it is believed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from ipaddress import ip_address, ip_network

from starlette.datastructures import Headers, MutableHeaders

from app.http.gate import Scope

_SCHEMES = frozenset({"http", "https"})
_PREFIX = re.compile(r"(/[A-Za-z0-9._~-]+)+")
_HOST = re.compile(r"[A-Za-z0-9.-]+(:\d{1,5})?|\[[0-9A-Fa-f:.]+\](:\d{1,5})?")
_PAIR = re.compile(r'\s*([A-Za-z]+)\s*=\s*(?:"([^"]*)"|([^;,"\s]*))\s*')


class Trusted:
    """The addresses whose word is taken."""

    def __init__(self, networks: Sequence[str]) -> None:
        self._networks = [ip_network(one, strict=False) for one in networks]

    def apply(self, scope: Scope, headers: Headers) -> str:
        """Write client, scheme and host as the proxy says into `scope`; its prefix is the answer.

        The nearest word counts where there are several; of a chain of clients, the nearest one
        that is no proxy of ours.
        """
        told = _told(headers)
        if not told or not self._believes(scope.get("client")):
            return ""
        for address in reversed(told.get("for", "").split(",")):
            if host := _bare(address):
                scope["client"] = (host, 0)
                if not self._trusts(host):
                    break
        if (scheme := _last(told, "proto").lower()) in _SCHEMES:
            scope["scheme"] = scheme
        if _HOST.fullmatch(host := _last(told, "host")):
            scope["headers"] = list(scope["headers"])
            MutableHeaders(scope=scope)["host"] = host
        prefix = _last(told, "prefix").rstrip("/")
        return prefix if _PREFIX.fullmatch(prefix) else ""

    def _believes(self, client: Sequence[object] | None) -> bool:
        """Whether the peer's word is taken; what connects by a Unix socket has no address."""
        return client is None or not client[0] or self._trusts(str(client[0]))

    def _trusts(self, host: str) -> bool:
        try:
            address = ip_address(host)
        except ValueError:
            return False
        mapped = getattr(address, "ipv4_mapped", None)
        return any((mapped or address) in network for network in self._networks)


def _told(headers: Headers) -> dict[str, str]:
    """What is said, by its name in RFC 7239; `X-Forwarded-*` goes before `Forwarded`."""
    if not any(b"forwarded" in name for name, _ in headers.raw):
        return {}
    names = ("for", "proto", "host", "prefix")
    told = {name: ",".join(headers.getlist(f"x-forwarded-{name}")) for name in names}
    return {name: text for name, text in told.items() if text} or _standard(headers)


def _standard(headers: Headers) -> dict[str, str]:
    combined: dict[str, str] = {}
    for element in ",".join(headers.getlist("forwarded")).split(","):
        for match in _PAIR.finditer(element):
            name, value = match[1].lower(), match[2] or match[3] or ""
            combined[name] = f"{combined[name]},{value}" if name in combined else value
    return combined


def _last(told: Mapping[str, str], name: str) -> str:
    return told.get(name, "").rpartition(",")[2].strip()


def _bare(address: str) -> str:
    """The address without port, brackets and quotes; empty where it is none (`unknown`, `_x`)."""
    text = address.strip().strip('"')
    host = text[1:].partition("]")[0] if text.startswith("[") else text
    if host.count(":") == 1:
        host = host.partition(":")[0]
    try:
        return str(ip_address(host))
    except ValueError:
        return ""
