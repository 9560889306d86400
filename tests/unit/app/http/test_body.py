"""Bodies as they arrive: their clock, their limit, and what compressed ones stand for."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.errors import HeadstartError
from app.http.body import Body, Inflated, Message, Pace, Receive, drain

BRISK = Pace(grace_seconds=0.05, bytes_per_second=1000, idle_seconds=0.1)
MIB = 1024 * 1024


def arriving(pieces: Sequence[bytes | float]) -> Receive:
    """A client that sends these pieces, and pauses for the seconds between them."""
    left = list(pieces)

    async def receive() -> Message:
        piece = left.pop(0) if left else b""
        if isinstance(piece, float):
            await asyncio.sleep(piece)
            return await receive()
        more = any(isinstance(one, bytes) for one in left)
        return {"type": "http.request", "body": piece, "more_body": more}

    return receive


async def all_of(receive: Receive) -> bytes:
    out = b""
    while True:
        message = await receive()
        out += message["body"]
        if not message["more_body"]:
            return out


def read(pieces: Sequence[bytes | float], *, limit: int = MIB, pace: Pace = BRISK) -> bytes:
    return asyncio.run(all_of(Body(arriving(pieces), limit=limit, pace=pace).receive))


def refused(pieces: Sequence[bytes | float], *, limit: int = MIB, encoding: str = "") -> str:
    async def body() -> bytes:
        receive = arriving(pieces)
        if encoding:
            receive = Inflated(receive, encoding).receive
        return await all_of(Body(receive, limit=limit, pace=BRISK).receive)

    with pytest.raises(HeadstartError) as caught:
        asyncio.run(body())
    return caught.value.code


def inflated(pieces: Sequence[bytes | float], encoding: str) -> bytes:
    return asyncio.run(all_of(Inflated(arriving(pieces), encoding).receive))


def test_a_body_that_does_not_come_is_refused() -> None:
    assert refused([b"\x89PNG", 1.0, b"rest"]) == "request_timeout"


def test_drops_after_much_that_came_at_once_earn_no_more_than_a_silence() -> None:
    drip: list[bytes | float] = [b"x" * 100_000]
    for _ in range(4):
        drip += [0.04, b"x"]
    assert refused([*drip, b"end"]) == "request_timeout"


def test_a_steady_body_is_read_however_long_it_takes() -> None:
    steady: list[bytes | float] = []
    for _ in range(8):
        steady += [b"x" * 40, 0.02]
    assert len(read([*steady, b"end"])) == 323


def test_what_came_counts_and_not_what_was_announced() -> None:
    assert refused([b"x" * 600, b"x" * 600], limit=1000) == "payload_too_large"
    assert read([b"x" * 500, b"x" * 500], limit=1000) == b"x" * 1000


def cut(data: bytes, at: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(index % (len(data) + 1) for index in at)})
    return [data[a:b] for a, b in pairwise(edges)]


@given(st.binary(max_size=3000), st.lists(st.integers(0, 10_000), max_size=6), st.integers(0, 3))
def test_compressed_bodies_stand_for_what_was_sent(data: bytes, at: list[int], how: int) -> None:
    bare = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    encoded, encoding = [
        (gzip.compress(data), "gzip"),
        (gzip.compress(data[:9]) + gzip.compress(data[9:]), "x-gzip"),
        (zlib.compress(data), "deflate"),
        (bare.compress(data) + bare.flush(), "deflate"),
    ][how]
    assert inflated(cut(encoded, at), encoding) == data
    if data:
        with pytest.raises(HeadstartError, match="Content-Encoding"):
            inflated(cut(encoded[:-1], at), encoding)


def test_an_empty_body_is_empty_however_it_is_encoded() -> None:
    assert inflated([b""], "gzip") == b""


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_what_is_not_compressed_is_refused(encoding: str) -> None:
    assert refused([b'{"model": "x"} and more'], encoding=encoding) == "bad_request"


def test_a_bomb_is_refused_at_the_limit() -> None:
    bomb = gzip.compress(bytes(64 * MIB))
    assert refused([bomb], limit=MIB, encoding="gzip") == "payload_too_large"


def test_very_many_members_are_refused() -> None:
    with pytest.raises(HeadstartError, match="10,000 members"):
        inflated([gzip.compress(b"") * 20_000], "gzip")


def test_what_is_left_of_a_body_is_read_and_dropped() -> None:
    receive = arriving([b"x" * MIB] * 5)

    async def drained() -> bytes:
        await drain(receive)
        return (await receive())["body"]

    assert asyncio.run(drained()) == b""
