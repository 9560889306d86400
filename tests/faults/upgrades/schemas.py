"""Schemas of databases, migration by migration, and what of a step a former release would feel."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, String, inspect
from sqlalchemy.engine.interfaces import ReflectedColumn
from sqlalchemy.engine.reflection import Inspector

from app.infra import migrate

RELEASED = "0002"
"""The last migration of the last release, 0.1.0."""

Places = tuple[str, ...]


@dataclass(frozen=True)
class TableSchema:
    """What statements on a table depend on."""

    columns: dict[str, ReflectedColumn]
    primary_key: Places
    unique: frozenset[Places]
    references: frozenset[tuple[Places, str, str]]
    checks: frozenset[str]


Schema = dict[str, TableSchema]


def steps(engine: Engine) -> Iterator[tuple[str, Schema, Schema]]:
    """Each migration after the release: its name, the schema before it, and the one after it."""
    to(engine, RELEASED)
    before = schema_of(engine)
    for name in names():
        if name > RELEASED:
            to(engine, name)
            after = schema_of(engine)
            yield name, before, after
            before = after


def names() -> list[str]:
    """Every migration's name, the first one first."""
    scripts = ScriptDirectory.from_config(migrate.config_of())
    return [str(script.revision) for script in scripts.walk_revisions()][::-1]


def to(engine: Engine, name: str) -> None:
    """Run the migrations up to this one."""
    config = migrate.config_of()
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, name)
        connection.commit()


def schema_of(engine: Engine) -> Schema:
    """The tables that there are."""
    found = inspect(engine)
    return {name: _table(found, name) for name in found.get_table_names()}


def _table(found: Inspector, name: str) -> TableSchema:
    unique = [*map(_places, found.get_unique_constraints(name))]
    unique += [_places(one) for one in found.get_indexes(name) if one["unique"]]
    return TableSchema(
        {column["name"]: column for column in found.get_columns(name)},
        tuple(found.get_pk_constraint(name)["constrained_columns"]),
        frozenset(unique),
        frozenset(
            (tuple(one["constrained_columns"]), one["referred_table"], str(one.get("options")))
            for one in found.get_foreign_keys(name)
        ),
        frozenset(one["sqltext"] for one in found.get_check_constraints(name)),
    )


def _places(unique: Any) -> Places:
    return tuple(map(str, unique["column_names"]))


def felt(before: Schema, after: Schema) -> list[str]:
    """What a process would feel that knows only the schema before: nothing, if it was only added
    to. New tables, columns that may be empty or have a default, longer texts and plain indexes are
    no change to it.
    """
    told = []
    for name, table in before.items():
        if name not in after:
            told.append(f"{name} is gone")
        else:
            told += [f"{name}{why}" for why in _felt_of(table, after[name])]
    return told


def _felt_of(before: TableSchema, after: TableSchema) -> Iterator[str]:
    for name, column in before.columns.items():
        if name not in after.columns:
            yield f".{name} is gone"
        else:
            yield from (f".{name} {why}" for why in _felt_in(column, after.columns[name]))
    for name in after.columns.keys() - before.columns.keys():
        column = after.columns[name]
        if not column["nullable"] and column["default"] is None:
            yield f".{name} is new, may not be empty and has no default"
    for what in ("primary_key", "unique", "references", "checks"):
        if getattr(before, what) != getattr(after, what):
            yield f" has another {what}"


def _felt_in(before: ReflectedColumn, after: ReflectedColumn) -> Iterator[str]:
    if before["nullable"] and not after["nullable"]:
        yield "may not be empty any more"
    if after["nullable"] and not before["nullable"]:
        yield "may be empty, which its readers do not know"
    if before["default"] is not None and before["default"] != after["default"]:
        yield "has another default"
    if not _holds(after["type"], before["type"]):
        yield f"was {before['type']}, is {after['type']}"


def _holds(wide: Any, narrow: Any) -> bool:
    """Whether each value of `narrow` is one of `wide`, and read as before."""
    if isinstance(wide, String) and isinstance(narrow, String):
        return wide.length is None or (narrow.length or wide.length + 1) <= wide.length
    return str(wide) == str(narrow)
