"""Tables that name an archive's pictures, by what stands in them, and files that tell of one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pydantic_core import from_json

from app.core.errors import HeadstartError
from app.core.json_objects import DoubledNameError, check_names
from app.core.manifest import Problem
from app.uploads.intake import images, tables
from app.uploads.intake.layout import FileInTree, NamingTable, beside, doubts
from app.uploads.intake.layout.named import Nearby, number_of
from app.uploads.intake.layout.naming import called_metadata
from app.uploads.intake.names import plain, shown
from app.uploads.intake.rows import Row
from app.uploads.intake.tables import columns
from app.uploads.intake.tables.roles import marks, split_guess
from app.uploads.intake.tables.roles.codes import coded, codes
from app.uploads.intake.tables.roles.coordinates import coordinates
from app.uploads.intake.tables.sample import MOST, sample
from app.uploads.intake.tables.source import TableFile

UNREAD = frozenset({"encoding", "archive_corrupt", "invalid_json", "schema_mismatch"})
"""What a table beside the examples may be wrong with, and is then none."""
AS_THEY_ARE = (
    "say the pictures' names as they are, with the zeros before a number, which spreadsheets take "
    "off where the column is not formatted as text"
)


def naming_table(
    table: TableFile,
    member: FileInTree,
    ways: Sequence[Nearby],
    *,
    mentioned: Callable[[], bool],
) -> NamingTable | None:
    """The table, if most of its rows name a picture in one of `ways`; None for any other.

    One that cannot be read, or has rows that name other pictures, says why; `mentioned` tells
    whether a file that cannot be read is about the pictures.
    """
    try:
        names, records = sample(table)
    except HeadstartError as error:
        if error.code not in UNREAD or called_metadata(member):
            raise
        if not mentioned():
            return None
        return NamingTable(member, [], [], ways[0], error.message, hint="")
    named = _named(table, member, ways, names, records)
    return named and replace(named, asked=_asked(table, names))


def _asked(table: TableFile, names: Sequence[str]) -> frozenset[str]:
    """The fields that say a column, or columns, which the table has."""
    told = {f"{role}_column" for role, name in table.columns.items() if _has(names, name)}
    marked = bool(table.marks) and all(_has(names, one) for one in table.marks)
    return frozenset(told | ({"label_columns"} if marked else set()))


def _has(names: Sequence[str], told: str) -> bool:
    return bool(columns.matching(names, told))


def _named(
    table: TableFile,
    member: FileInTree,
    ways: Sequence[Nearby],
    names: Sequence[str],
    records: Sequence[Mapping[str, Any]],
) -> NamingTable | None:
    """The table by what its first rows say, or None where it is about something else."""
    several = table.rules.several
    columns_by = ((beside.naming_column(records, way, several=several), way) for way in ways)
    column, nearby = next((one for one in columns_by if one[0] is not None), (None, ways[0]))
    if column is not None and all(nearby.find(_plain(one.get(column))) for one in records):
        return _read(table, member, names, column, nearby)
    alike = _called_alike(table, member, names, records, nearby) if column is None else None
    if alike is not None:
        return alike
    why = _names_others(records, ways[-1]) if column is None else None
    if why:
        return NamingTable(member, [], [], nearby, why, hint="")
    numbers = nearby.by_number()
    numbered = _column_of_numbers(records, numbers)
    read = _read(table, member, names, column or numbered, nearby)
    if read is not None and numbered is not None and column in (None, numbered):
        named = _with_numbers(read, numbered, numbers)
        return read if named.why is not None and column is not None else named
    if read is not None:
        return read
    why = _may_say_labels(table, names, records, nearby.files)
    return NamingTable(member, [], [], nearby, why, hint=AS_THEY_ARE) if why else None


def _read(
    table: TableFile, member: FileInTree, names: Sequence[str], column: str | None, nearby: Nearby
) -> NamingTable | None:
    """The table whose `column` names the pictures, or why it has no rows; None without one."""
    if column is None:
        return None
    told: list[Problem] = []
    assumed: dict[str, str] = {}
    chosen = {role: name for role, name in table.columns.items() if _has(names, name)}
    read = replace(table, columns={**chosen, "path": column}, tell=told.append)
    read = replace(read, assume=assumed.update)
    try:
        rows = list(tables.read(read))
    except HeadstartError as error:
        facts, told = _facts(read, names, column)
        broken = error if error.code == "invalid_value" else None
        return NamingTable(member, [], told, nearby, error.message, facts=facts, error=broken)
    rows = _with_codes(read, names, rows, told)
    boxed = bool(coordinates(names))
    if not rows:
        why = "; ".join(one.message for one in told) or "no row of it has a label"
        return NamingTable(member, [], [], nearby, why, hint="", vague=True)
    return NamingTable(member, rows, told, nearby, boxed=boxed, assumed=assumed)


def _with_codes(
    table: TableFile, names: Sequence[str], rows: list[Row], told: list[Problem]
) -> list[Row]:
    """The rows with the splits that a column says in numbers, as CelebA's `partition` does, which
    is told; as they are where none does, or not for sure."""
    if any(row.values.get("split") for row in rows):
        return rows
    for name in [one for one in names if columns.folded(one) in split_guess.NAMES]:
        quiet = replace(table, columns={**table.columns, "split": name}, tell=lambda _: None)
        quiet = replace(quiet, assume=lambda _: None)
        said = [str(row.values.get("split", "")) for row in tables.read(quiet)]
        known = codes(Counter(said), of_training=False)
        if known is not None and len(said) == len(rows) and (note := coded(known)):
            told[:] = [one for one in told if f"`{shown(name, 40)}`" not in one.message]
            message = f"`{shown(name, 40)}`: {note}"
            told.append(Problem(code="column_assumed", message=message, path=table.name))
            both = zip(rows, said, strict=True)
            return [Row(o.table, o.number, {**o.values, "split": known[one]}) for o, one in both]
    return rows


def _facts(table: TableFile, names: Sequence[str], column: str) -> tuple[list[Row], list[Problem]]:
    """The rows of a table without labels that say a group or a split of the pictures in `column`,
    and what was told of them."""
    if "label" in table.columns:
        return [], []
    told: list[Problem] = []
    free = replace(table, columns={**table.columns, "label": column}, marks=(), tell=told.append)
    free = replace(free, assume=lambda _: None)
    try:
        rows = list(tables.read(free))
    except HeadstartError:
        return [], []  # why it is not read is told by whoever asks for its labels
    rows = _with_codes(free, names, rows, told)
    kept = [
        Row(one.table, one.number, {key: x for key, x in one.values.items() if key != "label"})
        for one in rows
        if one.values.get("group") or one.values.get("split")
    ]
    return kept, told


def _column_of_numbers(
    records: Sequence[Mapping[str, Any]], numbers: Mapping[int, FileInTree]
) -> str | None:
    """The column whose whole numbers, each once, are such as pictures are called by (`numbers`).

    It has a name for it, `id` the last of those, or is the only one that does not just count rows.
    """
    said = {name: {number_of(one.get(name)) for one in records} for name in (records or [{}])[0]}
    found = [
        name
        for name, every in said.items()
        if len(every) == len(records) and every <= numbers.keys()
    ]
    own = [name for name in found if columns.folded(name) in beside.PATH_NAMES]
    others = [name for name in found if not marks.is_id(name)]
    own.sort(key=lambda name: (columns.folded(name) == "id", marks.is_id(name)))
    return own[0] if own else others[0] if len(others) == 1 else None


def _with_numbers(
    table: NamingTable, column: str, numbers: Mapping[int, FileInTree]
) -> NamingTable:
    """The table with the paths of the pictures that its numbers mean, where they are all of those
    that pictures are called by, each once."""
    if table.why is not None:
        return table
    said = [number_of(row.values.get("path")) for row in table.rows]
    every = [one for one in said if one is not None]
    if len(set(every)) < len(said) or set(every) != numbers.keys():
        return replace(
            table, rows=[], told=[], why=_called(table.rows, column, numbers), hint=AS_THEY_ARE
        )
    rows = [
        Row(row.table, row.number, {**row.values, "path": numbers[number].path})
        for row, number in zip(table.rows, every, strict=True)
    ]
    first = f"{every[0]} is {shown(numbers[every[0]].path, 60)}"
    means = f"the numbers in `{shown(column, 60)}` are those of the pictures' names: {first}"
    told = Problem(code="column_assumed", message=means, path=table.member.path)
    return replace(table, rows=rows, told=[*table.told, told])


def _called(rows: Sequence[Row], column: str, numbers: Mapping[int, FileInTree]) -> str:
    """Why numbers are not taken for those of pictures' names."""
    said, some = str(rows[0].values.get("path")), next(iter(numbers.values())).path
    return (
        f"`{shown(column, 60)}` has {len(rows)} numbers, such as {shown(said, 20)!r}, and "
        f"{len(numbers)} pictures are called by numbers, such as {shown(some, 60)!r}: they are not "
        "the same, each once"
    )


