"""Identifiers: time-ordered, unguessable enough to be unique, of `[a-z0-9]` and a prefix."""

from __future__ import annotations

import re
import secrets
import threading
import time
import unicodedata
from uuid import UUID

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32, lower case

_TAILED = re.compile(rf"(?:.*[-_:])?([0-7][{_ALPHABET}]{{25}})", re.DOTALL)
_TAIL = 80
"""Random bits of an id."""


class _Ascending:
    """Of one process, each number is greater than the one before."""

    def __init__(self) -> None:
        self._last = 0
        self._lock = threading.Lock()

    def next(self, wanted: int) -> int:
        """`wanted`, or where that is not beyond the last one, a random step from there."""
        with self._lock:
            if wanted <= self._last:
                wanted = self._last + 1 + secrets.randbits(_TAIL - 16)
            self._last = wanted
            return wanted


_ascending = _Ascending()


def new_id(prefix: str) -> str:
    """`prefix` and 26 characters: 48 bits of milliseconds, 80 random ones (a monotonic ULID).

    Rows that one process makes within a millisecond keep their order.
    """
    number = _ascending.next((time.time_ns() // 1_000_000 << _TAIL) | secrets.randbits(_TAIL))
    return prefix + _letters(number)


LONGEST_SUFFIX = 64
_NO_SUFFIX = re.compile("[^A-Za-z0-9._-]+")


def suffix_of(name: str, longest: int = LONGEST_SUFFIX) -> str:
    """As much of a name as a model's id can carry."""
    plain = unicodedata.normalize("NFKD", name)
    return _NO_SUFFIX.sub("-", plain).strip("-")[:longest].rstrip("-")


def as_uuid(name: str) -> UUID | None:
    """The 128 bits that an id of ours ends with; None where it ends otherwise."""
    match = _TAILED.fullmatch(name)
    if match is None:
        return None
    number = 0
    for letter in match[1]:
        number = number << 5 | _ALPHABET.index(letter)
    return UUID(int=number)


def from_uuid(prefix: str, told: UUID) -> str:
    """The id with `prefix` whose `as_uuid` this is."""
    return prefix + _letters(told.int)


_PAIRS = [first + second for first in _ALPHABET for second in _ALPHABET]


def _letters(number: int) -> str:
    return "".join([_PAIRS[number >> shift & 1023] for shift in range(120, -1, -10)])
