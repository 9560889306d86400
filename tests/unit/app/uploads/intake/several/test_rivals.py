"""Columns of yes and no beside a column of a few words: either may be the labels."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from app.core.errors import HeadstartError
from app.uploads.intake import Built, IntakeOptions
from tests.archives import png, zipped
from tests.unit.app.uploads.intake.conftest import Take

Refused = Callable[..., HeadstartError]
JUDGED = IntakeOptions(label_mode=None)
FLAGS = [(at % 2, int(at % 3 == 0), int(at % 5 < 2)) for at in range(12)]


def table(column: str, words: tuple[str, ...], marks: tuple[str, str] = ("False", "True")) -> bytes:
    """Three flags of each patient, and another column of a few words between them."""
    header = ["patient", "smoke", "drink", column, "itch", "img_id"]
    rows = [
        [f"p{at}", marks[a], marks[b], words[at % len(words)], marks[c], f"pic{at}"]
        for at, (a, b, c) in enumerate(FLAGS)
    ]
    return "\n".join(",".join(row) for row in [header, *rows]).encode()


def archive(told: bytes, name: str = "metadata.csv") -> bytes:
    return zipped({f"imgs/pic{at}.png": png(at) for at in range(12)} | {name: told})


RIVALS = {
    "diagnostic": ("BCC", "ACK", "NEV"),
    "outcome_group": ("good", "bad", "none known"),
    "Befund": ("gut", "schlecht"),
    "diagnosis": ("1", "2", "3"),
}


@pytest.mark.parametrize(("column", "words"), RIVALS.items())
@pytest.mark.parametrize("marks", [("False", "True"), ("0", "1")])
@pytest.mark.parametrize("name", ["metadata.csv", "clinical.csv"])
def test_what_may_be_either_is_refused_with_both(
    refused: Refused, column: str, words: tuple[str, ...], marks: tuple[str, str], name: str
) -> None:
    error = refused(archive(table(column, words, marks), name), options=JUDGED)
    assert f"`{column}`" in error.message
    assert "`smoke`, `drink`, `itch`" in error.message
    assert "label_column or label_columns" in error.message


FACTS = [
    ("gender", ("FEMALE", "MALE")),
    ("Frontal/Lateral", ("Frontal", "Lateral")),
    ("region", ("NECK", "ARM", "FACE")),
    ("patient_id", ("a", "b", "c", "d")),
    ("status", ("done", "open")),
    ("age", ("50", "60")),
    ("taken", ("2024-01-01", "2024-01-02")),
    ("biopsed", ("yes", "no")),
    ("note", tuple(f"says number {at}" for at in range(12))),
]


@pytest.mark.parametrize(("column", "words"), FACTS)
def test_other_facts_leave_columns_of_yes_and_no_the_labels(
    take: Take, column: str, words: tuple[str, ...]
) -> None:
    built = take(archive(table(column, words), "labels.csv"), options=JUDGED)
    assert {one["label"] for one in built.classes} == {"smoke", "drink", "itch"}


def labels(built: Built) -> set[str]:
    return {name for one in built.examples for name in one.names}


def test_what_is_said_holds(take: Take) -> None:
    told = archive(table("diagnosis", ("BCC", "ACK", "NEV")))
    one = IntakeOptions(label_mode=None, columns={"label": "diagnosis"})
    assert labels(take(told, options=one)) == {"BCC", "ACK", "NEV"}
    marks = IntakeOptions(label_mode="multi_label", marks=("smoke", "itch"))
    assert labels(take(told, options=marks)) == {"smoke", "itch"}


def test_one_hot_columns_are_the_labels_whatever_lies_beside(take: Take) -> None:
    rows = [f"pic{at},{','.join('1' if at % 3 == c else '0' for c in range(3))},{'uv'[at % 2]}"
            for at in range(12)]  # fmt: skip
    told = "\n".join(["image,MEL,NV,BCC,kind_of_thing", *rows]).encode()
    built = take(archive(told, "truth.csv"), options=JUDGED)
    assert labels(built) == {"MEL", "NV", "BCC"}


def test_a_column_that_counts_is_no_class(take: Take) -> None:
    words = ("Hernia", "No Finding", "Hernia|Edema")
    rows = [f"pic{at}.png,{words[at % 3]},{at % 4},{at % 2}" for at in range(12)]
    told = archive("\n".join(["Image,Finding Labels,Follow-up #,Visit", *rows]).encode(), "d.csv")
    options = IntakeOptions(label_mode="multi_label", label_separator="|", negative_label=words[1])
    built = take(told, options=options)
    assert labels(built) == {"Hernia", "Edema"}
    assert sum(not one.names for one in built.examples) == 4


def test_what_is_wrong_with_a_row_goes_before_a_missing_path(refused: Refused) -> None:
    told = table("gender", ("F", "M")).replace(b"p3,True", b"p3,")
    error = refused(archive(told), options=JUDGED)
    assert "`smoke` is empty" in error.message
    assert "`path`" not in error.message