def _labels_of(table: TableFile, names: Sequence[str]) -> tuple[list[str], list[str]]:
    """The columns that the caller says are the labels, and these or else those called so."""
    known = {*columns.USUAL["label"], *columns.FURTHER["label"]}
    labels = [name for name in names if columns.folded(name) in known]
    said = [table.columns[role] for role in ("label",) if role in table.columns]
    asked = [name for one in (*said, *table.marks) for name in columns.matching(names, one)]
    return asked, asked or labels


def _called_alike(
    table: TableFile,
    member: FileInTree,
    names: Sequence[str],
    records: Sequence[Mapping[str, Any]],
    nearby: Nearby,
) -> NamingTable | None:
    """Why a table of labels is not read whose rows each have a name of their own, which several
    pictures have; None of any other."""
    _, labels = _labels_of(table, names)
    again = [n for n in labels if len({str(one.get(n)) for one in records}) < len(records)]
    for name in names if again else ():
        cells = [_plain(one.get(name)) for one in records]
        alike = [cell for cell in cells if len(nearby.every(cell)) > 1]
        if 2 * len(alike) >= len(records) and len(set(cells)) == len(cells):
            both = [one.path for one in nearby.every(alike[0])]
            error = doubts.called_alike(member.path, alike[0], both)
            return NamingTable(
                member, [], [], nearby, error.message, hint="", error=error, clashes=True
            )
    return None


