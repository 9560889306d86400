"""Columns that may say which examples belong together are told where their values say so."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from typing import Any

import pytest

from app.uploads.intake import Built, IntakeOptions
from tests.archives import png, zipped
from tests.unit.app.uploads.intake.conftest import Take
from tests.unit.app.uploads.intake.test_same_in_every_table import WRITERS, every_table

COUNT = 24
MIXED = [f"x{at // 3}" for at in range(COUNT)]
"""Three rows a value, one of each class."""
PURE = [f"{'abc'[at % 3]}{at // 6}" for at in range(COUNT)]
"""Two rows a value, both of one class."""


def table(**columns: Sequence[Any]) -> dict[str, Sequence[Any]]:
    count = len(next(iter(columns.values())))
    texts = [f"the text of number {at}" for at in range(count)]
    return {"text": texts, "label": ["abc"[at % 3] for at in range(count)], **columns}


def unread(built: Built) -> list[str]:
    return [
        one.message
        for one in built.problems
        if one.code == "column_unread" and "group_column" in one.message
    ]


def told(take: Take, kind: str = "jsonl", **columns: Sequence[Any]) -> list[str]:
    return unread(take(WRITERS[kind](table(**columns)), f"x.{kind}"))


@every_table
@pytest.mark.parametrize("name", ["patient_id", "lesion_id", "StudyInstanceUID", "wafer"])
def test_it_is_told_of_every_table_and_how_to_say_it(take: Take, kind: str, name: str) -> None:
    (message,) = told(take, kind, **{name: PURE})
    assert f"`{name}`" in message
    assert f"group_column={name}" in message


@pytest.mark.parametrize(
    "name",
    [
        *("subject", "Patient ID", "PatientID", "patientid", "slide_id", "case_id", "lot", "batch"),
        *("serial_number", "exam_id", "author", "session_id", "doc_id", "device_id", "speaker"),
        *("conversation_id", "site", "hospital", "scanner", "account_id", "company", "sample_id"),
        *(
            "case_id",
            "StudyInstanceUID",
            "series_uid",
            "part_id",
            "unit_id",
            "plate",
            "article_id",
            "family",
            "hospital_name",
            "Scan-No",
        ),
    ],
)
def test_usual_names_are_told_where_values_come_again(take: Take, name: str) -> None:
    assert len(told(take, **{name: MIXED})) == 1


@pytest.mark.parametrize("name", ["thing_nr", "Teilenummer", "thing_id", "thingNo"])
def test_other_ids_are_where_each_has_one_label(take: Take, name: str) -> None:
    assert len(told(take, **{name: PURE})) == 1
    assert told(take, **{name: MIXED}) == []


def test_of_any_name_where_that_is_no_accident(take: Take) -> None:
    many = {
        "text": [f"text {at}" for at in range(90)],
        "label": ["abc"[at % 3] for at in range(90)],
    }
    pure = [f"{at % 3}-{at // 9}" for at in range(90)]
    built = take(WRITERS["jsonl"]({**many, "HAM": pure}), "x.jsonl")
    assert len(unread(built)) == 1
    drawn = random.Random(0)
    random_values = [str(drawn.randrange(30)) for _ in range(90)]
    assert unread(take(WRITERS["jsonl"]({**many, "HAM": random_values}), "x.jsonl")) == []


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("patient_id", [str(at) for at in range(COUNT)]),
        ("patient_id", ["one"] * COUNT),
        ("patient_id", ["", "NA"] * (COUNT // 2)),
        ("patient_id", [None] * COUNT),
        ("thing_id", ["012"[at % 3] for at in range(COUNT)]),
        ("label_id", ["012"[at % 3] for at in range(COUNT)]),
        ("unit", ["mg", "kg"] * (COUNT // 2)),
        ("width", [640, 480, 320] * (COUNT // 3)),
        ("valid", PURE),
        ("paid", PURE),
        ("size", [at // 3 for at in range(COUNT)]),
    ],
)
def test_what_says_no_groups_is_not(take: Take, name: str, values: Sequence[Any]) -> None:
    assert told(take, **{name: values}) == []


def test_what_comes_again_late_in_the_table_is_told(take: Take) -> None:
    values = [str(at % 1100) for at in range(3300)]
    drawn = {"text": [f"text {at}" for at in range(3300)], "thing_id": values}
    drawn["label"] = [str(int(value) % 2) for value in values]
    assert len(unread(take(WRITERS["csv"](drawn), "x.csv"))) == 1


def test_what_is_said_to_be_one_is_read(take: Take) -> None:
    options = IntakeOptions(columns={"group": "lesion_id"})
    built = take(WRITERS["csv"](table(lesion_id=PURE, patient_id=MIXED)), "x.csv", options=options)
    assert unread(built) == []
    assert [one.group for one in built.examples] == PURE


def test_of_pictures_too(take: Take) -> None:
    rows = "".join(f"{at},{'abc'[at // 2 % 3]},L{at // 2}\n" for at in range(12))
    data = {f"i/{at}.png": png(at) for at in range(12)}
    data["HAM10000_metadata.csv"] = f"image_id,dx,lesion_id\n{rows}".encode()
    (message,) = unread(take(zipped(data)))
    assert "`lesion_id`" in message


def test_of_conversations_too(take: Take) -> None:
    turns = [("user", "text {at}"), ("assistant", "{label}")]
    rows = [
        {
            "messages": [
                {"role": role, "content": said.format(at=at, label="ab"[at % 2])}
                for role, said in turns
            ],
            "customer_id": at // 3,
        }
        for at in range(12)
    ]
    assert len(unread(take("\n".join(map(json.dumps, rows)).encode(), "x.jsonl"))) == 1


@pytest.mark.parametrize(
    ("group", "count"), [(r"\N", 1), ("NA", 1), ("(null)", 1), ("north", 0), ("", 0)]
)
def test_a_group_that_is_called_as_a_missing_value_is_told(
    take: Take, group: str, count: int
) -> None:
    built = take(WRITERS["csv"](table(group=[group, "x"] * (COUNT // 2))), "x.csv")
    assert [one.code for one in built.problems] == ["column_assumed"] * count
