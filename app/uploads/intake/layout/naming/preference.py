"""Which of several tables that name the same pictures is meant to say their labels."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence, Set
from dataclasses import replace

from app.uploads.intake.layout.naming import NamingTable, located, said_path
from app.uploads.intake.names import folded
from app.uploads.intake.rows import Row

_FACTS = ("group_column", "split_column")
_ASKED = ("label_column", "label_columns")
_OF_PEOPLE = re.compile(r"(?<![a-z])(identit(y|ies)|persons?|people|subjects?|patients?)(?![a-z])")


def with_people(tables: Sequence[NamingTable]) -> list[NamingTable]:
    """The tables; a list that has a number of each picture, and is called as those are that say who
    is on it, says the groups of pictures whose labels another has (CelebA's `identity`)."""
    return [_as_groups(one) if _is_of_people(one, tables) else one for one in tables]


def _is_of_people(one: NamingTable, tables: Sequence[NamingTable]) -> bool:
    if one.why is not None or one.boxed or one.asked or one.decides:
        return False
    if not all(_number_of(row) for row in one.rows) or not _OF_PEOPLE.search(
        one.member.parts[-1].lower()
    ):
        return False
    mine = _paths(one)
    others = (other for other in tables if other is not one and other.why is None)
    return any(mine & _paths(other) for other in others)


def as_facts(tables: Sequence[NamingTable], *, beside: Sequence[NamingTable]) -> list[NamingTable]:
    """The tables that have the column of groups or splits that the caller says, as what says these
    `beside` the others, which have the labels."""
    others = [one for one in tables if all(one is not other for other in beside)]
    said = [one for one in others if beside and not one.asked.isdisjoint(_FACTS)]
    why = "others have the labels"
    return [replace(one, rows=[], told=[], facts=_facts(one), why=why, assumed={}) for one in said]


def _facts(one: NamingTable) -> list[Row]:
    kept = ("path", "group", "split")
    values = [{name: row.values[name] for name in kept if name in row.values} for row in one.rows]
    both = zip(one.rows, values, strict=True)
    return [Row(row.table, row.number, told) for row, told in both if len(told) > 1]


def _number_of(row: Row) -> str | None:
    """The number that is the row's one label; None where it is something else, or several."""
    told = row.values.get("label")
    listed = list(told) if isinstance(told, list | tuple) else [told]
    only = listed[0] if len(listed) == 1 else None
    return only if isinstance(only, str) and only.isdecimal() else None


def _as_groups(one: NamingTable) -> NamingTable:
    facts = [
        Row(row.table, row.number, {"path": row.values["path"], "group": _number_of(row)})
        for row in one.rows
    ]
    return replace(one, rows=[], facts=facts, why="it says who is on the pictures")


def _paths(one: NamingTable) -> set[str]:
    return {str(row.values["path"]) for _, row in located(one, None)}


def beyond_folders(one: NamingTable, by_folder: Mapping[int, str]) -> NamingTable:
    """The table; as one that decides where it says of most pictures the class of their folder and
    of some another beside it, as DTD's joint annotations do."""
    told: dict[int, set[str]] = defaultdict(set)
    for row in one.rows:
        found = one.nearby.find(said_path(row.values.get("path")))
        label = row.values.get("label")
        if found is not None and found.index in by_folder and isinstance(label, list | tuple):
            told[found.index] |= {folded(str(name)) for name in label}
    both = all(folded(by_folder[at]) in names for at, names in told.items())
    more = any(len(names) > 1 for names in told.values())
    return replace(one, sure=True) if both and more and 2 * len(told) >= len(by_folder) else one


def without_parts(
    tables: Sequence[NamingTable],
) -> tuple[list[NamingTable], list[tuple[NamingTable, str]]]:
    """The tables without those whose pictures have a label in another that is meant before them,
    and why: by the `label_column` that was asked for, or as they have boxes of some of them."""
    named = [(one, _paths(one)) for one in tables]
    kept: list[NamingTable] = []
    left: list[tuple[NamingTable, str]] = []
    for one, mine in named:
        why = next((why for o, theirs in named if (why := _why_before(o, theirs, one, mine))), None)
        if why is None:
            kept.append(one)
        else:
            left.append((one, why))
    return kept, left


def _why_before(
    other: NamingTable, theirs: Set[str], one: NamingTable, mine: Set[str]
) -> str | None:
    """Why the other table's labels are meant before those of one; None where they are not."""
    for asked in _ASKED:
        if asked in other.asked and asked not in one.asked and theirs & mine:
            return f"it has no column that {asked} says, as {other.title} has"
    if other.sure and other.boxed and not one.boxed and theirs & mine:
        return f"{other.title} has the boxes that are asked for"
    if one.boxed and not one.sure and not other.boxed and mine < theirs:
        return f"it has boxes of some of the pictures that {other.title} has labels of"
    return None
