"""What a head answers to examples that it never learned from, one by one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

MOST_CLASSES = 5
"""Classes told of each example, the most probable ones; and always the true one."""


class Rows(Protocol):
    """Answers that can be written down."""

    def rows(self) -> Iterator[dict[str, Any]]:
        """One JSON object for each example that was judged."""


@dataclass(frozen=True, kw_only=True)
class HeldOutAnswers:
    """Calibrated `probabilities` [n, C] of the examples `ids`, whose true classes are `labels` [n].

    All of `classes` are in the caller's order. Only `known` [n] examples were judged by a fit that
    had seen their class.
    """

    ids: Sequence[str]
    labels: Tensor
    classes: Sequence[str]
    probabilities: Tensor
    known: Tensor

    def rows(self) -> Iterator[dict[str, Any]]:
        """One JSON object for each example that was judged, in their order."""
        most = min(MOST_CLASSES, len(self.classes))
        values, places = self.probabilities.topk(most, dim=1)
        true = self.probabilities.gather(1, self.labels[:, None].long())[:, 0].tolist()
        told = zip(values.tolist(), places.tolist(), strict=True)
        for row, (probabilities, classes) in enumerate(told):
            if not bool(self.known[row]):
                continue
            named = [
                {"label": self.classes[c], "probability": round(p, 6)}
                for p, c in zip(probabilities, classes, strict=True)
            ]
            yield {
                "example_id": self.ids[row],
                "expected": self.classes[int(self.labels[row])],
                "expected_probability": round(true[row], 6),
                **named[0],
                "predictions": named,
            }


@dataclass(frozen=True, kw_only=True)
class MarkedAnswers:
    """The same of several labels an example: `probabilities`, `said` and `marks` [n, C].

    All classes are told of each, as precision over all examples is made of them.
    """

    ids: Sequence[str]
    marks: Tensor
    said: Tensor
    classes: Sequence[str]
    probabilities: Tensor
    known: Tensor

    def rows(self) -> Iterator[dict[str, Any]]:
        """One JSON object for each example that was judged, in their order."""
        p = self.probabilities.double()
        whole = p.where(self.marks, 1 - p).prod(1).tolist()
        values, places = p.sort(dim=1, descending=True, stable=True)
        told = zip(values.tolist(), places.tolist(), strict=True)
        for row, (probabilities, classes) in enumerate(told):
            if not bool(self.known[row]):
                continue
            named = [
                {"label": self.classes[c], "probability": round(one, 6)}
                for one, c in zip(probabilities, classes, strict=True)
            ]
            expected = self._named(self.marks[row])
            said = {self.classes[c] for c in self.said[row].nonzero()[:, 0].tolist()}
            yield {
                "example_id": self.ids[row],
                "expected": ", ".join(expected),
                "expected_labels": expected,
                "expected_probability": round(whole[row], 6),
                **named[0],
                "labels": [one["label"] for one in named if one["label"] in said],
                "predictions": named,
            }

    def _named(self, marks: Tensor) -> list[str]:
        return sorted(self.classes[c] for c in marks.nonzero()[:, 0].tolist())
