"""Names for classes that are numbers, by a file beside the tables: `labels.txt`, `id2label.json`.

Names in order count where they are as many as the numbers say; names by numbers wherever they are.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence, Set
from dataclasses import replace
from typing import Any

from app.core.json_objects import once
from app.core.manifest import Problem
from app.uploads.intake.labels.rules import marks_none
from app.uploads.intake.layout import FileInTree
from app.uploads.intake.layout.leftovers import is_of_models, may_name_classes
from app.uploads.intake.lists.columned import class_names
from app.uploads.intake.lists.reading import HEAD, split_lines
from app.uploads.intake.names import shown
from app.uploads.intake.pack import Draft

Head = Callable[[FileInTree, int], bytes]
_DEEPEST = 6
"""Objects in one another, as in `dataset_infos.json`."""
_KEYS = frozenset(
    {"id2label", "label2id", "names", "labels", "classes", "categories"}
    | {"label_names", "class_names", "label_map", "class_map", "id2class", "class2id"}
)
"""Under which a document says names, whatever else it says."""
_SAYS_NOTHING = re.compile(r"\d+|LABEL_\d+")
"""A number, and what transformers calls a class without a name."""


def named(
    listed: Sequence[Draft], found: Sequence[FileInTree], head: Head, known: Collection[str]
) -> tuple[list[Draft], list[Problem], set[int]]:
    """The examples with names for the numbers that are their labels, what is said of it, and the
    members that have the names: all that fit say the same. Numbers that are `known`, as classes of
    the dataset that is added to, stay, unless names are."""
    numbers = {name for one in listed for name in one.names if not marks_none(name)}
    if not numbers or not all(one.isascii() and one.isdecimal() for one in numbers):
        return list(listed), [], set()
    told = [(one, _names(one, head, numbers)) for one in found if may_name_classes(one)]
    fit = [(one, names) for one, names in told if names]
    if not fit or any(names != fit[0][1] for _, names in fit):
        return list(listed), [], set()
    names = fit[0][1]
    if numbers & set(known) and not set(names.values()) & set(known):
        return list(listed), [], set()
    return (
        [_with(one, names) for one in listed],
        [_told(fit[0][0], names)],
        {x.index for x, _ in fit},
    )


def _told(member: FileInTree, names: Mapping[str, str]) -> Problem:
    first = min(names, key=int)
    said = f"{shown(member.path)} names the numbers that are the labels: {first} is "
    message = f"{said}{shown(names[first], 40)}; without it they are the labels"
    return Problem(code="column_assumed", message=message, path=member.path)


def _with(draft: Draft, names: Mapping[str, str]) -> Draft:
    label = names.get(draft.label, draft.label)
    denied = frozenset(names.get(name, name) for name in draft.denied)
    labels = draft.labels and tuple(sorted({names.get(name, name) for name in draft.labels}))
    return replace(draft, label=label, labels=labels, denied=denied)


def _names(member: FileInTree, head: Head, numbers: Set[str]) -> Mapping[str, str]:
    """The names of all the numbers, each another; nothing of a file that has not all of them."""
    data = head(member, HEAD)
    if len(data) == HEAD:
        return {}
    text = data.decode("utf-8-sig", "replace")
    if not member.path.lower().endswith(".json"):
        lines = [one for one in split_lines(text) if one.strip()]
        plain = member.path.lower().endswith((".txt", ".names"))
        sure = class_names.are_numbered(lines) or (plain and _are_all(len(lines), numbers))
        return _fit(class_names.named(numbers, [(member, lines)]).names) if sure else {}
    try:
        told = json.loads(text, object_pairs_hook=once)
    except (ValueError, RecursionError):
        return {}
    every = [*_mappings(told, numbers, named=not is_of_models(member))]
    fit = [found for one in every if (found := _fit(_all(one, numbers)))]
    return fit[0] if fit and all(one == fit[0] for one in fit) else {}


def _are_all(count: int, numbers: Set[str]) -> bool:
    """Whether so many names in order are those of the numbers, counted from 0, or from 1 on."""
    return count == max(map(int, numbers)) + ("0" in numbers)


def _fit(names: Mapping[str, str]) -> Mapping[str, str]:
    """The names, unless they are numbers themselves, as a label a row is, or say no more."""
    return {} if any(map(_SAYS_NOTHING.fullmatch, names.values())) else names


def _all(names: Mapping[int, str], numbers: Set[str]) -> Mapping[str, str]:
    found = {one: names.get(int(one), "") for one in numbers}
    return found if all(found.values()) and len(set(found.values())) == len(found) else {}


def _mappings(
    told: Any, numbers: Set[str], *, named: bool, depth: int = 0
) -> Iterator[Mapping[int, str]]:
    """What a document says of numbers, itself if it is `named` so or under such a key, on top or
    deeper: names in order, `{"0": "a"}`, `{"a": 0}` and objects with an id and a name."""
    if isinstance(told, list) and named:
        yield from _of_list(told, numbers)
    elif isinstance(told, dict) and depth < _DEEPEST:
        if named:
            yield from _of_object(told)
        for key, inner in told.items():
            yield from _mappings(inner, numbers, named=key.lower() in _KEYS, depth=depth + 1)


def _of_list(told: Sequence[Any], numbers: Set[str]) -> Iterator[Mapping[int, str]]:
    if all(isinstance(one, str) for one in told):
        if _are_all(len(told), numbers):
            yield dict(enumerate((one.strip() for one in told), "0" not in numbers))
    elif all(isinstance(one, dict) and {"id", "name"} <= one.keys() for one in told):
        pairs = [(one["id"], one["name"]) for one in told]
        if all(isinstance(at, int) and isinstance(name, str) for at, name in pairs):
            yield dict(pairs)


def _of_object(told: Mapping[str, Any]) -> Iterator[Mapping[int, str]]:
    values = told.values()
    if told and all(key.isascii() and key.isdecimal() for key in told):
        if all(isinstance(one, str) for one in values):
            yield {int(key): str(one).strip() for key, one in told.items()}
    elif told and all(isinstance(one, int) and not isinstance(one, bool) for one in values):
        yield {one: key.strip() for key, one in told.items()}
