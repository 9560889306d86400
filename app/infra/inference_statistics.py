"""How often and how long models were asked over `/v2`, since this process began."""

from __future__ import annotations

import re
import time
from collections import OrderedDict
from dataclasses import dataclass, field

_MOST = 10_000
"""Models that are counted; the one that was not asked for longest is forgotten first."""
_STAGE = re.compile(r"(\w+);dur=([0-9.]+)")
_STAGES = {
    "queue": "queue",
    "compute_input": "decode",
    "compute_infer": "forward",
    "compute_output": "head",
}
"""Triton's stages, and what the predictor calls them."""


@dataclass(slots=True)
class Duration:
    """How often something was, and how long in all, in nanoseconds."""

    count: int = 0
    ns: int = 0

    def add(self, ns: int) -> None:
        """Once more."""
        self.count += 1
        self.ns += ns


@dataclass(slots=True)
class ModelTally:
    """One name's requests; `inferences` are their inputs, `last` is in milliseconds since 1970."""

    inferences: int = 0
    last: int = 0
    stages: dict[str, Duration] = field(default_factory=dict)

    def add(self, stage: str, ns: int) -> None:
        """Once more through a stage."""
        self.stages.setdefault(stage, Duration()).add(ns)


class InferenceStatistics:
    """One a process; event loop's thread only."""

    def __init__(self) -> None:
        self._tallies: OrderedDict[tuple[str, str], ModelTally] = OrderedDict()

    def succeeded(self, whose: tuple[str, str], *, inputs: int, ns: int, timing: str) -> None:
        """A request was answered; `timing` is the predictor's Server-Timing."""
        tally = self._tally(whose)
        tally.inferences += inputs
        tally.last = time.time_ns() // 1_000_000
        tally.add("success", ns)
        told = {name: float(ms) for name, ms in _STAGE.findall(timing)}
        for stage, ours in _STAGES.items():
            if ours in told:
                tally.add(stage, int(told[ours] * 1e6))

    def failed(self, whose: tuple[str, str], *, ns: int) -> None:
        """A request of a model that is there was not answered."""
        self._tally(whose).add("fail", ns)

    def of(self, organisation_id: str, model: str) -> ModelTally:
        """What was counted under the name; nothing, if it was never asked."""
        return self._tallies.get((organisation_id, model), ModelTally())

    def names(self, organisation_id: str) -> list[str]:
        """The names that the organisation asked for."""
        return [name for owner, name in self._tallies if owner == organisation_id]

    def _tally(self, whose: tuple[str, str]) -> ModelTally:
        tally = self._tallies.setdefault(whose, ModelTally())
        self._tallies.move_to_end(whose)
        if len(self._tallies) > _MOST:
            self._tallies.popitem(last=False)
        return tally
