"""What a classifier knows, filled into a JSON Schema: a label, or several, and probabilities.

Words of JSON Schema that could make the answer invalid are read, or refused by name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_DEEPEST = 20
_LARGEST = 10_000
"""Values in a schema that are looked at."""
_MOST_STEPS = 5_000
"""Steps of filling in: by references to itself, a schema of a line can ask for any number."""
_PROBABILITY = frozenset({"confidence", "probability", "score", "certainty", "likelihood"})
_UNREAD = (
    "not",
    "if",
    "contains",
    "prefixItems",
    "propertyNames",
    "patternProperties",
    "dependencies",
    "dependentRequired",
    "dependentSchemas",
)
MISSING = object()


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


class EndlessError(Exception):
    """Filling in takes more steps than any schema of a person."""


class UnreadError(Exception):
    """The schema uses a word whose meaning is not known here."""


class Filling:
    """Fills in one schema; where it has enums, only those take the label.

    `said` are the labels of a model that may say several: they have their place in a list alone,
    one item each, since any other place would lose all but one or make one up.
    """

    def __init__(
        self,
        root: Mapping[str, Any],
        best: Ranked,
        enums: bool,
        said: Sequence[Ranked] | None = None,
    ) -> None:
        self._root, self._best, self._enums = root, best, enums
        self._said = said
        self._free = True
        self.placed = False
        """Whether the label has found a place: a probability alone says nothing."""
        self._why: str | None = None
        self._steps = 0

    @property
    def what(self) -> str:
        """What can be filled in, in words."""
        if self._said is None:
            return "a label and its probability,"
        return "a list of labels and a probability,"

    def lacking(self) -> str:
        """What of the schema was found to be more than that, in words; nothing if nobody knows."""
        return f": {self._why}" if self._why else ""

    def _spend(self, steps: int) -> None:
        """Raises EndlessError."""
        self._steps += steps
        if self._steps > _MOST_STEPS:
            raise EndlessError

    def value(self, schema: Any, name: str, depth: int) -> Any:
        """What belongs at a place of the schema; MISSING where a classifier has nothing.

        Raises EndlessError, UnreadError.
        """
        self._spend(1)
        if not isinstance(schema, Mapping) or depth > _DEEPEST:
            return MISSING
        if "$ref" in schema:
            reference = str(schema["$ref"])
            self._spend(len(reference) // 100)
            return self.value(_pointed(self._root, reference), name, depth + 1)
        _check(schema)
        if "const" in schema:
            return schema["const"]
        if (words := _options(schema)) is not None:
            return self._of_enum(words, name)
        for key in ("anyOf", "oneOf", "allOf"):
            if isinstance(schema.get(key), list):
                return self._first(schema[key], name, depth)
        return self._of_type(schema, name, depth)

    def _first(self, choices: Sequence[Any], name: str, depth: int) -> Any:
        found = (self.value(choice, name, depth + 1) for choice in choices)
        told = [one for one in found if one is not MISSING]
        return next((one for one in told if one is not None), None if told else MISSING)

    def _of_enum(self, values: Sequence[Any], name: str) -> Any:
        self._spend(len(values) // 100)
        if len(values) == 1:
            return values[0]
        return self._label(name) if self._best.word in values else MISSING

    def _label(self, name: str) -> Any:
        if self._said is not None:
            return self._not(f"`{name}` has room for one label, and the model may say several")
        self.placed = True
        return self._best.word

    def _not(self, why: str) -> Any:
        self._why = self._why or why
        return MISSING

    def _of_type(self, schema: Mapping[str, Any], name: str, depth: int) -> Any:
        kinds = schema.get("type", "object" if "properties" in schema else "string")
        for kind in kinds if isinstance(kinds, list) else [kinds]:
            self._spend(1)
            if (value := self._of_kind(kind, schema, name, depth)) is not MISSING:
                return value
        return MISSING

    def _of_kind(self, kind: Any, schema: Mapping[str, Any], name: str, depth: int) -> Any:
        if kind == "object":
            return self._object(schema, depth)
        if kind == "array":
            return self._array(schema, name, depth)
        if kind == "number" and name.lower() in _PROBABILITY:
            inside = _has(schema, self._best.probability)
            return self._best.probability if inside else self._not(f"the bounds of `{name}`")
        if kind == "string" and self._free and not self._enums:
            self._free = False
            fits = _takes(schema, self._best.word)
            return self._label(name) if fits else self._not(f"the bounds of `{name}`")
        return None if kind == "null" else MISSING

    def _array(self, schema: Mapping[str, Any], name: str, depth: int) -> Any:
        items = schema.get("items", {})
        made = self._one(items, name, depth) if self._said is None else self._each(items, depth)
        if made is MISSING or _within(schema, "minItems", "maxItems", len(made)):
            return made
        return self._not(f"the bounds of `{name}`, of which there are {len(made)}")

    def _one(self, items: Any, name: str, depth: int) -> Any:
        item = self.value(items, name, depth + 1)
        return MISSING if item is MISSING else [item]

    def _each(self, items: Any, depth: int) -> Any:
        """An item for each label that is said; one, if the label has no place in it."""
        made = []
        for one in self._said or (self._best,):
            inner = Filling(self._root, one, self._enums)
            inner._steps = self._steps
            item = inner.value(items, "", depth + 1)
            self._steps = inner._steps
            if item is MISSING or not inner.placed:
                return MISSING if item is MISSING else [item]
            made.append(item)
        self.placed = True
        return made if self._said else []

    def _object(self, schema: Mapping[str, Any], depth: int) -> Any:
        properties = schema.get("properties")
        if not isinstance(properties, Mapping) or not properties:
            return MISSING
        filled = {name: self.value(one, name, depth + 1) for name, one in properties.items()}
        kept = {name: one for name, one in filled.items() if one is not MISSING}
        required = schema.get("required")
        wanted = required if isinstance(required, list) else []
        self._spend(len(wanted) // 100)
        for name in wanted:
            if not isinstance(name, str) or name not in kept:
                return self._not(f"`{str(name)[:40]}`, which is required")
        if not _within(schema, "minProperties", "maxProperties", len(kept)):
            return self._not(f"of the members {len(kept)} can be given")
        return kept or MISSING


def _check(schema: Mapping[str, Any]) -> None:
    """Raises UnreadError for a word that could make what is filled in invalid."""
    for word in _UNREAD:
        if word in schema:
            raise UnreadError(word)
    if isinstance(schema.get("allOf"), list) and len(schema["allOf"]) > 1:
        raise UnreadError("allOf")


def _options(schema: Mapping[str, Any]) -> list[Any] | None:
    """The values that a place leaves to choose from: of an enum, or of alternatives that are each
    one value, as unions of literals are written; None where it is no such place."""
    if isinstance(schema.get("enum"), list):
        return [one for one in schema["enum"] if one is not None] or schema["enum"]
    for key in ("anyOf", "oneOf"):
        if isinstance(choices := schema.get(key), list):
            values = [_literal(one) for one in choices]
            if any(values) and None not in values:
                return [one for some in values if some is not None for one in some]
    return None


def _literal(choice: Any) -> list[Any] | None:
    """What a choice of alternatives can be, without null; None where it is more than words."""
    if not isinstance(choice, Mapping):
        return None
    if "const" in choice:
        return [choice["const"]] if isinstance(choice["const"], str) else None
    if isinstance(values := choice.get("enum"), list):
        return values if all(isinstance(one, str) for one in values) else None
    return [] if choice.get("type") == "null" else None


def enums(schema: Any) -> Iterator[list[str]]:
    """Every choice of strings in a schema."""
    waiting, seen = [schema], 0
    while waiting and seen < _LARGEST:
        node, seen = waiting.pop(), seen + 1
        if isinstance(node, Mapping):
            values = _options(node)
            if values is not None and all(isinstance(one, str) for one in values):
                yield values
            else:
                waiting += node.values()
        elif isinstance(node, list):
            waiting += node


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


def _pointed(root: Mapping[str, Any], reference: str) -> Any:
    """What `#/$defs/Name` points to."""
    node: Any = root
    for step in reference.removeprefix("#").split("/")[1:]:
        node = node.get(step) if isinstance(node, Mapping) else None
    return node
