"""One backbone's way through the predictor: fair queue → decode → engine, on a few equal threads.

A thread that is free runs what is decoded if an engine is free, and decodes what waits otherwise.
So a batch forms while every engine is busy, or for two milliseconds while more is to be decoded,
and a lone request waits for nothing: one thread takes it all the way. What is large waits in a
line of its own for a thread that decodes nothing else, so that it holds up no other. Threads hand
results to the event loop; they never touch a socket.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from app.core.errors import HeadstartError
from app.core.modalities import Depth
from worker.predictor.batch_sizes import BatchSizes
from worker.predictor.calls import InputOutcome, PendingCall, PendingInput, Timing
from worker.predictor.fair_queue import FairQueue
from worker.predictor.held_wait import HeldWait
from worker.predictor.metrics import Metrics

log = structlog.get_logger()
FEW = 16
"""Calls of a tenant that may wait here for as long as it takes: few large requests are no flood."""
_LEFT = 1.0
"""Seconds at least for which a call that had to leave the queue stays away."""
Deliver = Callable[[list[InputOutcome]], None]


@dataclass(frozen=True, slots=True)
class Work:
    """What a batcher does with its items, on threads.

    `prepare(item)` gives what the engine eats, or raises HeadstartError; `answer(items, rows)`
    gives an answer an item and rider, or its error. `large(item)` tells soon whether preparing it
    takes far longer than others. `price(prepared)` is how many usual inputs take an engine as long.
    """

    prepare: Callable[[PendingInput], Any]
    answer: Callable[[Sequence[PendingInput], Any], Sequence[bytes | HeadstartError]]
    large: Callable[[PendingInput], bool] | None = None
    price: Callable[[Any], int] = lambda _prepared: 1


Forward = Callable[[list[Any]], Sequence[Any]]
"""One engine: as many feature rows as inputs."""


class Batcher:
    """`forwards` has one callable an engine; each runs one batch at a time.

    `decoders` is how many threads may decode while every engine is busy; one more is for what is
    large, if the work knows of any. `limit` is of each of the two lines, `wait` the seconds that a
    call may have to wait if it does not say. `sizes` are the batch sizes that the engine has been
    warmed up for, ascending from 1. `weights_sha256` is of the weights that the engines have,
    `fingerprint` of those as they are read (`former` by older rules), `engine` their name,
    precision included.
    `rehearse` gets ready what networks that are tuned so deep read; it may be called on any thread.
    """

    def __init__(
        self,
        name: str,
        work: Work,
        forwards: Sequence[Forward],
        *,
        sizes: Sequence[int],
        limit: int,
        wait: float,
        decoders: int,
        weights_sha256: str,
        engine: str,
        deliver: Deliver,
        metrics: Metrics,
        fingerprint: str = "",
        former: Sequence[str] = (),
        rehearse: Callable[[Depth], None] = lambda _depth: None,
    ) -> None:
        self.name, self.weights_sha256, self.engine = name, weights_sha256, engine
        self.fingerprint, self.former = fingerprint, tuple(former)
        self.rehearse = rehearse
        self._work, self._sizes = work, BatchSizes(sizes)
        self._deliver, self._metrics = deliver, metrics
        self._queue, self._large = FairQueue(limit), FairQueue(limit)
        self._ready = FairQueue(None)
        self._room, self._running = 2 * sizes[-1] * len(forwards), 0
        self._wait, self._ready_since = HeldWait(wait), 0.0
        self._lock = threading.Lock()
        self._work_to_do = threading.Condition(self._lock)
        self._large_to_do = threading.Condition(self._lock)
        self._free = list(forwards)
        self._closed = False
        self._threads = [
            threading.Thread(target=self._loop, name=f"{name}-{place}", daemon=True)
            for place in range(decoders + len(forwards))
        ]
        if work.large is not None:
            large = threading.Thread(target=self._loop_large, name=f"{name}-large", daemon=True)
            self._threads.append(large)
        for thread in self._threads:
            thread.start()

    def submit(self, call: PendingCall, items: Sequence[PendingInput]) -> list[PendingCall]:
        """Queue a call's items; answers the calls evicted for them.

        Raises overloaded where the queue is full, the wait longer than the call bears, or the
        network has made way for others.
        """
        if self._closed:
            raise HeadstartError("overloaded", "the network made way", retry_after=_LEFT)
        now = time.perf_counter()
        for item in items:
            item.queued = now
        with self._lock:
            self._sizes.asked(call.tenant, now=now)
            call.bears = self._bears(call, call.deadline - now)
            lines = (self._queue, self._ready)
            ahead = sum(line.ahead_of(call.tenant, 1) for line in lines) + self._running
            each = max(1, self._queue.tenants)
            if gone := call.request.turned_away[1]:
                self._wait.turned_away(call.tenant, gone * each, now=now)
            self._wait.admit(
                call.tenant,
                ahead,
                wait=call.bears,
                now=now,
                size=len(items) * each,
                each=each,
                unsaid=call.request.options.wait is None,
            )
            evicted = self._queue.push(call.tenant, items)
            self._work_to_do.notify(len(items))
        return evicted

    def retry_after(self, call: PendingCall) -> float:
        """Seconds after which a call that had to leave may come back."""
        with self._lock:
            size = len(call.request.inputs) * max(1, self._queue.tenants)
            return self._wait.retry_after(call.tenant, size, now=time.perf_counter(), late=_LEFT)

    def _bears(self, call: PendingCall, left: float) -> float:
        """Seconds that a call is ready to wait, of those that are `left` to it.

        A tenant's few calls may wait to the end, unless they ask for less: they are no flood.
        """
        asked = call.request.options.wait
        if asked is None and not self._queue.has_calls(call.tenant, FEW):
            return left
        return min(self._wait.seconds if asked is None else asked, left)

    def cancel(self, call: PendingCall) -> None:
        """Drop what of `call` still waits."""
        with self._lock:
            for line in (self._queue, self._large, self._ready):
                line.discard(call)

    @property
    def waiting(self) -> int:
        """Items that no thread has begun."""
        return len(self._queue) + len(self._large)

    @property
    def is_closed(self) -> bool:
        """Whether it takes no more."""
        return self._closed

    def close(self) -> None:
        """Stop the threads; what still waits is not computed."""
        with self._lock:
            self._closed = True
            self._work_to_do.notify_all()
            self._large_to_do.notify_all()
        for thread in self._threads:
            thread.join(timeout=5)

    def _loop(self) -> None:
        while (task := self._next()) is not None:
            if isinstance(task, PendingInput):
                self._decode(task, large=self._work.large)
                continue
            self._run_batch(*task)

    def _loop_large(self) -> None:
        while (item := self._next_large()) is not None:
            self._decode(item)

    def _next(self) -> PendingInput | tuple[Forward, list[PendingInput]] | None:
        """A batch and an engine for it, or an item to decode; waits for either, None at the end."""
        with self._lock:
            while not self._closed:
                if self._gathers() and (item := self._to_decode()) is not None:
                    return item
                if self._ready and self._free:
                    batch = self._batch()
                    self._running += len(batch)
                    if self._queue:
                        self._work_to_do.notify(len(batch))
                    if self._large:
                        self._large_to_do.notify()
                    return self._free.pop(), batch
                if self._queue and (item := self._to_decode()) is not None:
                    return item
                self._work_to_do.wait()
            return None

    def _gathers(self) -> bool:
        """Whether what is decoded waits for a moment for what is about to be."""
        if not (self._queue and self._ready and self._free):
            return False
        now = time.perf_counter()
        return self._sizes.gathers(len(self._ready), waited=now - self._ready_since, now=now)

    def _to_decode(self) -> PendingInput | None:
        """What may be decoded now: a tenant of which nothing is ready has a place of its own."""
        if len(self._ready) < self._room:
            return self._queue.pop()
        return self._queue.pop_unlike(self._ready) if len(self._ready) < 2 * self._room else None

    def _next_large(self) -> PendingInput | None:
        """A large item to decode; what the last one became is for the other threads to run."""
        with self._lock:
            if self._ready:
                self._work_to_do.notify()
            while not self._closed:
                if self._large and len(self._ready) < self._room:
                    return self._large.pop()
                self._large_to_do.wait()
            return None

    def _batch(self) -> list[PendingInput]:
        """As many as ride together now, by what they take: nobody can get off on the way. An item
        that wants a map rides alone, and so does one that takes more than a batch."""
        now = time.perf_counter()
        most, room = self._sizes.most(len(self._ready), self._ready.price, now=now)
        batch: list[PendingInput] = []
        while (
            self._ready and len(batch) < most and not (batch and self._rides_alone(batch[0], room))
        ):
            room -= self._ready.next.price
            batch.append(self._ready.pop())
        return batch

    def _rides_alone(self, first: PendingInput, room: int) -> bool:
        """Whether what comes next does not ride with it: there is no room, or one wants a map."""
        then = self._ready.next
        return then.price > room or first.wants_saliency or then.wants_saliency

    def _decode(
        self, item: PendingInput, *, large: Callable[[PendingInput], bool] | None = None
    ) -> None:
        """Prepare an item, or set it aside if it is `large`."""
        if self._is_over(item):
            return
        started = time.perf_counter()
        try:
            if large is not None and large(item):
                self._set_aside(item)
                return
            item.prepared = self._work.prepare(item)
            item.price = self._work.price(item.prepared)
        except HeadstartError as error:
            self._deliver(_failed(item, error))
            return
        except BaseException:  # a library's panic is no Exception, and the thread has to go on
            log.exception("decoding failed", backbone=self.name)
            self._deliver(_failed(item, HeadstartError("internal")))
            return
        item.decode_ms = (time.perf_counter() - started) * 1e3
        self._metrics.decode.observe(item.decode_ms / 1e3)
        with self._lock:
            if not item.call.over:
                if not self._ready:
                    self._ready_since = time.perf_counter()
                self._ready.push(item.call.tenant, [item])

    def _set_aside(self, item: PendingInput) -> None:
        """Leave it to the thread for what is large, whose line is as fair and as bounded."""
        try:
            with self._lock:
                evicted = [] if item.call.over else self._large.push(item.call.tenant, [item])
                self._large_to_do.notify()
        except HeadstartError as error:
            self._deliver(_all_failed([item], error))
            return
        if evicted:
            firsts = [PendingInput(call, 0, call.request.inputs[0]) for call in evicted]
            after = self.retry_after(evicted[0])
            gone = HeadstartError("overloaded", "gave way to others", retry_after=after)
            self._deliver(_all_failed(firsts, gone))

    def _run_batch(self, forward: Forward, batch: list[PendingInput]) -> None:
        items = [item for item in batch if not self._is_over(item)]
        if not items:
            self._give_back(forward, len(batch))
            return
        with self._lock:
            self._running -= len(batch) - len(items)
        try:
            outcomes = self._run(forward, items)
        except HeadstartError as error:
            outcomes = _all_failed(items, error)
        except BaseException:  # as in `_decode`
            log.exception("a batch failed", backbone=self.name, batch=len(items))
            outcomes = _all_failed(items, HeadstartError("internal", "the batch failed"))
        self._deliver(outcomes)

    def _run(self, forward: Forward, items: list[PendingInput]) -> list[InputOutcome]:
        started = time.perf_counter()
        try:
            rows = forward([item.prepared for item in items])
        finally:
            for item in items:
                item.prepared = None
            self._give_back(forward, len(items))
        embedded = time.perf_counter()
        if len(rows) != len(items):
            raise HeadstartError("internal", f"{len(items)} inputs gave {len(rows)} rows")
        everyone = [one for item in items for one in item.together]
        answers = self._work.answer(items, rows)
        if len(answers) != len(everyone):
            raise HeadstartError("internal", f"{len(everyone)} inputs gave {len(answers)} answers")
        done = time.perf_counter()
        with self._lock:
            taken = self._wait.served(len(items), started=started, done=done)
            self._sizes.served(sum(item.price for item in items), taken)
        self._metrics.batch(items, started=started, embedded=embedded, done=done)
        forward_ms, head_ms = (embedded - started) * 1e3, (done - embedded) * 1e3
        timings = [
            Timing(
                queue=(started - item.queued) * 1e3 - item.decode_ms,
                decode=item.decode_ms,
                forward=forward_ms,
                head=head_ms,
                batch=len(items),
            )
            for item in items
            for _ in item.together
        ]
        return [
            _outcome(one, answer, timing)
            for one, answer, timing in zip(everyone, answers, timings, strict=True)
        ]

    def _give_back(self, forward: Forward, count: int) -> None:
        """Let another thread run the next batch while this one asks the heads of `count` rows."""
        with self._lock:
            self._free.append(forward)
            self._running -= count
            if self._ready:
                self._work_to_do.notify()

    def _is_over(self, item: PendingInput) -> bool:
        """Whether nobody waits for this item any more, or it has waited for too long."""
        call = item.call
        if call.over:
            return True
        now = time.perf_counter()
        if now > call.deadline:
            error = HeadstartError("deadline_exceeded", "the answer would have come too late")
        elif not call.begun and self._wait.misjudged(now - item.queued, wait=call.bears):
            after = self.retry_after(call)
            error = HeadstartError("overloaded", "the wait was misjudged", retry_after=after)
        else:
            call.begun = True
            return False
        self._deliver([InputOutcome(item, error=error, fatal=True)])
        return True


def _outcome(item: PendingInput, answer: bytes | HeadstartError, timing: Timing) -> InputOutcome:
    if isinstance(answer, HeadstartError):
        return InputOutcome(item, error=answer, timing=timing)
    return InputOutcome(item, answer, timing=timing)


def _failed(item: PendingInput, error: HeadstartError) -> list[InputOutcome]:
    return [InputOutcome(one, error=error) for one in item.together]


def _all_failed(items: Sequence[PendingInput], error: HeadstartError) -> list[InputOutcome]:
    return [InputOutcome(item, error=error, fatal=True) for item in items]
