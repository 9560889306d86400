"""Who waits in a batcher: in turns to the end, and not in vain."""

from __future__ import annotations

import time

import pytest

from app.core.errors import HeadstartError
from app.core.messages import Call, Input, Options
from tests.unit.worker.predictor.test_batching import TARGET, Desk, Engine, _until, batcher, call
from worker.predictor import batch_sizes, held_wait
from worker.predictor.batching import FEW, Batcher
from worker.predictor.calls import PendingCall, PendingInput


def test_what_is_decoded_takes_turns_too() -> None:
    engine, desk = Engine(), Desk()
    engine.may_go_on.clear()
    with batcher(engine, desk) as made:
        made.submit(*call("0", tenant="loud"))
        _until(lambda: engine.batches == [[0]])
        made.submit(*call(*map(str, range(1, 7)), tenant="loud"))
        _until(lambda: len(made._ready) == 6)
        made.submit(*call("7", tenant="quiet"))
        _until(lambda: len(made._ready) == 7)
        engine.may_go_on.set()
        desk.wait(8)
    assert 7 in engine.batches[1]


def test_what_is_decoded_first_waits_a_moment_for_what_is_about_to_be(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(batch_sizes, "_GATHERED_SECONDS", 60.0)
    engine, desk = Engine(), Desk()
    with batcher(engine, desk) as made:
        made.submit(*call(*map(str, range(12))))
        desk.wait(12)
    assert len(engine.batches[0]) == 4


def test_a_lone_request_is_decoded_beside_a_flood_and_rides_next() -> None:
    """Before what a flood has decoded, and before what it has not."""
    engine, desk = Engine(), Desk()
    engine.may_go_on.clear()
    with batcher(engine, desk) as made:
        made.submit(*call("0", tenant="loud"))
        _until(lambda: engine.batches == [[0]])
        made.submit(*call(*map(str, range(1, 30)), tenant="loud"))
        _until(lambda: len(made._ready) == 8)  # as many as there is room for
        made.submit(*call("100", tenant="quiet"))
        _until(lambda: len(made._ready) == 9)
        engine.may_go_on.set()
        desk.wait(31)
    assert engine.batches[1][0] == 100


def test_an_engine_that_is_shared_is_held_up_by_no_large_batch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine, desk = Engine(), Desk()
    engine.may_go_on.clear()
    with batcher(engine, desk) as made:
        for size in (1, 2, 4):
            made._sizes.served(size, 0.01 * size)
        monkeypatch.setattr(made._sizes, "served", lambda *_args, **_more: None)
        made.submit(*call("0", tenant="loud"))
        _until(lambda: engine.batches == [[0]])
        made.submit(*call(*map(str, range(1, 6)), tenant="loud"))
        made.submit(*call("100", tenant="quiet"))
        _until(lambda: len(made._ready) == 6)
        engine.may_go_on.set()
        desk.wait(7)
    assert engine.batches == [[0], [100], [1], [2], [3], [4], [5]]


def test_who_was_misjudged_is_sent_away_uncomputed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held_wait, "GRACE", 0.0)
    monkeypatch.setattr(held_wait.HeldWait, "served", lambda *_args, **_more: 0.0)  # pace 0
    engine, desk = Engine(), Desk()
    engine.may_go_on.clear()
    with batcher(engine, desk) as made:
        made.submit(*call("0"))
        _until(lambda: engine.batches == [[0]])
        made.submit(*call(*map(str, range(1, 9))))  # as many as are decoded ahead of the engine
        _until(lambda: len(made._ready) == 8)
        made.submit(*_bearing("100", wait=0.05))
        time.sleep(0.1)
        engine.may_go_on.set()
        (error,) = [one.error for one in desk.wait(10) if one.error is not None]
    assert (error.code, error.retry_after is not None) == ("overloaded", True)
    assert all(100 not in batch for batch in engine.batches)


def test_what_is_decoded_and_under_way_counts_as_before() -> None:
    desk = Desk()

    def slow(batch: list[int]) -> list[int]:
        time.sleep(0.05 * len(batch))
        return batch

    with batcher(slow, desk) as made:
        made.submit(*call(*map(str, range(12))))
        desk.wait(5)  # the pace is known now, and no more than eight are left
        _until(lambda: not made.waiting)
        with pytest.raises(HeadstartError) as caught:
            made.submit(*_bearing("1", wait=0.01))
    assert caught.value.code == "overloaded"


def _bearing(data: str, *, wait: float) -> tuple[PendingCall, list[PendingInput]]:
    """A call that may wait for so many seconds."""
    inputs = (Input("image", data.encode()),)
    asked = Call(id="p", tenant="t", target=TARGET, options=Options(wait=wait), inputs=inputs)
    made, items = call(data)
    made.request = asked
    return made, items


def test_what_would_come_too_late_is_refused_at_once() -> None:
    desk = Desk()

    def slow(batch: list[int]) -> list[int]:
        time.sleep(0.05 * len(batch))
        return batch

    with batcher(slow, desk) as made:
        for number in range(60):
            made.submit(*call(str(number)))
        desk.wait(20)
        with pytest.raises(HeadstartError) as caught:
            made.submit(*call("1", seconds=0.02))
    assert caught.value.code == "overloaded"
    assert caught.value.retry_after is not None


def test_few_calls_wait_for_as_long_as_it_takes() -> None:
    desk = Desk()

    def slow(batch: list[int]) -> list[int]:
        time.sleep(0.02 * len(batch))
        return batch

    with batcher(slow, desk, wait=0.01) as made:
        made.submit(*call(*map(str, range(20))))
        desk.wait(20)  # the pace is known now
        told = [_refused(made, number) for number in range(60)]
        desk.wait(20 + told.count(False))
    assert not any(told[:FEW]), "few are let in"
    assert any(told), "a flood is not"


def _refused(made: Batcher, number: int) -> bool:
    try:
        made.submit(*call(str(number)))
    except HeadstartError as error:
        return error.code == "overloaded"
    return False
