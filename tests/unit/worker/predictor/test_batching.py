"""A batcher: batches that never wait, turns, evictions, deadlines, as many answers as inputs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from app.core.errors import HeadstartError
from app.core.messages import Call, Input, Options, Target
from worker.predictor.batching import Batcher, Work
from worker.predictor.calls import InputOutcome, PendingCall, PendingInput
from worker.predictor.metrics import Metrics

TARGET = Target(model="m", backbone="b", artifact="a", sha256="0")


class Engine:
    """Doubles what it is given, a batch at a time, and holds a batch until it may go on."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.may_go_on = threading.Event()
        self.may_go_on.set()

    def __call__(self, batch: list[Any]) -> Sequence[Any]:
        self.batches.append(list(batch))
        assert self.may_go_on.wait(10)
        return [2 * value for value in batch]


class Desk:
    """Collects outcomes."""

    def __init__(self) -> None:
        self.outcomes: list[InputOutcome] = []
        self._news = threading.Condition()

    def deliver(self, outcomes: list[InputOutcome]) -> None:
        with self._news:
            self.outcomes += outcomes
            self._news.notify_all()

    def wait(self, count: int) -> list[InputOutcome]:
        with self._news:
            assert self._news.wait_for(lambda: len(self.outcomes) >= count, 10)
            return list(self.outcomes)


def prepare(item: PendingInput) -> int:
    data = bytes(item.input.data)
    if data == b"bad":
        raise HeadstartError("image_invalid")
    if data == b"bug":
        raise RuntimeError("a bug")
    return int(data)


def answer(items: Sequence[PendingInput], rows: Sequence[Any]) -> list[bytes]:
    return [str(row).encode() for row in rows]


@contextmanager
def batcher(
    engine: Any,
    desk: Desk,
    *,
    limit: int = 100,
    answers: Callable[..., list[bytes]] = answer,
    work: Callable[[PendingInput], int] = prepare,
    large: Callable[[PendingInput], bool] | None = None,
    price: Callable[[Any], int] = lambda _prepared: 1,
    wait: float = 60,
) -> Iterator[Batcher]:
    made = Batcher(
        "test",
        Work(work, answers, large, price),
        [engine],
        sizes=(1, 2, 4),
        limit=limit,
        wait=wait,
        decoders=2,
        weights_sha256="0",
        engine="openvino-f32",
        deliver=desk.deliver,
        metrics=Metrics(),
    )
    try:
        yield made
    finally:
        made.close()


def call(
    *data: str, tenant: str = "t", seconds: float = 60
) -> tuple[PendingCall, list[PendingInput]]:
    inputs = tuple(Input("image", one.encode()) for one in data)
    call = Call(id="p", tenant=tenant, target=TARGET, options=Options(), inputs=inputs)
    made = PendingCall(call, lambda _job, _error: None, deadline=time.perf_counter() + seconds)
    made.answers, made.remaining = [None] * len(inputs), len(inputs)
    return made, [PendingInput(made, place, one) for place, one in enumerate(inputs)]


def test_a_lone_request_does_not_wait_for_company() -> None:
    engine, desk = Engine(), Desk()
    with batcher(engine, desk) as made:
        made.submit(*call("21"))
        (outcome,) = desk.wait(1)
    assert outcome.answer == b"42"
    assert outcome.timing is not None
    assert outcome.timing.batch == 1


def test_what_comes_while_the_engine_is_busy_shares_a_batch_across_tenants() -> None:
    engine, desk = Engine(), Desk()
    engine.may_go_on.clear()
    with batcher(engine, desk) as made:
        made.submit(*call("0"))
        _until(lambda: engine.batches == [[0]])
        for number in range(1, 5):
            made.submit(*call(str(number), tenant=f"t{number}"))
        _until(lambda: len(made._ready) == 4)
        engine.may_go_on.set()
        desk.wait(5)
    assert sorted(engine.batches[1]) == [1, 2, 3, 4]


def test_one_thread_takes_a_lone_item_all_the_way() -> None:
    seen: list[str] = []

    def noted(batch: list[Any]) -> Sequence[Any]:
        seen.append(threading.current_thread().name)
        return batch

    def prepared(item: PendingInput) -> int:
        seen.append(threading.current_thread().name)
        return prepare(item)

    desk = Desk()
    with batcher(noted, desk, work=prepared) as made:
        for number in range(5):
            made.submit(*call(str(number)))
            desk.wait(number + 1)
    assert seen[::2] == seen[1::2]


