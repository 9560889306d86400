"""Rows that whoever comes first adds: two that come at once both find one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.infra.orm.base import Base

Row = TypeVar("Row", bound=Base)
_TRIES = 5


def locked(session: Session, statement: Select[Row]) -> Row | None:
    """The one row, as it is now, locked until the transaction ends; None where it is not there."""
    fresh = {"populate_existing": True}
    return session.execute(statement.with_for_update(), execution_options=fresh).scalar()


def found_or_added(
    session: Session, find: Callable[[], Row | None], new: Callable[[], Row]
) -> tuple[Row, bool]:
    """The row that `find` locks, or else a new one, and whether it is new.

    A lock holds no row that is not there yet: of two who add it at once Postgres lets the second
    wait for the first one's commit and then refuses it, which finds that row instead.
    """
    for tries_left in reversed(range(_TRIES)):
        row = find()
        if row is not None:
            return row, False
        row = new()
        try:
            with session.begin_nested():
                session.add(row)
        except IntegrityError:
            if not tries_left:
                raise
        else:
            return row, True
    raise AssertionError("unreachable")
