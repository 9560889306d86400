"""Tables beside pictures that name them: whether they or the folders say what is to be learned.

Never in silence: what is read is said, and what contradicts the folders is refused.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import Any

from app.core.errors import HeadstartError
from app.core.manifest import Problem
from app.uploads.intake.layout import doubts, folders
from app.uploads.intake.layout.cross_validation import folds_told
from app.uploads.intake.layout.named import Nearby
from app.uploads.intake.layout.naming import (
    NamingTable,
    located,
    preference,
    said_path,
)
from app.uploads.intake.layout.roles import FileInTree
from app.uploads.intake.names import folded
from app.uploads.intake.rows import Row
from app.uploads.intake.splits import of_tables, read_name

DEEPEST = 3
"""Parts of the path of a table that is looked at."""
MOST = 50
"""Tables that are looked at."""
_GENERIC = (
    "images image imgs img jpegimages pictures photos data dataset batch part folder dir set "
    "session cam camera site scan chunk shard fold raw upload uploads all new"
)
GENERIC = frozenset(["", *_GENERIC.split()])
"""Names of folders that are no classes where a table says what is."""
_PATH_NAMES = (
    "path file_name filename file filepath filepaths file_path image image_path image_name "
    "image_id img img_path img_name id name picture photo"
)
PATH_NAMES = frozenset(_PATH_NAMES.split())


@dataclass(frozen=True, slots=True)
class LabelSource:
    """The tables' rows, each with the path of its picture from the top: none where folders say
    the labels. What is to be told of either."""

    rows: Sequence[tuple[FileInTree, Row]]
    used: frozenset[int]
    notes: Sequence[str]
    problems: Sequence[Problem]
    read: Sequence[NamingTable] = ()
    """The tables that the rows are of, and those that say more of them."""
    beside: Sequence[NamingTable] = ()
    """The tables that say more of pictures whose folders are their classes."""


def candidates(found: Sequence[FileInTree]) -> list[FileInTree]:
    """The tables near the top; what is to be handed in somewhere is no source of labels."""
    near = [one for one in found if one.role == "table" and len(one.parts) <= DEEPEST]
    return [one for one in near if "submission" not in one.parts[-1].lower()][:MOST]


def naming_column(
    records: Sequence[Mapping[str, Any]], nearby: Nearby, *, several: bool = False
) -> str | None:
    """The column in which most rows name a picture each, or with `several` labels one in several
    rows; None where there is none."""
    hits: dict[str, int] = defaultdict(int)
    files: dict[str, set[int]] = defaultdict(set)
    for record in records:
        for name, value in record.items():
            one = nearby.find(said_path(value)) if said_path(value) else None
            if one is not None:
                hits[name] += 1
                files[name].add(one.index)
    good = [
        name
        for name in hits
        if 2 * hits[name] >= len(records)
        and (several or 2 * len(files[name]) >= len(records) or folded(name) in PATH_NAMES)
    ]
    return max(good, key=lambda name: (len(files[name]), folded(name) in PATH_NAMES), default=None)


def decide(tables: Sequence[NamingTable], pictures: Sequence[FileInTree]) -> LabelSource:
    """Which of the tables, or whether the folders, say the labels. Raises ambiguous_layout."""
    tables = preference.with_people(tables)
    labelling = [one for one in tables if one.why is None]
    by_folder = _by_folder(pictures, labelling)
    labelling = [preference.beyond_folders(one, by_folder) for one in labelling]
    chosen = [one for one in labelling if one.decides] or labelling
    problems = [
        doubts.table_unread(one.member.path, one.why)
        for one in tables
        if one.why is not None
        and not (one.vague and (by_folder or chosen))
        and not (one.facts and (by_folder or chosen))
    ]
    unread = [one for one in tables if one.why is not None and not one.facts]
    problems += [x for one in unread for x in one.told if x.code == "column_unread"]
    chosen, others = preference.without_parts(chosen)
    problems += [doubts.table_unread(one.member.path, why) for one, why in others]
    tables = [*tables, *preference.as_facts(labelling, beside=chosen)]
    _check_broken(tables, chosen, by_folder)
    clashing = [one for one in tables if one.clashes and one.error is not None]
    sure = any(one.decides for one in chosen)
    if clashing and not sure and clashing[0].error is not None:
        raise clashing[0].error
    if not chosen and tables and not by_folder:
        first = min(tables, key=lambda one: (one.error is None, one.vague))
        if first.error is not None:
            raise first.error
        raise doubts.table_without_labels(first.member.path, str(first.why), first.hint)
    further: list[NamingTable] = []
    if by_folder and not any(one.decides for one in chosen):
        further = [one for one in tables if one.facts]
        for one in chosen:
            agrees, told = _beside_folders(one, by_folder)
            rest = _completed(one, by_folder)
            further += [replace(one, completes=rest)] if agrees or rest else []
            problems += [told] if agrees or not rest else []
            problems += [x for x in one.told if agrees and x.code == "boxes_whole"]
            problems += [doubts.table_completes(one.title, one.member.path, len(rest))] * bool(rest)
        chosen = []
    _check_held_out(chosen, pictures)
    facts = [one for one in tables if one.facts and chosen]
    read = [*chosen, *facts]
    return replace(_read(chosen, facts, pictures, problems), read=read, beside=further)


def _completed(table: NamingTable, by_folder: Mapping[int, str]) -> dict[FileInTree, str]:
    """The pictures of a table that lie in no folder of a class, with their classes; none where
    it says of one what no folder is called, but for zeros before a number."""
    found: dict[FileInTree, str] = {}
    classes = {_class_of(label): label for label in by_folder.values()}
    for row in table.rows:
        one, label = table.nearby.find(said_path(row.values.get("path"))), row.values.get("label")
        if one is None or one.index in by_folder:
            continue
        if not isinstance(label, str | int) or _class_of(str(label)) not in classes:
            return {}
        found[one] = classes[_class_of(str(label))]
    return found


def _class_of(label: str) -> str | int:
    plain = label.strip()
    return int(plain) if plain.isascii() and plain.isdecimal() else folded(plain)


def _check_broken(
    tables: Sequence[NamingTable], chosen: Sequence[NamingTable], by_folder: Mapping[int, str]
) -> None:
    """Raise what is wrong with a table of labels where what is left in its place is only held out,
    or folders that are numbered, as patients' are."""
    broken = next((one for one in tables if one.error is not None), None)
    if broken is None or broken.error is None:
        return
    splits = of_tables([one.member.path for one in (*chosen, broken)])[: len(chosen)]
    held_out = bool(chosen) and all(one in ("val", "test") for one in splits)
    if _are_numbered(set(by_folder.values())) or (held_out and not by_folder):
        raise broken.error


