"""Several heads asked about the same inputs: a call a head, and as few passes as can be."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from app.core.messages import Call
from worker.predictor.batching import Batcher
from worker.predictor.calls import PendingCall, PendingInput, Timing


def each(request: Call) -> list[Call]:
    """The request as one call a target, in their order."""
    if not request.others:
        return [request]
    targets = (request.target, *request.others)
    return [replace(request, target=target, others=()) for target in targets]


def rides(items: Sequence[PendingInput]) -> Iterator[tuple[Batcher, list[PendingInput]]]:
    """The items that each batcher is to run; what can share a pass rides with the first of it.

    Heads on the same network and pixel scale do: the pass then has every view that one of them
    reads. Those with a tuned part of the network ride with each other, and those with a whole one.
    """
    calls = {item.call for item in items}
    if len(calls) == 1:
        yield calls.pop().batcher, list(items)
        return
    first: dict[tuple[Batcher, Any, str, int], PendingInput] = {}
    for item in items:
        alike = (item.call.batcher, _scale(item), item.behind, item.index)
        leader = first.setdefault(alike, item)
        if leader is not item:
            leader.riders += (item,)
    batches: dict[Batcher, list[PendingInput]] = {}
    for (batcher, *_), item in first.items():
        batches.setdefault(batcher, []).append(item)
    yield from batches.items()


def _scale(item: PendingInput) -> Any:
    """What is black and white in the item's picture, as its head was taught."""
    head = item.call.head
    return None if head is None else head.live.config.pixel_scale


def server_timing(calls: Sequence[PendingCall]) -> str:
    """The `Server-Timing` header: milliseconds in each stage, the batch's size, cache hits."""
    timing, total = Timing(), (time.perf_counter() - calls[0].born) * 1e3
    for call in calls:
        timing.add(call.timing)
    parts = [f"predictor;dur={total:.2f}"]
    if timing.batch:
        parts.append(
            f"queue;dur={timing.queue:.2f}, decode;dur={timing.decode:.2f}, "
            f"forward;dur={timing.forward:.2f}, head;dur={timing.head:.2f}, "
            f'batch;desc="{timing.batch}"'
        )
    if calls[0].request.options.cache:
        cached, asked = (sum(call.timing.cached for call in calls), sum(map(_inputs, calls)))
        parts.append(f'cache;desc="{cached} of {asked}"')
    return ", ".join(parts)


def _inputs(call: PendingCall) -> int:
    return len(call.answers)