def test_the_engine_runs_on_while_the_heads_are_asked() -> None:
    engine, desk, may_answer = Engine(), Desk(), threading.Event()

    def slow(items: Sequence[PendingInput], rows: Sequence[Any]) -> list[bytes]:
        assert rows[0] != 0 or may_answer.wait(10)
        return answer(items, rows)

    with batcher(engine, desk, answers=slow) as made:
        made.submit(*call("0"))
        _until(lambda: engine.batches == [[0]])
        made.submit(*call("1"))
        (first,) = desk.wait(1)
        may_answer.set()
        desk.wait(2)
    assert first.answer == b"2"


def test_an_engine_whose_batch_has_nobody_left_is_free_again() -> None:
    engine, desk = Engine(), Desk()
    engine.may_go_on.clear()
    with batcher(engine, desk) as made:
        made.submit(*call("0"))
        _until(lambda: engine.batches == [[0]])
        gone, items = call("1", "2")
        made.submit(gone, items)
        _until(lambda: len(made._ready) == 2)
        gone.over = True
        engine.may_go_on.set()
        desk.wait(1)
        made.submit(*call("3"))
        desk.wait(2)
    assert engine.batches == [[0], [3]]


def test_batches_have_only_sizes_that_are_warm() -> None:
    engine, desk = Engine(), Desk()
    engine.may_go_on.clear()
    with batcher(engine, desk) as made:
        made.submit(*call("0"))
        _until(lambda: engine.batches == [[0]])
        made.submit(*call(*map(str, range(1, 8))))
        _until(lambda: len(made._ready) == 7)
        engine.may_go_on.set()
        desk.wait(8)
    assert [len(batch) for batch in engine.batches] == [1, 4, 2, 1]


def test_a_bad_item_and_a_bug_are_that_items_errors() -> None:
    engine, desk = Engine(), Desk()
    with batcher(engine, desk) as made:
        made.submit(*call("1", "bad", "bug"))
        found = {outcome.item.index: outcome for outcome in desk.wait(3)}
    assert found[0].answer == b"2"
    assert found[1].error is not None
    assert found[1].error.code == "image_invalid"
    assert found[2].error is not None
    assert (found[2].error.code, found[2].fatal) == ("internal", False)


@pytest.mark.parametrize("short", ["rows", "answers"])
def test_as_many_must_come_out_as_went_in(short: str) -> None:
    desk = Desk()
    engine = (lambda batch: batch[1:]) if short == "rows" else Engine()
    fewer = (lambda items, rows: [b"x"] * (len(items) - 1)) if short == "answers" else answer
    with batcher(engine, desk, answers=fewer) as made:
        made.submit(*call("1"))
        (outcome,) = desk.wait(1)
    assert outcome.error is not None
    assert (outcome.error.code, outcome.fatal) == ("internal", True)


def test_a_full_queue_refuses_and_what_left_is_not_computed() -> None:
    engine, desk = Engine(), Desk()
    engine.may_go_on.clear()
    with batcher(engine, desk, limit=4) as made:
        made.submit(*call("0"))
        _until(lambda: engine.batches == [[0]])
        for number in range(1, 9):  # eight more are decoded ahead of the engine
            made.submit(*call(str(number)))
            _until(lambda number=number: len(made._ready) == number)
        gone, items = call("100", "101", "102")
        made.submit(gone, items)
        with pytest.raises(HeadstartError) as caught:
            made.submit(*call("200", "201"))
        assert caught.value.code == "overloaded"
        gone.over = True
        made.cancel(gone)
        assert made.waiting == 0
        engine.may_go_on.set()
        desk.wait(9)
    assert all(value < 100 for batch in engine.batches for value in batch)


def test_what_is_past_its_deadline_is_not_computed() -> None:
    engine, desk = Engine(), Desk()
    engine.may_go_on.clear()
    with batcher(engine, desk) as made:
        made.submit(*call("0"))
        _until(lambda: engine.batches == [[0]])
        made.submit(*call("7", seconds=0.05))
        time.sleep(0.1)
        engine.may_go_on.set()
        late = next(one for one in desk.wait(2) if one.error is not None)
    assert late.error is not None
    assert (late.error.code, late.fatal) == ("deadline_exceeded", True)
    assert engine.batches == [[0]]


