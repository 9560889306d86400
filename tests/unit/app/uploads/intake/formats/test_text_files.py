"""Texts in class folders, a file each: in whatever encoding is asked for, or marked."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from app.core.errors import HeadstartError
from app.uploads.intake import Built, IntakeOptions
from tests.archives import zipped
from tests.unit.app.uploads.intake.conftest import Take

Refused = Callable[..., HeadstartError]
TEXTS = {
    "müll/1.txt": "größe und maß",
    "müll/2.txt": "die straße",
    "hut/3.txt": "grün",
    "hut/4.txt": "weiß",
}


def archive(encoding: str) -> bytes:
    return zipped({name: text.encode(encoding) for name, text in TEXTS.items()})


def contents(built: Built) -> dict[str, str]:
    packed = built.pack_path.read_bytes()
    return {x.path: packed[x.offset : x.offset + x.length].decode() for x in built.examples}


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "mac_roman", "utf-16-le"])
def test_the_encoding_that_is_asked_for_is_read(take: Take, encoding: str) -> None:
    built = take(archive(encoding), options=IntakeOptions(encoding=encoding))
    assert contents(built) == TEXTS


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_marks_say_the_encoding(take: Take, encoding: str) -> None:
    assert contents(take(archive(encoding))) == TEXTS


def test_what_it_may_be_is_told(refused: Refused) -> None:
    error = refused(archive("latin-1"))
    assert error.code == "encoding"
    assert "line 1: byte" in error.message
    assert "send the one that is right, such as encoding=" in error.message
    assert "save the file as UTF-8" in error.message


def test_another_encoding_than_was_asked_for_is_refused(refused: Refused) -> None:
    error = refused(archive("latin-1"), options=IntakeOptions(encoding="ascii"))
    assert "is not readable as ascii" in error.message
