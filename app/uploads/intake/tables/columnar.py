"""Parquet and workbooks, by way of JSONL that a child process writes within limits of its own.

Their readers are large libraries: their faults and their memory stay over there.
"""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic_core import from_json

from app.core.errors import HeadstartError
from app.core.manifest import Problem
from app.infra.processes.leash import leashed
from app.uploads.intake.names import shown
from app.uploads.intake.rows import DENIED, PictureCell, Row
from app.uploads.intake.tables import columns, consensus, objects
from app.uploads.intake.tables.ahead import looked_ahead
from app.uploads.intake.tables.columns import Columns
from app.uploads.intake.tables.joined import Headers, tell_other
from app.uploads.intake.tables.lines import numbered
from app.uploads.intake.tables.roles import (
    beside_labels,
    grouping,
    headless,
    held_out,
    holding,
    responses,
    split_guess,
)
from app.uploads.intake.tables.source import TableFile

CHILD = Path(__file__).parent / "apart" / "child.py"


def rows(table: TableFile) -> Iterator[Row]:
    """The rows. Raises schema_mismatch, archive_corrupt, archive_bomb and the codes of bad rows."""
    target = table.path.with_name(table.path.name + ".rows")
    blobs = target.with_name(target.name + ".blobs")
    try:
        _run(table, target)
        with target.open("rb") as file:
            header, lines = _header(file.readline()), _lines(file, table)
            seen, lines = looked_ahead(lines, lambda told: len(repr(told[1])))
            sample = [values for _, values in seen]
            nameless = table.kind == "xlsx" and headless.seen(table, header["columns"], sample)
            if not nameless:
                yield from _told(header, lines, table, blobs)
        if nameless:
            yield from rows(nameless)
    finally:
        target.unlink(missing_ok=True)
        blobs.unlink(missing_ok=True)


def plain(table: TableFile, most: int) -> tuple[list[str], list[tuple[int, dict[str, Any]]]]:
    """The names of all columns, and the first `most` rows with all that stands in them."""
    target = table.path.with_name(table.path.name + ".sample")
    try:
        _run(table, target, every=True, most=most)
        with target.open("rb") as file:
            names = _header(file.readline())["columns"]
            lines = _lines(file, table)
            if table.kind == "xlsx":
                lines = _without_headers(lines, table, names)
            return names, list(islice(lines, most))
    finally:
        target.unlink(missing_ok=True)
        target.with_name(target.name + ".blobs").unlink(missing_ok=True)


def _header(line: bytes) -> dict[str, Any]:
    told: dict[str, Any] = from_json(line)
    return told


def _lines(file: Any, table: TableFile) -> Iterator[tuple[int, dict[str, Any]]]:
    """(row's number, values); Parquet's rows count from 1, a sheet says its own."""
    for number, line in numbered(file, table):
        value = objects.written(Row(table.name, number, {}), line)
        cells = value.get("cells") if table.kind == "xlsx" else None
        yield (value["row"], cells) if isinstance(cells, dict) else (number, value)


def _without_headers(
    lines: Iterator[tuple[int, dict[str, Any]]], table: TableFile, names: Sequence[str]
) -> Iterator[tuple[int, dict[str, Any]]]:
    """A sheet's rows but for those that are its header again."""
    known = () if table.header == headless.NONE else names
    headers = Headers(table, list(dict.fromkeys(name for name in known if name.strip())))
    for number, cells in lines:
        if not headers.repeated_by(Row(table.name, number, {}), list(cells.values())):
            yield number, dict(zip(cells, headers.ordered(list(cells.values())), strict=True))
    headers.tell_further()


def _told(
    header: Mapping[str, Any],
    lines: Iterator[tuple[int, dict[str, Any]]],
    table: TableFile,
    blobs: Path,
) -> Iterator[Row]:
    classes: Mapping[str, list[str]] = header["classes"]
    if table.kind == "xlsx":
        lines = _without_headers(lines, table, header["columns"])
    seen, lines = looked_ahead(lines, lambda told: len(repr(told[1])))
    sample = [values for _, values in seen]
    if table.header == headless.NONE and table.kind == "xlsx":
        table = headless.settled(table, header["columns"], sample)
    found = _found(header, table, sample)
    for said in header["told"]:
        table.warn("unsupported_member", f"{table.name}: {said}")
    unlabelled = 0
    for number, line in lines:
        row = found.read(Row(table.name, number, {}), line)
        if table.kind == "xlsx":
            tell_other(table, row)
        values = _named(row, line, found, classes)
        if "image" in found.places:
            values["image"] = _picture(row, blobs)
        if values.get("label", "") is None and _label_classes(found, classes):
            unlabelled += 1
        else:
            yield Row(table.name, number, values)
    found.tell_unmarked(table)
    _tell(table, unlabelled)


def _found(
    header: Mapping[str, Any], table: TableFile, sample: Sequence[Mapping[str, Any]]
) -> Columns:
    """The columns; that they are missed says also what of the file was not looked at."""
    typed, images = list(header["classes"]), header["images"]
    try:
        return columns.find(table, header["columns"], typed=typed, images=images, sample=sample)
    except HeadstartError as error:
        why = "; ".join([error.message, *header["told"]])
        raise HeadstartError(error.code, why, param=error.param) from error


