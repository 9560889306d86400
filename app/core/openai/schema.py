"""A label in the form that a caller's JSON Schema asks for, such as `{"intent": "refund"}`.

A model that writes is held to the schema word by word; a classifier knows a label and how probable
it is, fills in those, and refuses a schema that wants more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json, to_json

from app.core.errors import HeadstartError
from app.core.openai.filling import MISSING, EndlessError, Filling, Ranked, UnreadError, enums
from app.core.texts import alike, few

__all__ = ["Ranked", "Wording"]


@dataclass(frozen=True)
class Wording:
    """What a prediction is written as: `schema` None is the label itself, {} any JSON object.

    `param` names it in the request.
    """

    schema: Mapping[str, Any] | None = None
    param: str = "response_format"

    @property
    def allowed(self) -> frozenset[str] | None:
        """The values that the schema leaves to choose from; None where it leaves all."""
        several = [set(one) for one in enums(self.schema or {}) if len(one) > 1]
        return frozenset(set.intersection(*several)) if several else None

    def choose(self, predictions: Sequence[Ranked]) -> list[Ranked]:
        """Those of the predictions that the schema has a place for, as it spells them.

        Raises invalid_request where one of its words is no class while classes are left out: it
        may be meant for one of them, and another would be answered.
        """
        if (allowed := self.allowed) is None:
            return list(predictions)
        words = _spelled([one.label for one in predictions], allowed)
        chosen = [
            Ranked(one.label, one.probability, words[one.label])
            for one in predictions
            if one.label in words
        ]
        if not chosen:
            raise self._bad("its enum has none of the model's classes")
        strange = sorted(allowed.difference(words.values()))
        if strange and len(chosen) < len(predictions):
            left = sorted({one.label for one in predictions}.difference(words))
            raise self._bad(
                f"its enum has {_named(strange)}, no class of the model, and lacks {_named(left)}:"
                " name the classes as they are called, or leave out what is none"
            )
        return chosen

    def write(self, best: Ranked) -> str:
        """The prediction in this form. Raises invalid_request where the schema wants more."""
        if self.schema is None or (self.allowed is None and _is_object(best.label)):
            return best.word
        if not self.schema:
            return _dumped({"label": best.word})
        return _dumped(self._filled(Filling(self.schema, best, self.allowed is not None)))

    def write_all(self, best: Ranked, said: Sequence[Ranked]) -> str:
        """All labels that are said: a JSON array, or what the schema's arrays take of them."""
        labels = [one.word for one in said]
        if self.schema is None:
            return _dumped(labels)
        if not self.schema:
            return _dumped({"labels": labels})
        return _dumped(self._filled(Filling(self.schema, best, self.allowed is not None, said)))

    def _filled(self, filling: Filling) -> Any:
        try:
            value = filling.value(self.schema, "", 0)
        except EndlessError as error:
            raise self._bad(
                "the schema is too large, or refers to itself again and again"
            ) from error
        except UnreadError as error:
            raise self._bad(f"its `{error}` is not read here; say without it") from error
        if value is MISSING or not filling.placed:
            raise self._bad(
                f"a classifier can fill in {filling.what} and no more{filling.lacking()}"
            )
        return value

    def _bad(self, why: str) -> HeadstartError:
        return HeadstartError("invalid_request", f"{self.param}: {why}", param=self.param)


def _spelled(labels: Sequence[str], words: Iterable[str]) -> dict[str, str]:
    """Of the classes that are among `words` how those spell them: as they are, or but for case,
    blanks and joints, where that leaves no other."""
    exact = {label: label for label in labels if label in words}
    left = [label for label in labels if label not in exact]
    free = [word for word in words if word not in exact]
    words_of, counts = {alike(word): word for word in free}, Counter(map(alike, free))
    counts.update(map(alike, left))
    found = {label: words_of[key] for label in left if (key := alike(label)) in words_of}
    return exact | {label: word for label, word in found.items() if counts[alike(label)] == 2}


def _named(labels: Sequence[str]) -> str:
    return few([repr(one[:40]) for one in labels], 3)


def _is_object(label: str) -> bool:
    """Whether the label was trained as a JSON object, and needs no other form."""
    if not label.startswith("{"):
        return False
    try:
        return isinstance(from_json(label), dict)
    except ValueError:
        return False


def _dumped(value: Any) -> str:
    return to_json(value).decode()