def _check_held_out(chosen: Sequence[NamingTable], pictures: Sequence[FileInTree]) -> None:
    """Raise ambiguous_layout where all tables are called as what is held out, and have labels of
    fewer than half of the pictures: it would be trained on in the place of the others."""
    names = [read_name(one.member.parts[-1].rpartition(".")[0]) for one in chosen]
    held = all(said is not None and said.split != "train" for said in names)
    named = {str(row.values["path"]) for one in chosen for _, row in located(one, None)}
    if chosen and held and 2 * len(named) < len(pictures):
        raise doubts.only_held_out(chosen[0].member.path, len(named), len(pictures))


def _are_numbered(labels: Set[str]) -> bool:
    """Whether folders are called by one word and a number each (`patient00001`)."""
    return len(labels) > 2 and _differ_in_numbers(labels)


def _read(
    chosen: Sequence[NamingTable],
    facts: Sequence[NamingTable],
    pictures: Sequence[FileInTree],
    problems: list[Problem],
) -> LabelSource:
    splits = of_tables([one.member.path for one in chosen])
    problems += folds_told([*zip((one.member for one in chosen), splits, strict=True)])
    named = splits if len(set(splits)) > 1 else [None] * len(chosen)
    rows: list[tuple[FileInTree, Row]] = []
    notes: list[str] = []
    seen: dict[str, str] = {}
    labels = sorted({one.assumed["label"] for one in chosen if "label" in one.assumed})
    for table, split in zip(chosen, named, strict=True):
        mine = list(located(table, split))
        for _, row in mine:
            path = str(row.values["path"])
            other = seen.setdefault(path, table.member.path)
            if other != table.member.path:
                raise doubts.tables_disagree(table.member.path, other, path, labels)
        rows += mine
        problems += table.told
        count = len({row.values["path"] for _, row in mine})
        notes.append(doubts.table_read(table.title, count, len(pictures)))
        problems.append(Problem(code="ambiguous_layout", message=notes[-1], path=table.member.path))
    for table in facts:
        rows, fact = _with_facts(rows, table)
        problems += [*(one for one in table.told if one.code.startswith("column_")), fact]
    used = frozenset().union(*(one.files | {one.member.index} for one in (*chosen, *facts)))
    return LabelSource(rows, used, notes, problems)