def _tell(table: TableFile, unlabelled: int) -> None:
    if unlabelled:
        said = f"{unlabelled} row(s) have no class, as test sets often have none; they are left out"
        told = Problem(code="unlabelled", message=said, path=table.name, excluded=True)
        table.tell(told)


def _label_classes(found: Columns, classes: Mapping[str, list[str]]) -> list[str]:
    return classes.get(found.places.get("label", ""), [])


def _named(
    row: Row, line: Mapping[str, Any], found: Columns, classes: Mapping[str, list[str]]
) -> dict[str, Any]:
    """The row's values, the numbers of classes replaced by their names. Raises invalid_value.

    -1 and null are how `datasets` writes that there is none.
    """
    values = dict(row.values)
    for role, name in found.places.items():
        names, value = classes.get(name), line.get(name)
        key = DENIED if role == "label" and DENIED in values else role
        if names is not None and isinstance(value, list):
            values[key] = _classes(row, name, value, names)
        elif names is not None:
            values[key] = _class(row, name, value, names)
    return values


def _classes(row: Row, column: str, value: Sequence[Any], names: list[str]) -> list[str | None]:
    """The names of several classes, by their numbers or by a one or zero for each of all classes.

    More than two of those can be no numbers: one would be there twice.
    """
    if len(value) == len(names) > 2 and set(value) <= {0, 1}:
        return [name for name, mark in zip(names, value, strict=True) if mark]
    return [_class(row, column, one, names) for one in value]


def _class(row: Row, column: str, value: Any, names: list[str]) -> str | None:
    """The name of a class by its number; None for -1 and null. Raises invalid_value."""
    if isinstance(value, str):
        return value
    if value is None or value == -1:
        return None
    if isinstance(value, int) and 0 <= value < len(names):
        return names[value]
    why = f"`{shown(column, 40)}` is {str(value)[:40]}, of {len(names)} classes"
    raise row.error("invalid_value", why)


def _picture(row: Row, blobs: Path) -> PictureCell:
    told = row.values.get("image")
    if not isinstance(told, dict):
        raise row.error("schema_mismatch", "it has no picture, or only a path to one elsewhere")
    return PictureCell(blobs, told["offset"], told["length"])


def _run(table: TableFile, target: Path, *, every: bool = False, most: int | None = None) -> None:
    bounds = _bounds(table) | {"every": every}
    if most is not None:
        bounds["rows"] = most
    command = [sys.executable, "-I", str(CHILD), str(table.path), str(target)]
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter and script
            [*command, json.dumps(bounds)],
            capture_output=True,
            check=False,
            timeout=2 * table.limits.child_seconds,
            env=_environment(),
        )
    except subprocess.TimeoutExpired as error:
        raise HeadstartError("archive_bomb", f"{table.name} takes too long to read") from error
    if done.returncode:
        raise _error(done.returncode, done.stderr, table.name)


def _environment() -> dict[str, str]:
    """Nothing of ours (no addresses, no credentials) and little memory reserved ahead."""
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    return leashed({**kept, "MALLOC_ARENA_MAX": "1", "ARROW_DEFAULT_MEMORY_POOL": "system"})


def _bounds(table: TableFile) -> dict[str, Any]:
    limits = table.limits
    roles = [role for role in columns.USUAL if role != "path" or table.paths]
    names = {name for role in roles for name in columns.USUAL[role]}
    names |= {name for role in roles for name in columns.FURTHER.get(role, ())}
    names |= {*split_guess.NAMES, *consensus.VOTERS, *consensus.TIMES, *holding.HOLDS}
    names |= {
        *holding.REVIEWED,
        *held_out.FLAGS,
        *held_out.BARE,
        *split_guess.FOLDS,
        *beside_labels.NAMED,
    }
    return {
        "kind": table.kind,
        "names": sorted(
            names | set(columns.READ_ANYWAY) | set(map(columns.folded, _chosen(table)))
        ),
        "chosen": _chosen(table),
        "nameless": table.header == headless.NONE,
        "endings": [responses.ENDING, responses.STATES],
        "grouping": grouping.PATTERN if table.labelled else None,
        "unmarked": _says_labels(table),
        "rows": limits.entries + 1,
        "seconds": limits.child_seconds,
        "memory": limits.child_bytes,
        "file": limits.unpacked_bytes,
        "ratio": limits.ratio,
        "ratio_from": limits.ratio_from,
    }


def _says_labels(table: TableFile) -> list[str] | None:
    """Columns beside which those of 0 and 1 are no labels; None where none ever are."""
    if not table.labelled or "label" in table.columns:
        return None
    return [*columns.USUAL["label"], *columns.READ_ANYWAY]


def _chosen(table: TableFile) -> list[str]:
    former = table.former
    return [*table.columns.values(), *table.marks, *former.columns.values(), *former.marks]


def _error(status: int, said: bytes, name: str) -> HeadstartError:
    """What the child said, or what its death says: it ran into a limit of its own."""
    try:
        told = from_json(said)
        code, why = told["code"], told["message"]
    except (ValueError, KeyError, TypeError):
        if status < 0:
            return HeadstartError("archive_bomb", f"{name} needs too much memory or time")
        raise RuntimeError(f"the child that reads {name} failed: {said[-2000:]!r}") from None
    if code == "storage_full":
        raise OSError(errno.ENOSPC, why)
    return HeadstartError(code, f"{name}: {why}", param=name)
