"""The fair queue: turns, bounds, and who gives way."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.errors import HeadstartError
from app.core.messages import Call, Input, Options, Target
from worker.predictor.calls import PendingCall, PendingInput
from worker.predictor.fair_queue import _NEWCOMERS, FairQueue

HEAVY = 256 * 1024
TARGET = Target(model="m", backbone="b", artifact="a", sha256="0")


def call(tenant: str, count: int, size: int = 0) -> tuple[PendingCall, list[PendingInput]]:
    inputs = (Input("image", bytes(size)),) * count
    call = Call(id="p", tenant=tenant, target=TARGET, options=Options(), inputs=inputs)
    made = PendingCall(call, lambda _job, _error: None, deadline=0.0)
    return made, [PendingInput(made, place, one) for place, one in enumerate(inputs)]


def push(
    queue: FairQueue, tenant: str, count: int, size: int = 0
) -> tuple[PendingCall, list[PendingCall]]:
    made, items = call(tenant, count, size)
    return made, queue.push(tenant, items)


def test_tenants_take_turns_however_much_one_sends() -> None:
    queue = FairQueue(100)
    push(queue, "loud", 50)
    push(queue, "quiet", 2)
    push(queue, "third", 1)
    first = [queue.pop().call.tenant for _ in range(6)]
    assert first == ["loud", "quiet", "third", "loud", "quiet", "loud"]


def test_who_has_not_had_a_turn_lately_goes_first() -> None:
    queue = FairQueue(100)
    push(queue, "loud", 9)
    push(queue, "other", 9)
    assert [queue.pop().call.tenant for _ in range(3)] == ["loud", "other", "loud"]
    push(queue, "lone", 1)
    assert queue.next.call.tenant == "lone"
    assert queue.pop().call.tenant == "lone"
    push(queue, "lone", 1)
    assert [queue.pop().call.tenant for _ in range(3)] == ["other", "loud", "lone"], "once a round"


def test_many_who_ask_once_leave_the_others_their_turns() -> None:
    queue, taken = FairQueue(100), []
    push(queue, "loud", 20)
    for _ in range(40):
        for name in "abc":
            if f"one {name}" not in queue._lines:
                push(queue, f"one {name}", 1)
        taken.append(queue.pop().call.tenant)
    assert taken.count("loud") == 10


def test_newcomers_without_end_keep_nobody_waiting_and_are_not_listed_for_ever() -> None:
    queue, taken = FairQueue(100), []
    push(queue, "loud", 20)
    queue.pop()
    for number in range(1000):
        push(queue, f"new {number}", 1)
        taken.append(queue.pop().call.tenant)
        assert len(queue._turns) <= _NEWCOMERS + len(queue._lines) + 1
    assert taken.count("loud") == 1000 // (_NEWCOMERS + 1)


def test_who_leaves_before_its_turn_is_listed_no_longer() -> None:
    queue = FairQueue(1000)
    push(queue, "loud", 2)
    for number in range(100):
        gone, _ = push(queue, f"gone {number}", 1)
        queue.discard(gone)
    assert [*queue._fresh, *queue._turns] == ["loud"]


def test_what_has_nothing_elsewhere_is_found() -> None:
    queue, ready = FairQueue(100), FairQueue(None)
    push(queue, "loud", 3)
    push(queue, "lone", 2)
    push(ready, "loud", 1)
    found = queue.pop_unlike(ready)
    assert found is not None
    assert (found.call.tenant, found.index) == ("lone", 0)
    push(ready, "lone", 1)
    assert queue.pop_unlike(ready) is None
    assert len(queue) == 4


def test_what_goes_before_is_what_will_be_taken_before() -> None:
    queue = FairQueue(1000)
    push(queue, "loud", 236)
    push(queue, "third", 3)
    assert queue.ahead_of("quiet", 1) == 2
    assert queue.ahead_of("loud", 1) == 236 + 3
    mine, _ = push(queue, "quiet", 1)
    order = [queue.pop().call for _ in range(3)]
    assert mine in order


def test_one_tenant_alone_is_refused_when_full() -> None:
    queue = FairQueue(4)
    push(queue, "a", 3)
    with pytest.raises(HeadstartError) as caught:
        push(queue, "a", 2)
    assert (caught.value.code, caught.value.retry_after) == ("overloaded", 1)
    assert len(queue) == 3


def test_the_longest_line_gives_way_to_a_tenant_below_its_share() -> None:
    queue = FairQueue(4)
    push(queue, "loud", 2)
    newest, _ = push(queue, "loud", 2)
    _, evicted = push(queue, "quiet", 1)
    assert evicted == [newest]
    assert len(queue) == 3


def test_nobody_gives_way_to_a_tenant_above_its_share() -> None:
    queue = FairQueue(4)
    push(queue, "a", 2)
    push(queue, "b", 2)
    with pytest.raises(HeadstartError):
        push(queue, "b", 1)


def test_what_is_discarded_never_comes_out() -> None:
    queue = FairQueue(10)
    gone, _ = push(queue, "a", 3)
    stays, _ = push(queue, "a", 2)
    queue.discard(gone)
    assert [queue.pop().call for _ in range(len(queue))] == [stays, stays]
    queue.discard(gone)
    with pytest.raises(IndexError):
        queue.pop()


def test_bytes_fill_it_like_inputs() -> None:
    queue = FairQueue(8)
    push(queue, "a", 1, 3 * HEAVY)
    push(queue, "a", 4)
    with pytest.raises(HeadstartError):
        push(queue, "a", 1)
    queue.pop()
    push(queue, "a", 1, 3 * HEAVY)
    assert len(queue) == 5


def test_the_heaviest_line_gives_way_however_short() -> None:
    queue = FairQueue(8)
    push(queue, "light", 3)
    heavy, _ = push(queue, "heavy", 1, 4 * HEAVY)
    _, evicted = push(queue, "third", 2)
    assert evicted == [heavy]
    assert len(queue) == 5


def test_an_empty_queue_takes_what_is_heavier_than_its_limit() -> None:
    queue = FairQueue(4)
    push(queue, "a", 2, 4 * HEAVY)
    with pytest.raises(HeadstartError):
        push(queue, "b", 1, 4 * HEAVY)
    assert [queue.pop().index for _ in range(len(queue))] == [0, 1]
    push(queue, "b", 5)


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("push"), st.sampled_from("abc"), st.integers(1, 5)),
            st.tuples(st.just("pop"), st.just(""), st.just(0)),
            st.tuples(st.just("discard"), st.just(""), st.integers(0, 30)),
        ),
        max_size=60,
    )
)
def test_its_size_is_what_it_holds_and_never_above_the_limit(
    steps: list[tuple[str, str, int]],
) -> None:
    queue, calls = FairQueue(8), []
    for step, tenant, number in steps:
        if step == "push":
            try:
                calls.append(push(queue, tenant, number)[0])
            except HeadstartError:
                continue
        elif step == "pop" and len(queue):
            queue.pop()
        elif step == "discard" and calls:
            queue.discard(calls[number % len(calls)])
        assert len(queue) <= 8
        places = [*queue._fresh, *queue._turns]
        assert len(places) == len(set(places))
        assert set(places) == set(queue._lines) | queue._resting
    size = len(queue)
    assert len([queue.pop() for _ in range(size)]) == size
    with pytest.raises(IndexError):
        queue.pop()
    assert not queue._fresh
    assert set(queue._turns) == queue._resting