def _with_facts(
    rows: Sequence[tuple[FileInTree, Row]], table: NamingTable
) -> tuple[list[tuple[FileInTree, Row]], Problem]:
    """The rows with the groups and splits that a table without labels says, which is told. Raises
    ambiguous_layout where a row says another."""
    said = {str(row.values["path"]): row.values for _, row in _located_facts(table)}
    counts: Counter[str] = Counter()
    found: list[tuple[FileInTree, Row]] = []
    for source, row in rows:
        path, values = str(row.values["path"]), dict(row.values)
        for role in ("group", "split"):
            told, before = said.get(path, {}).get(role), values.get(role)
            if told and before and str(told) != str(before):
                raise doubts.said_otherwise(table.member.path, path, role, str(told), str(before))
            counts[role] += bool(told)
            values |= {role: told} if told else {}
        found.append((source, Row(row.table, row.number, values)))
    title, path = table.title, table.member.path
    return found, doubts.facts_read(title, path, counts["split"], counts["group"])


def _located_facts(table: NamingTable) -> Iterator[tuple[FileInTree, Row]]:
    return located(replace(table, rows=table.facts), None)


def _by_folder(pictures: Sequence[FileInTree], tables: Sequence[NamingTable]) -> dict[int, str]:
    """Each picture's class by its folder; none where folders do not tell classes apart. Folders
    that are numbered do where all that the `tables` say is the classes of pictures elsewhere."""
    try:
        placed = folders.by_folder(pictures, "image")
    except HeadstartError:
        return {}
    found = {one.index: one.label for one in placed.items}
    labels = set(found.values())
    if tables and len(labels) > 1 and all(_only_completes(one, found) for one in tables):
        return found
    if len(labels) < 2 or all(_plain(label) in GENERIC for label in labels) or _are_parts(labels):
        return {}
    return found


def _only_completes(table: NamingTable, by_folder: Mapping[int, str]) -> bool:
    named = (table.nearby.find(said_path(row.values.get("path"))) for row in table.rows)
    inside = any(one is not None and one.index in by_folder for one in named)
    return not inside and bool(_completed(table, by_folder))


def _are_parts(labels: Set[str]) -> bool:
    """Whether folders differ in numbers alone, after a word that tells no class: `x_part_1`."""
    *_, last = re.split(r"[\d\W_]+", folded(min(labels)).rstrip("0123456789-_. "))
    return _differ_in_numbers(labels) and last in GENERIC - {""}


def _differ_in_numbers(labels: Set[str]) -> bool:
    return len({_plain(label) for label in labels}) == 1


def _plain(name: str) -> str:
    return re.sub(r"[\d\W_]+", "", folded(name))


def _beside_folders(table: NamingTable, by_folder: Mapping[int, str]) -> tuple[bool, Problem]:
    """Whether the table says what the folders say, and that they are read. Raises
    ambiguous_layout."""
    path, pairs = table.member.path, {}
    for row in table.rows:
        one = table.nearby.find(said_path(row.values.get("path")))
        if one is not None and one.index in by_folder:
            pairs[one.index] = (one.path, str(row.values.get("label")), by_folder[one.index])
    told = {(said, folder) for _, said, folder in pairs.values()}
    other = [pair for pair in pairs.values() if folded(pair[1]) != folded(pair[2])]
    if not pairs:
        return False, doubts.table_unread(path, "none of those lies in a folder of a class")
    if not other or _one_to_one(told):
        return True, doubts.table_agrees(path, len(pairs))
    if 2 * len(pairs) < len(by_folder):
        why = f"it has other labels than the folders, for {len(pairs)} of {len(by_folder)}"
        return False, doubts.table_unread(path, why)
    if table.boxed:
        why = "its boxes have other labels than the folders, which are read; boxes=crops reads them"
        return False, doubts.table_unread(path, why)
    raise doubts.table_against_folders(path, *other[0])


def _one_to_one(told: set[tuple[str, str]]) -> bool:
    """Whether each label of the table is one folder and each folder one label: numbers of the
    classes, as tables have them."""
    said, labels = {folded(one) for one, _ in told}, {folded(one) for _, one in told}
    return not said & labels and len(told) == len(said) == len(labels) > 1
