"""What a request asks of a model, and the form of its answer: one for requests and for batches."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic_core import to_json

from app.core.backbones import BackboneSpec
from app.core.errors import HeadstartError
from app.core.manifest import Modality
from app.core.messages import Input, Options
from app.core.openai.schema import Ranked, Wording

_SEVERAL = 100
"""Classes that are told of a model that says several; the most probable are."""
LEAST_LOGPROB = -9999.0
"""What OpenAI says of what is next to impossible; a probability of zero has no logarithm."""


@dataclass(frozen=True, kw_only=True)
class ModelReply:
    """The predictor's answer: what answered, under which id, when, and an item an input."""

    id: str
    created: int
    model: str
    items: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True)
class ModelQuestion:
    """`inputs(modality)` is what to ask, `answer(reply)` the body to answer with.

    `backbone`: whether a backbone may be asked by its name, and its own view is what is wanted;
    `check(spec)` raises where that one cannot answer so.
    """

    model: str
    options: Options
    inputs: Callable[[Modality], tuple[Input, ...]]
    answer: Callable[[ModelReply], dict[str, Any]]
    backbone: bool = False
    check: Callable[[BackboneSpec], None] = lambda _: None


@dataclass(frozen=True, kw_only=True)
class Told:
    """One prediction as it is told: its content, the classes to choose from, what was counted."""

    content: str
    best: Ranked
    said: Sequence[Ranked]
    ranked: Sequence[Ranked]
    item: Mapping[str, Any]

    @property
    def tokens(self) -> tuple[int, int]:
        """Tokens of the input and of the label, by the backbone's tokenizer; pictures have none."""
        asked, answered = self.item.get("tokens", (0, 0))
        return int(asked), int(answered)

    @property
    def prediction(self) -> dict[str, Any]:
        """What OpenAI's shapes have no place for, in the words of a prediction."""
        kept = ("labels", "unknown", "familiarity")
        told = {name: self.item[name] for name in kept if name in self.item}
        return {"label": self.best.label, "probability": self.best.probability, **told}

    def logprobs(self, top: int) -> list[dict[str, Any]]:
        """The content as tokens: each label is one, whose alternatives are the other classes."""
        written, start = self.content, 0
        tokens: list[dict[str, Any]] = []
        for one, at in self._places():
            if at > start:
                tokens.append(_sure(written[start:at]))
            alternatives = [_logprob(other.word, other.probability) for other in self.ranked[:top]]
            tokens.append({**_logprob(one.word, one.probability), "top_logprobs": alternatives})
            start = at + len(one.word)
        return tokens + ([_sure(written[start:])] if start < len(written) else [])

    def _places(self) -> list[tuple[Ranked, int]]:
        """The labels that are said, and where in the content; all of it where that is not seen."""
        written, best = self.content, self.said[:1] or [self.best]
        if len(self.said) == 1 and written == best[0].word:
            return [(best[0], 0)]
        places: list[tuple[Ranked, int]] = []
        end = len(written)
        for one in reversed(self.said):
            at = written.rfind(to_json(one.word).decode(), 0, end) + 1
            if not at or not written.startswith(one.word, at):
                return [(Ranked(written, best[0].probability), 0)] if written else []
            places.append((one, at))
            end = at - 1
        return places[::-1]


def told(reply: ModelReply, form: Wording) -> Told:
    """The one prediction of a reply. Raises its error, or invalid_request by the form."""
    (item,) = reply.items
    if "error" in item:
        error = item["error"]
        raise HeadstartError(error["code"], error["message"], param=error.get("param"))
    ranked = form.choose([Ranked(**one) for one in item["predictions"]])
    several = item.get("labels")
    said = ranked[:1] if several is None else [one for one in ranked if one.label in several]
    content = form.write(ranked[0]) if several is None else form.write_all(ranked[0], said)
    return Told(content=content, best=ranked[0], said=said, ranked=ranked, item=item)


def options(*, form: Wording, top: int) -> Options:
    """How the predictor is asked: with as many classes as the answer needs.

    A model that says several labels may say any number of them.
    """
    most = max(_SEVERAL, top) if form.allowed is None else None
    return Options(top_k=most, tokens=True)


def _logprob(token: str, probability: float) -> dict[str, Any]:
    logprob = math.log(probability) if probability > 0 else LEAST_LOGPROB
    return {
        "token": token,
        "logprob": max(logprob, LEAST_LOGPROB),
        "bytes": list(token.encode()),
    }


def _sure(token: str) -> dict[str, Any]:
    """A piece around the label, which the form decides."""
    return {**_logprob(token, 1.0), "top_logprobs": []}
