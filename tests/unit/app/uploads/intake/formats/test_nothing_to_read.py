"""A text with nothing to read is none, wherever it comes: one rule for examples and inputs."""

from __future__ import annotations

import csv
import io
import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from app.core.errors import HeadstartError
from app.core.messages import read_error
from app.core.openai.inputs import text_bytes
from app.core.texts import NOTHING_TO_READ, is_seen
from app.feedback.fitness import check_text
from app.uploads.intake import Built, IntakeOptions, build
from tests.archives import zipped

UNLABELLED = IntakeOptions(labelled=False)
BLANK = ["", " ", "\n\t", "\u00a0", "\u200b", "\ufeff", "\u2060 \u00ad", "\u3164", "\u2028"]
WRITTEN = ["0", ".", "👍", "👩‍👧", "ไทย", " a ", "\u200bא", "\u200bx"]
MARKS = "".join(BLANK)


@pytest.mark.parametrize("text", BLANK)
def test_what_cannot_be_seen_is_nothing(text: str) -> None:
    assert not is_seen(text)


@pytest.mark.parametrize("text", WRITTEN)
def test_what_can_be_seen_is_a_text(text: str) -> None:
    assert is_seen(text)


def built(data: bytes, name: str) -> Built:
    with tempfile.TemporaryDirectory() as folder:
        upload = Path(folder) / "upload"
        upload.write_bytes(data)
        return build(upload, filename=name, staging=Path(folder), options=UNLABELLED)


def rejected(data: bytes, name: str) -> bool:
    """Whether the second of two texts is left out, and only that one."""
    found = built(data, name)
    told = [one for one in found.problems if one.excluded]
    assert len(found.examples) == 2
    assert all(NOTHING_TO_READ in one.message for one in told)
    assert len(told) < 2
    return bool(told)


def as_csv(text: str) -> bytes:
    out = io.StringIO()
    csv.writer(out, quoting=csv.QUOTE_ALL).writerows([["id", "text"], ["1", "seen"], ["2", text]])
    return out.getvalue().encode()


def given_as_feedback(text: str) -> bool:
    said = None
    try:
        check_text(text.encode())
    except HeadstartError as error:
        said = error.message
    return said == NOTHING_TO_READ


def asked(text: str) -> bool:
    item = text_bytes(text)
    assert item.kind == "text" or read_error(bytes(item.data)).message == NOTHING_TO_READ
    return item.kind == "error"


TEXTS = st.text(
    st.sampled_from(MARKS) | st.characters(codec="utf-8", exclude_characters="\0"), max_size=6
)


@settings(max_examples=80, deadline=None)
@given(TEXTS)
@example("\u200b")
@example("\u200bx")
def test_it_is_the_same_wherever_it_comes(text: str) -> None:
    lines = "".join(json.dumps({"text": one}) + "\n" for one in ("seen", text)).encode()
    ways = {
        "a prediction": asked(text),
        "feedback": given_as_feedback(text),
        "a line of JSON": rejected(lines, "x.jsonl"),
        "a cell": rejected(as_csv(text), "x.csv"),
        "a file": rejected(zipped({"a.txt": b"seen", "b.txt": text.encode()}), "x.zip"),
    }
    assert ways == dict.fromkeys(ways, not is_seen(text))
