"""Lanes: the kinds of work, each on a CPU or a GPU; which work is in which, and who takes it.

A lane has a doorbell of its own, so that a ring wakes only workers that take what it is for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

from app.core.backbones import JOINT

Accelerator = Literal["any", "cpu", "gpu"]
WORK_KINDS = ("embed", "fine_tune", "batch", "requests", "export", "drift", "promote")
"""What trainers do."""
HOOK, WEBHOOK = "hook", "webhook"
APP_KINDS = (HOOK, WEBHOOK)
"""What the app's scheduler does, which alone knows who waits for it."""
QUEUE = "headstart"
"""The doorbell of every lane, as processes of former releases ring it."""


class Lane(NamedTuple):
    """A kind of work, and whether it wants a GPU."""

    kind: str
    gpu: bool

    @property
    def queue(self) -> str:
        """Its doorbell's name."""
        return f"{QUEUE}.{self.kind}.{'gpu' if self.gpu else 'cpu'}"


@dataclass(frozen=True, kw_only=True)
class Lanes:
    """Which lanes a worker takes, and what it is that wants a GPU: jobs of these methods, and
    whatever reads these backbones.
    """

    kinds: tuple[str, ...] = WORK_KINDS
    accelerator: Accelerator = "any"
    methods: tuple[str, ...] = ()
    backbones: tuple[str, ...] = ()

    def of(self, kind: str, *, method: str | None, backbone: str | None) -> Lane:
        """The lane of such work."""
        names = (backbone or "").split(JOINT)
        return Lane(kind, method in self.methods or not set(names).isdisjoint(self.backbones))

    def taken(self) -> Iterator[Lane]:
        """Every lane that the worker takes."""
        for kind in self.kinds:
            if self.accelerator != "gpu":
                yield Lane(kind, gpu=False)
            if self.accelerator != "cpu":
                yield Lane(kind, gpu=True)

    def among(self, kinds: Iterable[str]) -> tuple[str, ...]:
        """Those of the kinds that the worker takes."""
        return tuple(kind for kind in kinds if kind in self.kinds)
