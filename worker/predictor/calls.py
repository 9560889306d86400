"""One call on its way through the predictor, and the inputs it is made of."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from app.core.errors import HeadstartError
from app.core.messages import Call, Input
from app.core.modalities import MAP, PIXELS, is_mapped, is_pixels, pictured


@dataclass(slots=True)
class Timing:
    """Milliseconds of a call's slowest input in each stage, and the batch it rode in."""

    queue: float = 0.0
    decode: float = 0.0
    forward: float = 0.0
    head: float = 0.0
    batch: int = 0
    cached: int = 0

    def add(self, other: Timing) -> None:
        """Keep the slower of each stage; written out, since every input of a call comes here."""
        self.queue = max(self.queue, other.queue)
        self.decode = max(self.decode, other.decode)
        self.forward = max(self.forward, other.forward)
        self.head = max(self.head, other.head)
        self.batch = max(self.batch, other.batch)


@dataclass(slots=True, eq=False)
class PendingCall:
    """What is asked and what became of its inputs; only the event loop's thread writes `answers`.

    `over` is set once, when the answer has left, failed or lost its client; threads that see it
    drop the call's inputs uncomputed. `begun` is set with the first of them that is decoded.
    `bears` is how many seconds it may wait for others.
    """

    request: Call
    finish: Callable[[PendingCall, HeadstartError | None], None]
    deadline: float
    head: Any = None
    batcher: Any = None
    answers: list[bytes | None] = field(default_factory=list)
    remaining: int = 0
    over: bool = False
    begun: bool = False
    bears: float = 0.0
    timing: Timing = field(default_factory=Timing)
    born: float = field(default_factory=time.perf_counter)

    @property
    def tenant(self) -> str:
        """Whose call it is."""
        return self.request.tenant

    def settle(self, index: int, answer: bytes) -> None:
        """Put one input's answer in its place; the last one finishes the call."""
        if self.over or self.answers[index] is not None:
            return
        self.answers[index] = answer
        self.remaining -= 1
        if self.remaining == 0:
            self.end(None)

    def end(self, error: HeadstartError | None) -> None:
        """Answer once: with the answers, or with `error` in their place."""
        if not self.over:
            finish = self.finish
            self.leave()
            finish(self, error)

    def leave(self) -> None:
        """Nobody waits for it any more; what would have been told, which holds it, is let go of."""
        self.over, self.finish = True, _told_nobody


def _told_nobody(_call: PendingCall, _error: HeadstartError | None) -> None:
    """What a call that is over finishes with."""


@dataclass(slots=True, eq=False)
class PendingInput:
    """One input of a call.

    `riders` are the same input of other calls, whose heads are asked over the same pass.
    """

    call: PendingCall
    index: int
    input: Input
    key: bytes = b""
    prepared: Any = None
    """What the engine eats, between decoding and the forward pass."""
    price: int = 1
    """What that takes of an engine, in usual inputs: as much as so many of them."""
    queued: float = 0.0
    decode_ms: float = 0.0
    riders: tuple[PendingInput, ...] = ()

    @property
    def together(self) -> tuple[PendingInput, ...]:
        """It and its riders."""
        return (self, *self.riders)

    @property
    def views(self) -> tuple[str, ...]:
        """The views that its heads read, each once; none for an embedding."""
        if not self.riders:
            head = self.call.head
            return () if head is None else head.live.config.views
        heads = [one.call.head for one in self.together if one.call.head is not None]
        return tuple(dict.fromkeys(view for head in heads for view in head.live.config.views))

    @property
    def pictures(self) -> tuple[str, ...]:
        """The views whose pixels these are made of."""
        if not self.riders and self.call.head is not None:
            return self.call.head.live.config.pictures  # type: ignore[no-any-return]
        return tuple(dict.fromkeys(map(pictured, self.views)))

    @property
    def behind(self) -> str:
        """What a head of its own network also reads: what is at a cut, pixels, or nothing."""
        views = self.views
        if any(map(is_mapped, views)):
            return MAP
        return PIXELS if any(map(is_pixels, views)) else ""

    @property
    def weight(self) -> int:
        """What it takes of the queue's limit, as the app reckons it."""
        return self.input.weight

    @property
    def wants_saliency(self) -> bool:
        """Whether the picture is also shown to the network with parts of it hidden."""
        return "saliency" in self.call.request.options.explain


@dataclass(slots=True)
class InputOutcome:
    """What a thread made of one item: the answer's JSON, or its error; `fatal` ends the call."""

    item: PendingInput
    answer: bytes = b""
    error: HeadstartError | None = None
    fatal: bool = False
    timing: Timing | None = None
