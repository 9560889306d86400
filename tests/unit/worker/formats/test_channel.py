"""Messages between the trainer and its tensor process."""

from __future__ import annotations

import pytest

from worker.formats.channel import MessageChannel, pair


@pytest.fixture
def ends() -> tuple[MessageChannel, MessageChannel]:
    ours, theirs = pair()
    return ours, MessageChannel(theirs.detach())


def test_messages_arrive_whole_and_in_order(ends: tuple[MessageChannel, MessageChannel]) -> None:
    ours, theirs = ends
    sent = [{"op": "embed", "n": n, "text": "ü\n" * 5000} for n in range(3)]
    for message in sent:
        ours.send(message)
    assert [theirs.receive() for _ in sent] == sent


def test_nothing_to_receive_is_none(ends: tuple[MessageChannel, MessageChannel]) -> None:
    assert ends[0].receive(0.01) is None


def test_the_other_end_is_gone(ends: tuple[MessageChannel, MessageChannel]) -> None:
    ours, theirs = ends
    theirs.close()
    with pytest.raises(EOFError):
        ours.receive(1)
    with pytest.raises(OSError, match=r"pipe|Broken|reset"):
        ours.send({})


def test_numbers_that_are_none_do_not_travel(ends: tuple[MessageChannel, MessageChannel]) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        ends[0].send({"loss": float("nan")})
