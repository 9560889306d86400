"""Argilla's columns of what people have answered, and whether they submitted it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from app.uploads.printed import listed

ENDING = ".responses"
STATES = f"{ENDING}.status"


def questions(names: Iterable[str]) -> list[str]:
    """The columns that have the answers, one a question."""
    return [name for name in names if str(name).endswith(ENDING)]


def agreed(values: Mapping[str, Any], name: str) -> Any:
    """The answer in the column `name` that was submitted, where all agree; else None.

    What was discarded, or is a draft, is nobody's answer; nor is that of a discarded record. Raises
    ValueError where states and answers are not equally many.
    """
    given = _cells(values.get(name))
    states = _cells(values.get(f"{name}.status")) or ["submitted"] * len(given)
    told = [
        one
        for one, state in zip(given, states, strict=True)
        if one is not None and state == "submitted" and values.get("status") != "discarded"
    ]
    return told[0] if told and all(one == told[0] for one in told) else None


def _cells(told: Any) -> list[Any]:
    """A list, or one that was printed into a cell of CSV; one answer alone is a list of it."""
    if isinstance(told, str):
        found = listed(told)
        return found if found is not None else [told] if told.strip() else []
    return told if isinstance(told, list) else [] if told is None else [told]
