"""From probabilities to the JSON that the caller reads."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic_core import to_json

from app.core.errors import HeadstartError
from app.core.messages import Options, error_body


class Labels:
    """A head's classes, and each as JSON, written once a head; `thresholds` are of a head that says
    several labels, or none.
    """

    __slots__ = ("names", "quoted", "thresholds")

    def __init__(self, names: Sequence[str], thresholds: Sequence[float] | None = None) -> None:
        self.names = tuple(names)
        self.thresholds = None if thresholds is None else tuple(thresholds)
        self.quoted = tuple(to_json(name).decode() for name in names)


@dataclass(frozen=True, slots=True)
class Scores:
    """One input under one head: a probability a class, and how strange the input looks.

    `familiarity` is the share of known inputs that look stranger; below the head's false-alarm rate
    (or the caller's) the input is unknown. None where the head cannot tell.
    """

    labels: Labels
    probabilities: array[float]
    unknown: bool = False
    familiarity: float | None = None
    score: float | None = None
    """High for what looks like the training examples; not remembered with the answer."""

    @property
    def label(self) -> str:
        """The most probable class."""
        p = self.probabilities
        return self.labels.names[max(range(len(p)), key=p.__getitem__)]

    def said(self, options: Options) -> list[int] | None:
        """The places of the labels beyond their thresholds; None where one is always said."""
        own = self.labels.thresholds
        if own is None:
            return None
        least = own if options.level is None else (options.level,) * len(own)
        if options.levels:
            names = self.labels.names
            least = tuple(options.levels.get(n, x) for n, x in zip(names, least, strict=True))
        return [
            at for at, (p, x) in enumerate(zip(self.probabilities, least, strict=True)) if p >= x
        ]


def render(scores: Scores, *, index: int, options: Options, extra: str = "") -> bytes:
    """One item of `data`; `extra` is further JSON members, with a leading comma."""
    quoted, p = scores.labels.quoted, scores.probabilities
    order = sorted(range(len(p)), key=p.__getitem__, reverse=True)
    best = order[0]
    listed = ",".join(
        f'{{"label":{quoted[place]},"probability":{p[place]:.7g}}}'
        for place in order[: options.top_k]
    )
    unknown = _is_unknown(scores, p[best], options)
    return (
        f'{{"index":{index},"label":{quoted[best]},"probability":{p[best]:.7g},'
        f"{_several(scores, order, options)}"
        f'"unknown":{"true" if unknown else "false"}{_familiar(scores)},'
        f'"predictions":[{listed}]{extra}}}'
    ).encode()


def render_error(error: HeadstartError, *, index: int) -> bytes:
    """The item of an input that has no prediction."""
    return b'{"index":%d,"error":%s}' % (index, to_json(error_body(error)))


def assemble(call_id: str, model: str, answers: Sequence[bytes]) -> bytes:
    """The whole answer, in the inputs' order."""
    head = b'{"id":%s,"object":"list","model":%s,"data":[' % (to_json(call_id), to_json(model))
    return head + b",".join(answers) + b"]}"


def assemble_joint(call_id: str, answers: Sequence[bytes]) -> bytes:
    """The answers of several models, in the order in which they were asked."""
    head = b'{"id":%s,"object":"list","data":[' % to_json(call_id)
    return head + b",".join(answers) + b"]}"


def _several(scores: Scores, order: Sequence[int], options: Options) -> str:
    """All labels that are said, the most probable first, of a head that says several."""
    said = scores.said(options)
    if said is None:
        return ""
    quoted, places = scores.labels.quoted, set(said)
    return f'"labels":[{",".join(quoted[at] for at in order if at in places)}],'


def _familiar(scores: Scores) -> str:
    return "" if scores.familiarity is None else f',"familiarity":{scores.familiarity:.4g}'


def _is_unknown(scores: Scores, best: float, options: Options) -> bool:
    """The caller's threshold is on the familiarity where there is one, else on the probability."""
    if options.threshold is None:
        return scores.unknown
    measure = best if scores.familiarity is None else scores.familiarity
    return measure < options.threshold
