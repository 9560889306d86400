"""Objects of JSON that say each name once: parsers keep the last of several, and say nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

_LONGEST = 40
"""Characters of a value in a message."""


class DoubledNameError(ValueError):
    """An object has one name twice, with different values."""


def once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """The object of `pairs`, for `object_pairs_hook`. Raises DoubledNameError."""
    told = dict(pairs)
    if len(told) == len(pairs):
        return told
    for name, value in pairs:
        if repr(told[name]) != repr(value):  # 1 is not true, and equal to it
            both = f"as {_short(value)} and as {_short(told[name])}"
            raise DoubledNameError(f"{_short(name)} is there twice, {both}: leave one of them out")
    return told


_DECODER = json.JSONDecoder(
    object_pairs_hook=once, parse_int=str, parse_float=str, parse_constant=str, strict=False
)
"""Its numbers are as they are written: it is asked for names alone."""


def check_names(text: str | bytes) -> None:
    """Raises DoubledNameError where an object in `text`, which is JSON, has a name twice."""
    plain = text if isinstance(text, str) else text.decode("utf-8", "replace")
    try:
        _DECODER.decode(plain.lstrip("\ufeff"))
    except DoubledNameError:
        raise
    except (ValueError, RecursionError):
        return  # what else is wrong with it, its reader says


def _short(value: Any) -> str:
    said = json.dumps(value, ensure_ascii=True, default=str)
    return said if len(said) <= _LONGEST else f"{said[:_LONGEST]}…"
