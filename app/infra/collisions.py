"""What those who write at once do to each other, as either database tells it.

A transaction is given up for another's sake, or meets rows that another has deleted or added since
it looked. Nothing of it is left then: begun anew, it finds them as they are by now.
"""

from __future__ import annotations

import sqlite3

from sqlalchemy.exc import DBAPIError

from app.core.errors import HeadstartError
from app.infra import postgres

_LOCKED = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_SAID_LOCKED = ("database is locked", "database table is locked", "database schema is locked")
_PRIMARY = 0xFF
"""Of SQLite's codes the part that says the kind; the rest says more."""
_NAMES_NONE = ("23503", sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY)
_THERE_ALREADY = (
    "23505",
    sqlite3.SQLITE_CONSTRAINT_UNIQUE,
    sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY,
)


def is_busy(error: object) -> bool:
    """Whether others keep what it waited for, or were preferred: nothing is away."""
    return postgres.is_busy(error) or _is_locked(error)


def is_repeatable(error: BaseException) -> bool:
    """Whether the same transaction, begun anew, may go well: by a driver's error, or by ours that
    came of one.
    """
    cause = error.__cause__ if isinstance(error, HeadstartError) else error
    return postgres.is_given_up(cause) or _is_locked(cause) or is_overtaken(cause)


def is_overtaken(error: object) -> bool:
    """Whether a row that it names is not there any more, or one that it adds is there already."""
    return _constraint(error) in (*_NAMES_NONE, *_THERE_ALREADY)


def overtaken(error: Exception) -> HeadstartError | None:
    """The domain's error for one that was overtaken and is not begun anew: what it would be told
    if it came now, as far as the database says what it met. None for another.
    """
    if not isinstance(error, DBAPIError) or not is_overtaken(error):
        return None
    if _constraint(error) in _THERE_ALREADY:
        why = "another request has made the same meanwhile: look at what is there by now"
        return HeadstartError("in_flight", why, retry_after=1)
    if (error.statement or "").lstrip().upper().startswith("DELETE"):
        return HeadstartError("in_use", "something else has begun to use this meanwhile")
    return HeadstartError("not_found", "something that this request names was deleted meanwhile")


def _is_locked(error: object) -> bool:
    driver = getattr(error, "orig", error)
    if not isinstance(driver, sqlite3.Error):
        return False
    code = getattr(driver, "sqlite_errorcode", None)
    return str(driver) in _SAID_LOCKED if code is None else code & _PRIMARY in _LOCKED


def _constraint(error: object) -> str | int | None:
    """What the database calls the rule that was broken, where it is one of rows."""
    if not isinstance(error, DBAPIError):
        return None
    driver = error.orig
    return getattr(driver, "sqlstate", None) or getattr(driver, "sqlite_errorcode", None)
