"""One text in several forms: composed or not, with other line ends, with blanks around it."""

from __future__ import annotations

import unicodedata

import pytest

from app.uploads.intake import IntakeOptions
from tests.archives import zipped
from tests.unit.app.uploads.intake.conftest import Take

COMPOSED = unicodedata.normalize("NFC", "Iṣẹ́ yín dára púpọ̀")
DECOMPOSED = unicodedata.normalize("NFD", COMPOSED)


def _csv(*rows: tuple[str, str, str]) -> bytes:
    lines = [f'"{text}",{label},{split}\n' for text, label, split in rows]
    return ("text,label,split\n" + "".join(lines)).encode()


@pytest.mark.parametrize("other", [DECOMPOSED, COMPOSED + "  ", "\r\n" + DECOMPOSED + "\r\n"])
def test_forms_of_one_text_are_one_content(take: Take, other: str) -> None:
    rest = [("q", "x", "train"), ("r", "y", "train")]
    built = take(_csv((COMPOSED, "x", "train"), (other, "x", "test"), *rest), "t.csv")
    found = [(one.code, one.path, one.excluded) for one in built.problems]
    assert found == [("duplicate_across_splits", "t.csv:3", True)]
    built = take(_csv((COMPOSED, "x", "train"), (other, "y", "train"), *rest), "t.csv")
    assert [one.code for one in built.problems] == ["label_conflict"] * 2
    built = take(_csv((COMPOSED, "x", "train"), (other, "x", "train"), *rest), "t.csv")
    assert len({one.group for one in built.examples[:2]}) == 1
    assert built.examples[0].group is not None


def test_what_was_typed_is_kept(take: Take) -> None:
    built = take(_csv((DECOMPOSED + " ", "x", "train"), ("r", "y", "train")), "t.csv")
    first = built.examples[0]
    packed = built.pack_path.read_bytes()
    assert packed[first.offset : first.offset + first.length].decode() == DECOMPOSED + " "
    assert first.identity is not None


def test_files_of_texts_are_compared_as_rows_are(take: Take) -> None:
    files = {"x/1.txt": COMPOSED, "x/2.txt": DECOMPOSED + "\r\n", "y/3.txt": "other"}
    built = take(zipped({name: text.encode() for name, text in files.items()}))
    assert [one.code for one in built.problems] == ["duplicate_example"]


def test_drawn_splits_do_not_part_two_forms(take: Take) -> None:
    rows = [(f"{COMPOSED} {n}", "xy"[n % 2], "") for n in range(20)]
    rows += [(f"{DECOMPOSED} {n}", "xy"[n % 2], "") for n in range(20)]
    built = take(_csv(*rows), "t.csv", options=IntakeOptions(test_fraction=0.3))
    assert [one.code for one in built.problems] == ["duplicate_example"] * 20
