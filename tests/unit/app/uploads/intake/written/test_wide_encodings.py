"""Lists of pictures in UTF-16 and UTF-32, or behind a byte order mark: read as in UTF-8."""

from __future__ import annotations

import codecs
from collections.abc import Iterator

import pytest

from app.uploads.intake import IntakeOptions
from app.uploads.intake.tables.encodings import as_utf8
from tests.archives import zipped
from tests.unit.app.uploads.intake.conftest import Take
from tests.unit.app.uploads.intake.formats.exports import BOXED, LABELS, WHOLE, Files
from tests.unit.app.uploads.intake.formats.test_recognised import labels

pytestmark = pytest.mark.slow

JUDGED = IntakeOptions(label_mode=None)
SUFFIXES = (".json", ".jsonl", ".xml", ".txt", ".csv", ".manifest", ".yaml", ".lst", ".cls")
MARKS = {
    "utf-8-sig": b"",
    "utf-16": b"",
    "utf-32": b"",
    "utf-16-be": codecs.BOM_UTF16_BE,
    "utf-32-be": codecs.BOM_UTF32_BE,
}


def written(files: Files, encoding: str) -> dict[str, bytes]:
    """The files, all that is text in another encoding."""
    return {
        path: MARKS[encoding] + data.decode().encode(encoding) if path.endswith(SUFFIXES) else data
        for path, data in files.items()
    }


def of_texts() -> Iterator[tuple[str, Files]]:
    for name, files in {**WHOLE, **BOXED}.items():
        if any(path.endswith(SUFFIXES) for path in files):
            yield name, files


@pytest.mark.parametrize("encoding", MARKS)
def test_every_tools_export_is_read_in_it(take: Take, encoding: str) -> None:
    for name, files in of_texts():
        built = take(zipped(written(files, encoding)), options=JUDGED)
        assert labels(built) == LABELS, name


def test_an_xml_that_is_not_in_the_encoding_it_declares_is_read(take: Take) -> None:
    for name, files in of_texts():
        told = {
            path: data.replace(b'encoding="utf-8"', b'encoding="utf-16"')
            for path, data in files.items()
        }
        assert labels(take(zipped(told), options=JUDGED)) == LABELS, name


@pytest.mark.parametrize("encoding", MARKS)
def test_a_start_may_end_within_a_character(encoding: str) -> None:
    data = MARKS[encoding] + "déjà 日本 🙂 a".encode(encoding)
    for most in range(8, len(data)):
        said = as_utf8(data[:most])
        assert "déjà 日本 🙂 a".startswith(said.decode("utf-8", "ignore"))
        assert len(said.decode("utf-8", "ignore")) >= (most - 8) // 4


def test_what_is_no_text_is_left_as_it_is() -> None:
    for data in (b"", b"\xff\xfe\x00\xd8\x00\x00abc", bytes(range(256))):
        assert as_utf8(data) in (data, data.removeprefix(b"\xef\xbb\xbf"))