def _may_say_labels(
    table: TableFile,
    names: Sequence[str],
    records: Sequence[Mapping[str, Any]],
    pictures: Sequence[FileInTree],
) -> str | None:
    """Why a table with about as many rows as there are pictures, and a column of labels that come
    back again, is not read: what it calls them, and what they are called. None of any other."""
    asked, labels = _labels_of(table, names)
    again = [n for n in labels if len({str(one.get(n)) for one in records}) < len(records)]
    few = min(len(pictures), MOST)
    if not asked and (not again or not few <= 2 * len(records) <= 4 * few):
        return None
    if not records:
        return None
    others = [name for name in names if name not in labels] or labels
    column = next((n for n in others if columns.folded(n) in beside.PATH_NAMES), others[0])
    return (
        f"its `{shown((again or labels)[0], 60)}` is not read, as no picture is called what a "
        "column says: "
        f"`{shown(column, 60)}` says {shown(str(records[0].get(column)), 60)!r}, "
        f"a picture is {shown(pictures[0].path, 60)!r}"
    )


def _plain(value: object) -> str:
    return "" if value is None else str(value).strip()


def _names_others(records: Sequence[Mapping[str, Any]], nearby: Nearby) -> str | None:
    """Why no column names a picture a row, where one has what pictures are called; else None."""
    counts = Counter(
        name for record in records for name, value in record.items() if _is_picture(value)
    )
    if not counts or 2 * max(counts.values()) < len(records):
        return None
    column = max(counts, key=lambda name: counts[name])
    said = [str(one[column]) for one in records if _is_picture(one.get(column))]
    found = [nearby.find(one) for one in said]
    missing = [path for path, one in zip(said, found, strict=True) if one is None]
    where = f"of its first {len(records)} rows" if len(records) > 1 else "of its row"
    twice = [path for path in missing if len(nearby.every(path)) > 1]
    if twice:
        both = nearby.every(twice[0])
        some = " and ".join(shown(one.path, 60) for one in both[:2])
        more = f" and {len(both) - 2} more" if both[2:] else ""
        return (
            f"{where} {len(twice)} have names that several pictures have, such as "
            f"{shown(twice[0])}, which is {some}{more}: say the folder, too, as in "
            f"{shown(both[0].path, 60)}"
        )
    drawn = next(filter(None, map(nearby.drawn, missing)), None)
    if drawn is not None:
        return (
            f"{where} {len(missing)} name what was drawn on pictures of the same name, such as "
            f"{shown(drawn.path)}: say the pictures, or the folder, too, as it does here"
        )
    if missing:
        return (
            f"{where} {len(missing)} name pictures that are not in the archive, such as "
            f"{shown(missing[0])}: put them in it as it names them, or leave those rows out"
        )
    files = {one.index for one in found if one is not None}
    column = shown(column, 60)
    return f"{where} {len(found)} name {len(files)} picture(s) in `{column}`: a row each is read"


def _is_picture(value: object) -> bool:
    return isinstance(value, str) and images.extension(plain(value)) in images.EXTENSIONS


def sidecars(nearby: Nearby, told: Iterable[tuple[FileInTree, str, bytes]]) -> NamingTable | None:
    """The files that lie beside a picture of their name and say its label, as one table: of each
    the file, the picture's path and what the file has. Raises invalid_json for one that is none.
    """
    rows = [
        (member, Row(member.path, number, {"path": picture, "label": label}))
        for number, (member, picture, data) in enumerate(told, 1)
        if (label := _label(member.path, data)) is not None
    ]
    if not rows:
        return None
    first = rows[0][0]
    files = frozenset(one.index for one, _ in rows)
    return NamingTable(first, [row for _, row in rows], [], nearby, files=files)


def _label(path: str, data: bytes) -> Any:
    """What an object says under a usual name of labels, or all of webdataset's `.cls`; None where
    it says nothing. Raises invalid_json."""
    if path.lower().endswith(".cls"):
        return data.decode("utf-8", "replace").strip()[:1000] or None
    try:
        told = from_json(data)
        check_names(data)
    except DoubledNameError as error:
        raise HeadstartError("invalid_json", f"{shown(path)}: {error}", param=shown(path)) from (
            error
        )
    except ValueError as error:
        why = f"{shown(path)} is not JSON: {str(error)[:80]}"
        raise HeadstartError("invalid_json", why, param=shown(path)) from error
    if not isinstance(told, dict):
        return None
    said = [
        told[name] for name in told if columns.folded(str(name)) in (*columns.USUAL["label"], "cls")
    ]
    plain = [one for one in said if isinstance(one, str | int | float | list)]
    return plain[0] if len(plain) == 1 else None
