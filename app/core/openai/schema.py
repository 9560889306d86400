"""A label in the form that a caller's JSON Schema asks for, such as `{"intent": "refund"}`.

A model that writes is held to the schema word by word; a classifier knows a label and how probable
it is, fills in those, and refuses a schema that wants more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json, to_json

from app.core.errors import HeadstartError
from app.core.texts import alike

_DEEPEST = 20
_LARGEST = 10_000
"""Values in a schema that are looked at."""
_MOST_STEPS = 5_000
"""Steps of filling in: by references to itself, a schema of a line can ask for any number."""
_PROBABILITY = frozenset({"confidence", "probability", "score", "certainty", "likelihood"})
_MISSING = object()


@dataclass(frozen=True)
class Ranked:
    """A class and its probability; `spelled` is how a schema's enum writes it."""

    label: str
    probability: float
    spelled: str | None = None

    @property
    def word(self) -> str:
        """What is written."""
        return self.label if self.spelled is None else self.spelled


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
        enums = [set(one) for one in _enums(self.schema or {}) if len(one) > 1]
        return frozenset(set.intersection(*enums)) if enums else None

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
        value = self._filled(_Filling(self.schema, best, self.allowed is not None))
        if value is _MISSING:
            raise self._bad("a classifier can fill in a label and its probability, and no more")
        return _dumped(value)

    def write_all(self, best: Ranked, said: Sequence[Ranked]) -> str:
        """All labels that are said: a JSON array, or what the schema's arrays take of them."""
        labels = [one.word for one in said]
        if self.schema is None:
            return _dumped(labels)
        if not self.schema:
            return _dumped({"labels": labels})
        value = self._filled(_Filling(self.schema, best, self.allowed is not None, labels))
        if value is _MISSING:
            raise self._bad("a classifier can fill in labels and a probability, and no more")
        return _dumped(value)

    def _filled(self, filling: _Filling) -> Any:
        try:
            value = filling.value(self.schema, "", 0)
            return value if filling.placed else _MISSING
        except _EndlessError as error:
            raise self._bad(
                "the schema is too large, or refers to itself again and again"
            ) from error

    def _bad(self, why: str) -> HeadstartError:
        return HeadstartError("invalid_request", f"{self.param}: {why}", param=self.param)


class _EndlessError(Exception):
    """Filling in takes more steps than any schema of a person."""


