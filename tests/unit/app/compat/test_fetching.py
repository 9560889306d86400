"""Fetching by URL: never from inside, bounded, each redirect judged anew."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from threading import Thread
from typing import Any, ClassVar

import pytest

from app.compat import fetching
from app.core.errors import HeadstartError
from app.hooks import outbound
from app.infra.settings import Settings

PUBLIC, ANY, NONE = (Settings(fetch_urls=name) for name in ("public", "any", "none"))


class Handler(BaseHTTPRequestHandler):
    hosts: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.hosts.append(self.headers["host"])
        if self.path.startswith("/to/"):
            self.send_response(302)
            self.send_header("location", self.path.removeprefix("/to/"))
            self.end_headers()
            return
        found = self.path == "/picture"
        self.send_response(200 if found else 404)
        self.end_headers()
        self.wfile.write(b"picture" if found else b"")

    def log_message(self, *_args: Any) -> None:
        pass


@contextmanager
def serving() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def refused(url: str, settings: Settings = PUBLIC) -> HeadstartError:
    with pytest.raises(HeadstartError) as caught:
        asyncio.run(fetching.fetch(url, settings))
    return caught.value


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "localhost", "[::1]", "0.0.0.0", "0x7f.1", "2130706433", "10.0.0.1",
        "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "[::ffff:10.0.0.1]",
        "[::ffff:127.0.0.1]", "[64:ff9b::a00:1]", "[2002:a00:1::]", "[fe80::1]", "[fd00::1]",
        "224.0.0.1", "255.255.255.255", "[::]", "[::127.0.0.1]",
    ],
)  # fmt: skip
def test_nothing_is_fetched_from_inside(host: str) -> None:
    assert refused(f"http://{host}:1/a.png").code == "unsafe_url"


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd", "ftp://example.com/a", "//example.com/a", "http://", "a.png", "",
        "http://user:key@example.com/a.png", "gopher://example.com/",
    ],
)  # fmt: skip
def test_only_plain_http_is_fetched(url: str) -> None:
    assert refused(url).code == "unsafe_url"


@pytest.mark.parametrize("url", ["http://[", "http://a:99999/", "http://nonesuch.invalid/a.png"])
def test_nonsense_is_said_to_be_it(url: str) -> None:
    assert refused(url).code in ("url_unreachable", "unsafe_url")


def test_a_name_that_has_an_address_inside_too_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    both = [ip_address("8.8.8.8"), ip_address("10.0.0.1")]
    monkeypatch.setattr(outbound, "_resolved", lambda _: both)
    assert refused("http://two.example/a.png").code == "unsafe_url"


def test_the_connection_goes_to_the_address_that_was_judged() -> None:
    with serving() as url:
        assert asyncio.run(fetching.fetch(f"{url}/picture", ANY)) == b"picture"
        named = url.replace("127.0.0.1", "localhost")
        if socket.gethostbyname("localhost") == "127.0.0.1":
            assert asyncio.run(fetching.fetch(f"{named}/picture", ANY)) == b"picture"
            assert Handler.hosts[-1] == named.removeprefix("http://")


def test_redirects_are_followed_three_times_and_judged() -> None:
    with serving() as url:
        far = f"{url}/to/{url}/picture"
        assert asyncio.run(fetching.fetch(far, ANY)) == b"picture"
        assert refused(f"{url}/to//to//to//to//picture", ANY).code == "url_unreachable"
        assert refused(f"{url}/to/file:///etc/passwd", ANY).code == "unsafe_url"
        assert refused(f"{url}/none", ANY).code == "url_unreachable"


def test_what_is_too_long_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "MOST_BYTES", 3)
    with serving() as url:
        assert "more than" in refused(f"{url}/picture", ANY).message


def test_what_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "SECONDS", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/a.png"
        assert refused(url, ANY).code == "url_unreachable"


def test_fetching_can_be_switched_off() -> None:
    assert refused("http://example.com/a.png", NONE).code == "unsafe_url"
