"""The request as its client meant it: prefixes, slashes, HEAD, and what proxies say."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from app.http.body import Message, Receive
from app.http.front import Front, link
from app.http.gate import Scope, Send

Headers = dict[str, str]


def through(
    path: str,
    *,
    prefix: str = "",
    own: str = "",
    method: str = "GET",
    peer: str = "127.0.0.1",
    **headers: str,
) -> tuple[Scope, list[Message]]:
    """What the application sees, and what its client is sent; it redirects to /docs."""
    seen: list[Scope] = []
    sent: list[Message] = []

    async def application(scope: Scope, _receive: Receive, send: Send) -> None:
        seen.append(scope)
        location = [(b"location", b"/docs"), (b"content-length", b"4")]
        await send({"type": "http.response.start", "status": 307, "headers": location})
        await send({"type": "http.response.body", "body": b"body"})

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    scope: dict[str, Any] = {
        "type": "http",
        "method": method,
        "scheme": "http",
        "path": path,
        "root_path": own,
        "client": (peer, 1),
        "headers": [
            (name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()
        ],
    }
    front = Front(application, root_path=prefix, trusted=["127.0.0.1", "10.0.0.0/8", "fd00::/8"])
    asyncio.run(front(scope, receive, send))
    return seen[0], sent


def answered(sent: list[Message], name: bytes) -> bytes | None:
    return dict(sent[0]["headers"]).get(name)


@pytest.mark.parametrize(
    ("path", "prefix", "own", "within"),
    [
        ("/v1/models", "", "", "/v1/models"),
        ("/v1/models/", "", "", "/v1/models"),
        ("/", "", "", "/"),
        ("/hs/v1/models/", "/hs", "", "/v1/models"),
        ("/v1/models", "/hs", "", "/v1/models"),
        ("/hs", "/hs", "", "/"),
        ("/hs/", "/hs", "", "/"),
        ("/hsx/v1", "/hs", "", "/hsx/v1"),
        ("/hs/livez", "", "/hs", "/livez"),
        ("/hs/hs/livez", "", "/hs", "/livez"),
    ],
)
def test_a_path_is_told_in_one_form(path: str, prefix: str, own: str, within: str) -> None:
    scope, sent = through(path, prefix=prefix, own=own)
    assert (scope["path"], scope["root_path"]) == (within, prefix or own)
    assert answered(sent, b"location") == f"{prefix or own}/docs".encode()


def test_head_is_get_without_a_body() -> None:
    scope, sent = through("/livez", method="HEAD")
    assert scope["method"] == "GET"
    assert answered(sent, b"content-length") == b"4"
    assert [message.get("body") for message in sent] == [None, b""]


def test_every_answer_has_an_id_and_the_callers_own_is_kept() -> None:
    assert answered(through("/livez")[1], b"x-request-id").startswith(b"req_")
    assert answered(through("/livez", x_request_id="mine-1")[1], b"x-request-id") == b"mine-1"
    assert answered(through("/livez", x_request_id="a b")[1], b"x-request-id") != b"a b"


def test_a_trusted_proxy_says_who_asked_and_how() -> None:
    told = {
        "x_forwarded_for": "6.6.6.6, 198.51.100.7, 10.1.2.3",
        "x_forwarded_proto": "https",
        "x_forwarded_host": "ml.example.com",
        "x_forwarded_prefix": "/hs/",
    }
    scope, sent = through("/hs/livez", **told)
    assert (scope["client"][0], scope["scheme"]) == ("198.51.100.7", "https")
    assert dict(scope["headers"])[b"host"] == b"ml.example.com"
    assert (scope["path"], answered(sent, b"location")) == ("/livez", b"/hs/docs")


def test_the_standard_header_says_the_same() -> None:
    said = 'for="[2001:db8::7]:4711";proto=https;host=ml.example.com, for=10.1.2.3'
    scope, _ = through("/livez", forwarded=said)
    assert (scope["client"][0], scope["scheme"]) == ("2001:db8::7", "https")


@pytest.mark.parametrize("peer", ["198.51.100.9", "::ffff:198.51.100.9", "2001:db8::9"])
def test_anybody_else_says_nothing(peer: str) -> None:
    told = {"x_forwarded_for": "1.2.3.4", "x_forwarded_proto": "https", "x_forwarded_prefix": "/x"}
    scope, sent = through("/livez", peer=peer, forwarded="for=1.2.3.4;proto=https", **told)
    assert (scope["client"][0], scope["scheme"]) == (peer, "http")
    assert answered(sent, b"location") == b"/docs"


@pytest.mark.parametrize("peer", ["10.9.9.9", "::ffff:10.9.9.9", "fd00::1", ""])
def test_networks_and_sockets_are_trusted_too(peer: str) -> None:
    assert through("/livez", peer=peer, x_forwarded_proto="https")[0]["scheme"] == "https"


@pytest.mark.parametrize("prefix", ["//evil.example", "/a b", "http://x", "/../x?"])
def test_a_prefix_that_is_none_is_not_believed(prefix: str) -> None:
    assert answered(through("/livez", x_forwarded_prefix=prefix)[1], b"location") == b"/docs"


def test_a_link_in_a_body_has_the_prefix_of_the_request_that_it_answers() -> None:
    import asyncio

    found: list[str] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        found.append(link("/v1/models"))

    async def ask(prefix: str) -> None:
        front = Front(application, root_path=prefix, trusted=[])
        scope = {"type": "http", "path": "/", "method": "GET", "headers": [], "client": None}
        await front(scope, None, None)

    async def both() -> None:
        await asyncio.gather(ask("/hs"), ask(""))

    asyncio.run(both())
    assert found == ["/hs/v1/models", "/v1/models"]


def test_an_answer_is_guarded_unless_it_guards_itself() -> None:
    scope, sent = through("/livez")
    assert answered(sent, b"x-content-type-options") == b"nosniff"
    assert answered(sent, b"x-frame-options") == b"DENY"
    assert answered(sent, b"referrer-policy") == b"no-referrer"
    policy = answered(sent, b"content-security-policy")
    assert policy == b"default-src 'none'; frame-ancestors 'none'"

    own = (b"content-security-policy", b"default-src 'self'")

    async def page(scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [own]})

    said: list[Message] = []

    async def send(message: Message) -> None:
        said.append(message)

    async def receive() -> Message:
        raise AssertionError

    asyncio.run(Front(page, root_path="", trusted=[])(scope, receive, send))
    assert [value for name, value in said[0]["headers"] if name == own[0]] == [own[1]]