class _Filling:
    """Fills in one schema; where it has enums, only those take the label."""

    def __init__(
        self,
        root: Mapping[str, Any],
        best: Ranked,
        enums: bool,
        several: Sequence[str] | None = None,
    ) -> None:
        self._root, self._best, self._enums = root, best, enums
        self._several = several
        self._free = True
        self.placed = False
        """Whether the label has found a place: a probability alone says nothing."""
        self._steps = 0

    def _spend(self, steps: int) -> None:
        """Raises _EndlessError."""
        self._steps += steps
        if self._steps > _MOST_STEPS:
            raise _EndlessError

    def value(self, schema: Any, name: str, depth: int) -> Any:
        """What belongs at a place of the schema; _MISSING where a classifier has nothing."""
        self._spend(1)
        if not isinstance(schema, Mapping) or depth > _DEEPEST:
            return _MISSING
        if "$ref" in schema:
            reference = str(schema["$ref"])
            self._spend(len(reference) // 100)
            return self.value(_pointed(self._root, reference), name, depth + 1)
        if "const" in schema:
            return schema["const"]
        for key in ("anyOf", "oneOf", "allOf"):
            if isinstance(schema.get(key), list):
                return self._first(schema[key], name, depth)
        if isinstance(schema.get("enum"), list):
            return self._of_enum(schema["enum"])
        return self._of_type(schema, name, depth)

    def _first(self, choices: Sequence[Any], name: str, depth: int) -> Any:
        found = (self.value(choice, name, depth + 1) for choice in choices)
        told = [one for one in found if one is not _MISSING]
        return next((one for one in told if one is not None), None if told else _MISSING)

    def _of_enum(self, values: Sequence[Any]) -> Any:
        self._spend(len(values) // 100)
        if len(values) == 1:
            return values[0]
        return self._label() if self._best.word in values else _MISSING

    def _label(self) -> str:
        self.placed = True
        return self._best.word

    def _of_type(self, schema: Mapping[str, Any], name: str, depth: int) -> Any:
        kinds = schema.get("type", "object" if "properties" in schema else "string")
        for kind in kinds if isinstance(kinds, list) else [kinds]:
            self._spend(1)
            if (value := self._of_kind(kind, schema, name, depth)) is not _MISSING:
                return value
        return _MISSING

    def _of_kind(self, kind: Any, schema: Mapping[str, Any], name: str, depth: int) -> Any:
        if kind == "object":
            return self._object(schema, depth)
        if kind == "array":
            return self._array(schema, name, depth)
        if kind == "number" and name.lower() in _PROBABILITY:
            return self._best.probability if _has(schema, self._best.probability) else _MISSING
        if kind == "string" and self._free and not self._enums:
            self._free = False
            return self._label() if _takes(schema, self._best.word) else _MISSING
        return None if kind == "null" else _MISSING

    def _array(self, schema: Mapping[str, Any], name: str, depth: int) -> Any:
        item = self.value(schema.get("items", {}), name, depth + 1)
        made = [] if item is _MISSING else [item]
        if self._several is not None and item == self._best.word:
            made = list(self._several)
        elif item is _MISSING:
            return _MISSING
        return made if _within(schema, "minItems", "maxItems", len(made)) else _MISSING

    def _object(self, schema: Mapping[str, Any], depth: int) -> Any:
        properties = schema.get("properties")
        if not isinstance(properties, Mapping) or not properties:
            return _MISSING
        filled = {name: self.value(one, name, depth + 1) for name, one in properties.items()}
        kept = {name: one for name, one in filled.items() if one is not _MISSING}
        required = schema.get("required")
        wanted = required if isinstance(required, list) else []
        self._spend(len(wanted) // 100)
        complete = all(isinstance(name, str) and name in kept for name in wanted)
        return kept if kept and complete else _MISSING


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
    more = f" and {len(labels) - 3} more" if len(labels) > 3 else ""
    return ", ".join(repr(one[:40]) for one in labels[:3]) + more


def _within(schema: Mapping[str, Any], least: str, most: str, value: float) -> bool:
    """Whether the value lies within two bounds of a schema, those included."""
    low, high = schema.get(least), schema.get(most)
    return not (isinstance(low, int | float) and value < low) and not (
        isinstance(high, int | float) and value > high
    )


def _has(schema: Mapping[str, Any], probability: float) -> bool:
    """Whether the number's bounds are a probability's; 1 to 100 are those of something else."""
    low, high = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    outside = (isinstance(low, int | float) and probability <= low) or (
        isinstance(high, int | float) and probability >= high
    )
    inside = _within(schema, "minimum", "maximum", probability) and not outside
    return inside and "multipleOf" not in schema


def _takes(schema: Mapping[str, Any], label: str) -> bool:
    """Whether a free string can be the label; of patterns and formats nothing is known here."""
    return not {"pattern", "format"} & schema.keys() and _within(
        schema, "minLength", "maxLength", len(label)
    )


def _enums(schema: Any) -> Iterator[list[str]]:
    """Every enum of strings in a schema."""
    waiting, seen = [schema], 0
    while waiting and seen < _LARGEST:
        node, seen = waiting.pop(), seen + 1
        if isinstance(node, Mapping):
            values = node.get("enum")
            if isinstance(values, list) and all(isinstance(one, str) for one in values):
                yield values
            waiting += node.values()
        elif isinstance(node, list):
            waiting += node


def _pointed(root: Mapping[str, Any], reference: str) -> Any:
    """What `#/$defs/Name` points to."""
    node: Any = root
    for step in reference.removeprefix("#").split("/")[1:]:
        node = node.get(step) if isinstance(node, Mapping) else None
    return node


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
