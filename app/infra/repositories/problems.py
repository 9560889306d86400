"""A version's problems, of which there may be one an example: the database reads them by page."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import bindparam, text
from sqlalchemy.orm import Session

from app.core.manifest import Problem

SHOWN = 100
"""As many are told with a dataset or a version; all of them have a list of their own."""

_EACH = {
    "sqlite": (
        "SELECT p.key AS place, p.value AS problem "
        "FROM dataset_versions v, json_each(v.problems) p WHERE v.id = :version"
    ),
    "postgresql": (
        "SELECT p.n - 1 AS place, CAST(p.value AS text) AS problem "
        "FROM dataset_versions v CROSS JOIN LATERAL "
        "json_array_elements(v.problems) WITH ORDINALITY AS p(value, n) WHERE v.id = :version"
    ),
}
_ID = {
    "sqlite": "json_extract(problem, '$.example_id')",
    "postgresql": "CAST(problem AS json) ->> 'example_id'",
}
_EXCLUDES = {
    "sqlite": "json_extract(problem, '$.excluded') = 1",
    "postgresql": "CAST(CAST(problem AS json) ->> 'excluded' AS boolean)",
}


def some(
    session: Session, version_id: str, *, start: int = 0, limit: int = SHOWN
) -> list[tuple[int, Problem]]:
    """At most `limit` problems of a version from place `start` on, each with its place."""
    each = _EACH[session.get_bind().dialect.name]
    rows = session.execute(
        text(f"SELECT * FROM ({each}) e WHERE place >= :start ORDER BY place LIMIT :limit"),  # noqa: S608
        {"version": version_id, "start": start, "limit": limit},
    )
    return [(row.place, Problem.model_validate_json(row.problem)) for row in rows]


def excluded(session: Session, version_id: str, among: Sequence[str] | None = None) -> set[str]:
    """The ids of the examples that a problem keeps from being used: all of them, or of `among`."""
    dialect = session.get_bind().dialect.name
    name, each = _ID[dialect], _EACH[dialect]
    wanted = f"SELECT {name} FROM ({each}) e WHERE {_EXCLUDES[dialect]} AND {name} IS NOT NULL"  # noqa: S608
    if among is None:
        return set(session.scalars(text(wanted), {"version": version_id}))
    named = text(f"{wanted} AND {name} IN :ids").bindparams(bindparam("ids", expanding=True))
    return set(session.scalars(named, {"version": version_id, "ids": list(among)}))
