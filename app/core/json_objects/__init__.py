"""Objects of JSON, forms and queries say each name once: parsers keep the last of several values
and say nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

_LONGEST = 40
"""Characters of a value in a message."""


class DoubledNameError(ValueError):
    """An object has one name, `name`, twice, with different values."""

    def __init__(self, name: str, values: tuple[Any, Any]) -> None:
        self.name = name
        both = f"as {_short(values[0])} and as {_short(values[1])}"
        super().__init__(f"{_short(name)} is there twice, {both}: leave one of them out")


def once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """The object of `pairs`, for `object_pairs_hook`. Raises DoubledNameError."""
    told = dict(pairs)
    if len(told) == len(pairs):
        return told
    for name, value in pairs:
        if repr(told[name]) != repr(value):  # 1 is not true, and equal to it
            raise DoubledNameError(name, (value, told[name]))
    return told


class _Numeral(str):
    """A number as it is written, which no text equals."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


_DECODER = json.JSONDecoder(
    object_pairs_hook=once,
    parse_int=_Numeral,
    parse_float=_Numeral,
    parse_constant=_Numeral,
    strict=False,
)
"""It is asked for names alone."""


def check_names(text: str | bytes) -> None:
    """Raises DoubledNameError where an object in `text`, which is JSON, has a name twice."""
    plain = text if isinstance(text, str) else text.decode("utf-8", "replace")
    try:
        _DECODER.decode(plain.lstrip("\ufeff"))
    except DoubledNameError:
        raise
    except (ValueError, RecursionError):
        return  # what else is wrong with it, its reader says


def said_once(told: object) -> object:
    """The same, for a field whose text is JSON. Raises DoubledNameError."""
    if isinstance(told, str | bytes):
        check_names(told)
    return told


def _short(value: Any) -> str:
    plain = isinstance(value, _Numeral)
    said = str(value) if plain else json.dumps(value, ensure_ascii=False, default=str)
    said = said if said.isprintable() else json.dumps(value, default=str)
    return said if len(said) <= _LONGEST else f"{said[:_LONGEST]}…"
