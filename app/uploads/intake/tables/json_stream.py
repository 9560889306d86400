"""The elements of a JSON document's lists, one at a time: never the whole of it in memory."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from typing import Any, BinaryIO, NoReturn

from app.core.errors import HeadstartError
from app.core.json_objects import DoubledNameError, once
from app.uploads.intake.limits import Limits

STEP = 256 * 1024
_BLANK = " \t\n\r\ufeff"


def elements(file: BinaryIO, name: str, limits: Limits) -> Iterator[tuple[str | None, int, Any]]:
    """(None, number from 1, element) of a list; (key, number, element) of an object's lists.

    What is no list in an object comes as (key, 0, value). Each element and each such value is at
    most `limits.row_bytes` long. Raises invalid_json, encoding or row_too_large.
    """
    text = _Text(file, name, limits)
    opening = text.take("[{")
    if opening == "[":
        yield from ((None, *told) for told in _list(text))
    else:
        yield from _object(text)
    if text.peek():
        raise text.wrong("something follows its end")


def _list(text: _Text) -> Iterator[tuple[int, Any]]:
    """The elements of a list whose bracket is taken already."""
    number = 0
    if text.peek() == "]":
        text.take("]")
        return
    while True:
        number += 1
        yield number, text.value(f"its element {number}")
        if text.take(",]") == "]":
            return


def _object(text: _Text) -> Iterator[tuple[str | None, int, Any]]:
    if text.peek() == "}":
        text.take("}")
        return
    seen: set[str] = set()
    while True:
        key = text.value("a key")
        if not isinstance(key, str):
            raise text.wrong("a key is not a string")
        if key in seen:
            raise text.wrong(f"{key[:40]!r} is there twice: leave one of them out")
        seen.add(key)
        text.take(":")
        if text.peek() == "[":
            text.take("[")
            yield from ((key, *told) for told in _list(text))
        else:
            yield key, 0, text.value(f"its {key[:40]!r}")
        if text.take(",}") == "}":
            return


class _Text:
    """A decoded file of which there is always a whole element in sight, if it is not too long."""

    def __init__(self, file: BinaryIO, name: str, limits: Limits) -> None:
        self._file = file
        self._name = name
        self._limits = limits
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._json = json.JSONDecoder(parse_constant=_no_constant, object_pairs_hook=once)
        self._text = ""
        self._at = 0
        self._ended = False

    def peek(self) -> str:
        """The next character that is no blank, "" at the end."""
        while True:
            while self._at < len(self._text) and self._text[self._at] in _BLANK:
                self._at += 1
            if self._at < len(self._text) or self._ended:
                return self._text[self._at : self._at + 1]
            self._more()

    def take(self, wanted: str) -> str:
        """The next character, which is one of `wanted`. Raises invalid_json."""
        mark = self.peek()
        if not mark or mark not in wanted:
            raise self.wrong(f"{mark or 'its end'!r} where one of {wanted!r} is expected")
        self._at += 1
        return mark

    def value(self, what: str) -> Any:
        """The next value, called `what` in messages. Raises invalid_json, row_too_large."""
        self.peek()
        while not self._ended and len(self._text) - self._at <= self._limits.row_bytes:
            self._more()
        try:
            found, end = self._json.raw_decode(self._text, self._at)
            json.dumps(found, ensure_ascii=False).encode()
        except DoubledNameError as error:
            raise self.wrong(f"{what}: {error}") from error
        except (ValueError, RecursionError) as error:
            if not self._ended and len(self._text) - self._at > self._limits.row_bytes:
                raise self._too_large(what) from error
            raise self.wrong(f"{what}: {_reason(error)}") from error
        if end - self._at > self._limits.row_bytes:
            raise self._too_large(what)
        self._at = end
        return found

    def _more(self) -> None:
        data = self._file.read(STEP)
        self._ended = not data
        try:
            new = self._decoder.decode(data, final=self._ended)
        except UnicodeDecodeError as error:
            raise HeadstartError("encoding", f"{self._name} is not UTF-8", param=self._name) from (
                error
            )
        self._text = self._text[self._at :] + new
        self._at = 0

    def wrong(self, why: str) -> HeadstartError:
        return HeadstartError("invalid_json", f"{self._name}: {why}", param=self._name)

    def _too_large(self, what: str) -> HeadstartError:
        why = f"{self._name}: {what} has more than {self._limits.row_bytes:,} characters"
        return HeadstartError("row_too_large", why, param=self._name)


def _reason(error: Exception) -> str:
    """What is wrong, with what stands there: places are those of what is in memory."""
    if isinstance(error, json.JSONDecodeError):
        there = error.doc[error.pos : error.pos + 20]
        return f"{error.msg} at {there!r}" if there else f"{error.msg} at its end"
    if isinstance(error, UnicodeError):
        return "it has half of a character (a lone surrogate)"
    return "it is nested too deeply" if isinstance(error, RecursionError) else str(error)[:100]


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")