class Large:
    """Numbers from 100 on are large; preparing one is held until it may go on."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.may_go_on = threading.Event()

    @staticmethod
    def holds(item: PendingInput) -> bool:
        return int(bytes(item.input.data)) >= 100

    def prepare(self, item: PendingInput) -> int:
        if self.holds(item):
            self.begun.append(int(bytes(item.input.data)))
            assert self.may_go_on.wait(10)
        return prepare(item)


@contextmanager
def lane_for_large(
    desk: Desk, engine: Any = None, limit: int = 100
) -> Iterator[tuple[Batcher, Large]]:
    """A batcher whose one large item, 100, is being prepared."""
    large = Large()
    with batcher(
        engine or Engine(), desk, work=large.prepare, large=large.holds, limit=limit
    ) as made:
        try:
            made.submit(*call("100", tenant="loud"))
            _until(lambda: large.begun == [100])
            yield made, large
        finally:
            large.may_go_on.set()


def test_large_items_leave_the_other_threads_to_the_others() -> None:
    desk = Desk()
    with lane_for_large(desk) as (made, large):
        for number in range(101, 106):
            made.submit(*call(str(number), tenant="loud"))
        made.submit(*call("1", tenant="quiet"))
        (first,) = desk.wait(1)
        assert (first.answer, large.begun) == (b"2", [100])
        large.may_go_on.set()
        answers = [outcome.answer for outcome in desk.wait(7)]
    assert sorted(answers[1:]) == [b"200", b"202", b"204", b"206", b"208", b"210"]


def test_tenants_take_turns_with_large_items_too() -> None:
    desk = Desk()
    with lane_for_large(desk) as (made, large):
        made.submit(*call("101", "102", tenant="loud"))
        _until(lambda: len(made._large) == 2)
        made.submit(*call("103", tenant="quiet"))
        _until(lambda: len(made._large) == 3)
        large.may_go_on.set()
        desk.wait(4)
    assert large.begun == [100, 103, 101, 102]


def test_a_large_item_that_nobody_waits_for_is_not_prepared() -> None:
    desk = Desk()
    with lane_for_large(desk) as (made, large):
        late, items = call("101", seconds=0.2)
        made.submit(late, items)
        gone, items = call("102", "103")
        made.submit(gone, items)
        _until(lambda: len(made._large) == 3)
        gone.over = True
        made.cancel(gone)
        assert made.waiting == 1
        _until(lambda: time.perf_counter() > late.deadline)
        large.may_go_on.set()
        outcomes = desk.wait(2)
    (error,) = [outcome.error for outcome in outcomes if outcome.error is not None]
    assert error.code == "deadline_exceeded"
    assert large.begun == [100]


def test_the_line_of_large_items_is_bounded_and_the_longest_gives_way() -> None:
    desk = Desk()
    with lane_for_large(desk, limit=2) as (made, _):
        first, second = (call(number, tenant="loud") for number in ("101", "102"))
        for count, (one, items) in enumerate((first, second), 1):
            made.submit(one, items)
            _until(lambda count=count: len(made._large) == count)
        refused, items = call("103", tenant="loud")
        made.submit(refused, items)
        (outcome,) = desk.wait(1)
        assert (outcome.item.call, outcome.fatal) == (refused, True)
        made.submit(*call("104", tenant="quiet"))
        outcome = desk.wait(2)[1]
        assert (outcome.item.call, outcome.fatal) == (second[0], True)
        assert outcome.error is not None
        assert (outcome.error.code, outcome.error.retry_after) == ("overloaded", pytest.approx(1))


def test_large_items_wait_for_room_as_others_do() -> None:
    engine, desk = Engine(), Desk()
    with lane_for_large(desk, engine) as (made, large):
        made.submit(*call("101"))
        _until(lambda: len(made._large) == 1)
        engine.may_go_on.clear()
        made.submit(*call("0"))
        _until(lambda: engine.batches == [[0]])
        made.submit(*call(*map(str, range(1, 9))))
        _until(lambda: len(made._ready) == 8)
        large.may_go_on.set()
        _until(lambda: len(made._ready) == 9)  # 100, which had begun
        time.sleep(0.05)
        assert large.begun == [100]
        engine.may_go_on.set()
        desk.wait(11)


def test_closing_stops_every_thread() -> None:
    with batcher(Engine(), Desk(), large=Large.holds) as made:
        names = {thread.name for thread in made._threads}
    assert names == {"test-0", "test-1", "test-2", "test-large"}
    assert not any(thread.is_alive() for thread in made._threads)


def _until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.001)
