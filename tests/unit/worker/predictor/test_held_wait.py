"""The wait that is held, on a clock of its own: one server, its queue, and clients that obey."""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.errors import HeadstartError
from app.core.messages import Call, Input, Options, Target, WaitTooLongError
from worker.predictor import held_wait
from worker.predictor.calls import PendingCall, PendingInput
from worker.predictor.fair_queue import FairQueue
from worker.predictor.held_wait import LONGEST, HeldWait

TARGET = Target(model="m", backbone="b", artifact="a", sha256="0")
RATE = 100.0
WAIT = 1.0


@dataclass
class Client:
    """One call of so many inputs; `tries` counts how often it was made."""

    tenant: str
    size: int = 1
    born: float = 0.0
    tries: int = 0
    answered: float = 0.0


@dataclass
class World:
    """A server of one input at a time, as the batcher asks its queue and its wait.

    `rate(now)` is how many a second it serves. Whoever is refused returns as it is told, in whole
    seconds as a header says them, if `obey`.
    """

    obey: bool = True
    rate: float = RATE
    now: float = 0.0
    queue: FairQueue = field(default_factory=lambda: FairQueue(None))
    held: HeldWait = field(default_factory=lambda: HeldWait(WAIT))
    refused: list[float] = field(default_factory=list)
    served: list[Client] = field(default_factory=list)

    def run(self, clients: Iterable[Client]) -> None:
        """Until nobody waits and nobody comes any more."""
        order = count()
        coming = [(client.born, next(order), client) for client in clients]
        heapq.heapify(coming)
        whose: dict[PendingCall, Client] = {}
        busy_until = 0.0
        while coming or len(self.queue):
            if len(self.queue) and (not coming or max(busy_until, self.now) <= coming[0][0]):
                started = self.now = max(busy_until, self.now)
                item = self.queue.pop()
                busy_until = started + 1 / self.rate
                self.held.served(1, started=started, done=busy_until)
                if item.index == len(item.call.request.inputs) - 1:
                    client = whose.pop(item.call)
                    client.answered = busy_until
                    self.served.append(client)
                continue
            self.now, _, client = heapq.heappop(coming)
            client.tries += 1
            call = _call(client)
            busy = int(busy_until > self.now)
            ahead = self.queue.ahead_of(client.tenant, 1) + busy
            size = client.size * max(1, self.queue.tenants)
            try:
                self.held.admit(client.tenant, ahead, wait=WAIT, now=self.now, size=size)
            except HeadstartError as error:
                self.refused.append(error.retry_after or math.nan)
                if self.obey:
                    again = self.now + math.ceil(self.refused[-1])
                    heapq.heappush(coming, (again, next(order), client))
                continue
            whose[call] = client
            self.queue.push(client.tenant, [PendingInput(call, n, one) for n, one in _inputs(call)])

    def waits(self, tenant: str | None = None) -> list[float]:
        """Seconds from each served client's first try to its answer, ascending."""
        return sorted(
            one.answered - one.born for one in self.served if tenant in (None, one.tenant)
        )


def _inputs(call: PendingCall) -> Iterable[tuple[int, Input]]:
    return enumerate(call.request.inputs)


def _call(client: Client) -> PendingCall:
    inputs = (Input("text", b"x"),) * client.size
    call = Call(id="p", tenant=client.tenant, target=TARGET, options=Options(), inputs=inputs)
    return PendingCall(call, lambda _call, _error: None, deadline=math.inf)


def steady(tenant: str, rate: float, seconds: float) -> list[Client]:
    return [Client(tenant, born=place / rate) for place in range(int(rate * seconds))]


