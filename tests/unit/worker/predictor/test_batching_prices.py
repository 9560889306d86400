"""A batcher whose inputs take an engine unequally long."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from tests.unit.worker.predictor.test_batching import Desk, Engine, _until, batcher, call
from worker.predictor.fair_queue import FairQueue
from worker.predictor.readers import TextReader


def test_what_takes_long_rides_with_few() -> None:
    """Nobody can get off: what rides together is counted by what it takes."""
    engine, desk = Engine(), Desk()
    engine.may_go_on.clear()
    with batcher(engine, desk, price=lambda number: number % 10) as made:
        made.submit(*call("1", tenant="other"))
        _until(lambda: engine.batches == [[1]])
        made.submit(*call("11", "21", "2", "31", "9", "41", "51"))
        _until(lambda: len(made._ready) == 7)
        engine.may_go_on.set()
        desk.wait(8)
    assert all(sum(n % 10 for n in one) <= 4 or one == [9] for one in engine.batches)
    assert [11, 21, 2] in engine.batches


def test_who_is_alone_has_larger_batches_but_not_of_more() -> None:
    engine, desk = Engine(), Desk()
    engine.may_go_on.clear()
    with batcher(engine, desk, price=lambda number: number % 10) as made:
        made.submit(*call("1"))
        _until(lambda: engine.batches == [[1]])
        made.submit(*call("4", "14", "24", "34", "9", "19", "11"))
        _until(lambda: len(made._ready) == 7)
        engine.may_go_on.set()
        desk.wait(8)
    assert engine.batches[1:3] == [[4, 14, 24, 34], [9]]


def test_long_ones_that_wait_form_no_batch() -> None:
    engine, desk = Engine(), Desk()
    engine.may_go_on.clear()
    with batcher(engine, desk, price=lambda _number: 40) as made:
        made.submit(*call("1"))
        _until(lambda: engine.batches == [[1]])
        made.submit(*call("2", "3", "4", "5"))
        _until(lambda: len(made._ready) == 4)
        engine.may_go_on.set()
        desk.wait(5)
    assert [len(one) for one in engine.batches] == [1] * 5


def test_who_leaves_takes_its_price_along() -> None:
    queue = FairQueue(None)
    pending, items = call("3", "4")
    for item in items:
        item.price = int(bytes(item.input.data))
    queue.push("t", items)
    other, more = call("1", tenant="u")
    queue.push("u", more)
    assert queue.price == 8
    queue.discard(pending)
    assert queue.price == 1
    assert queue.pop().call is other
    assert queue.price == 0


@pytest.mark.parametrize(
    ("text", "price"),
    [
        ("", 1),
        ("a few words", 1),
        ("a" * 120, 3),
        ("\u4e2d" * 40, 3),
        ("a" * 10**6, 1 + 5120 // 60),
    ],
)
def test_a_text_takes_as_long_as_it_is_read(text: str, price: int) -> None:
    encoder = SimpleNamespace(room=256, most_windows=4)
    reader = TextReader(SimpleNamespace(encoder=encoder), (1, 2))
    assert reader.price(text) == price