def test_at_three_times_the_capacity_the_wait_is_held_and_nothing_is_idle() -> None:
    world = World(obey=False)
    world.run(steady("a", 3 * RATE, 20))
    waits = world.waits()
    assert waits[len(waits) // 2] <= 1.05 * WAIT
    assert waits[-1] <= 1.2 * WAIT
    assert len(waits) >= 0.95 * RATE * 20


def test_below_the_capacity_nobody_is_refused() -> None:
    world = World()
    world.run(steady("a", 0.95 * RATE, 20))
    assert world.refused == []


def test_a_flood_leaves_another_tenant_its_turn() -> None:
    world = World(obey=False)
    world.run([*steady("loud", 10 * RATE, 10), *steady("quiet", RATE / 10, 10)])
    assert world.waits("quiet")[-1] <= 3 / RATE
    assert all(one.tries == 1 for one in world.served)
    assert len(world.waits("quiet")) == RATE


def test_who_obeys_succeeds_about_as_soon_as_can_be() -> None:
    """Ten seconds of work, all at once: the last is answered little after they would take."""
    world = World()
    world.run([Client("a") for _ in range(int(10 * RATE))])
    assert len(world.served) == 10 * RATE
    assert world.waits()[-1] <= 13
    assert max(one.tries for one in world.served) <= 4
    assert sorted(one.tries for one in world.served)[int(9 * RATE)] <= 2


def test_a_flood_that_ends_leaves_nobody_out() -> None:
    world = World()
    world.run([*steady("a", 3 * RATE, 5), *steady("b", 3 * RATE, 5)])
    assert Counter(one.tenant for one in world.served) == {"a": 1500, "b": 1500}
    assert world.waits()[-1] <= 45


def test_a_call_of_many_waits_for_others_and_not_for_itself() -> None:
    world = World(obey=False)
    world.run([Client("a", size=1000), Client("a", size=1000, born=9.5)])
    assert [one.size for one in world.served] == [1000, 1000]


def test_a_second_call_of_many_is_told_when_the_first_is_over() -> None:
    world = World()
    world.run([Client("a", size=500), Client("a", size=500, born=0.5)])
    assert len(world.served) == 2
    assert all(3 <= after <= 5 for after in world.refused[:1])


def test_a_pace_that_falls_is_learned_within_some_inputs() -> None:
    held = HeldWait(WAIT)
    held.served(16, started=0.0, done=0.016)
    now = 0.016
    for _ in range(10):
        held.served(16, started=now, done=now + 0.16)
        now += 0.16
    assert held.pace == pytest.approx(0.01, rel=0.1)


def test_one_other_before_it_is_no_reason_to_refuse() -> None:
    held = HeldWait(WAIT)
    held.served(1, started=0.0, done=30.0)
    held.admit("a", 1, wait=WAIT, now=30.0, size=1)
    with pytest.raises(HeadstartError) as caught:
        held.admit("a", 2, wait=WAIT, now=30.0, size=1)
    assert caught.value.retry_after == LONGEST


def test_who_says_how_long_it_waits_is_held_to_that() -> None:
    held = HeldWait(WAIT)
    held.served(100, started=0.0, done=1.0)
    held.admit("a", 500, wait=10.0, now=1.0, size=1)
    with pytest.raises(HeadstartError) as caught:
        held.admit("a", 2, wait=0.0, now=1.0, size=1)
    assert "0 s" in caught.value.message


def test_only_who_waits_much_longer_than_was_reckoned_is_sent_away_later() -> None:
    held = HeldWait(WAIT)
    assert not held.misjudged(1.9, wait=WAIT)
    assert held.misjudged(2.1, wait=WAIT)
    held.served(1, started=0.0, done=5.0)
    assert not held.misjudged(9.0, wait=WAIT)


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 50), st.floats(0, 9)), min_size=1),
    st.floats(0.001, 1),
)
def test_nobody_is_told_a_time_that_makes_no_sense(
    told: list[tuple[str, int, float]], pace: float
) -> None:
    held, now = HeldWait(WAIT), 0.0
    held.served(1, started=0.0, done=pace)
    for tenant, size, passed in told:
        now += passed
        assert 0 < held.retry_after(tenant, size, now=now, late=0.0) <= LONGEST


def test_tenants_of_long_ago_are_forgotten() -> None:
    held = HeldWait(WAIT)
    held.served(1, started=0.0, done=0.001)
    for number in range(20_000):
        held.retry_after(f"org{number}", 1, now=float(number), late=0.0)
    assert len(held._returns) <= 5000


def test_a_refusal_stands_until_the_queue_has_come_down_but_not_for_long() -> None:
    held = HeldWait(1.0)
    held.served(1, started=0.0, done=0.01)
    for ahead, stands in ((100, 0.01), (102, 0.03), (1000, held_wait.STANDS)):
        with pytest.raises(WaitTooLongError) as refused:
            held.admit("a", ahead, wait=1.0, now=1.0, size=2, each=2, unsaid=True)
        assert refused.value.stands == pytest.approx(stands)
        assert (refused.value.bears, refused.value.unsaid) == (1.0, True)
        assert refused.value.step == pytest.approx(0.02)


def test_who_bears_less_than_others_says_nothing_of_those_who_say_nothing() -> None:
    held = HeldWait(1.0)
    held.served(1, started=0.0, done=0.01)
    for wait, unsaid in ((0.5, False), (0.5, True), (1.0, False)):
        with pytest.raises(WaitTooLongError) as refused:
            held.admit("a", 200, wait=wait, now=1.0, size=1, unsaid=unsaid)
        assert not refused.value.unsaid


def test_those_whom_the_app_told_to_return_come_before_the_next() -> None:
    held, other = HeldWait(1.0), HeldWait(1.0)
    for one in (held, other):
        one.served(1, started=0.0, done=0.01)
    for _ in range(8):
        other.retry_after("a", 1, now=1.0, late=0.5)
    held.retry_after("a", 1, now=1.0, late=0.5)
    held.turned_away("a", 7, now=1.0)
    told = [one.retry_after("a", 1, now=1.0, late=0.5) for one in (held, other)]
    assert told[0] == pytest.approx(told[1])
