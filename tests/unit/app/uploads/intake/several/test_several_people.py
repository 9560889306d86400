"""Examples that several people have labelled: one rule, whatever wrote the file."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from app.core.errors import HeadstartError
from app.uploads.intake import Built
from app.uploads.intake.tables.consensus import Vote, moment, winner
from tests.archives import png, zipped
from tests.unit.app.uploads.intake.conftest import Take

Answer = tuple[str, str, str, str]
"""What was labelled, by whom, as what, and on which day of a month."""
SAID: list[Answer] = [
    ("one", "ann", "x", "01"),
    ("one", "bob", "y", "03"),
    ("one", "cyd", "x", "02"),
    ("two", "ann", "y", "01"),
    ("two", "bob", "x", "02"),
    ("three", "ann", "y", "01"),
    ("three", "bob", "y", "02"),
    ("four", "ann", "x", "01"),
]
HOLDS = {"one": "x", "two": "x", "three": "y", "four": "x"}
"""The majority's, of equally many the latest's."""


def day(number: str) -> str:
    return f"2026-03-{number}T10:00:00.000000Z"


def lines(rows: list[dict[str, Any]]) -> bytes:
    return b"\n".join(json.dumps(row).encode() for row in rows)


def json_min(said: list[Answer], key: str = "text") -> list[dict[str, Any]]:
    places = {what: at for at, what in enumerate(HOLDS)}
    return [
        {
            key: what if key == "text" else f"/data/upload/1/0a1b2c3d-{what}.png",
            "id": places[what],
            "sentiment": label,
            "annotator": who,
            "annotation_id": at,
            "created_at": day(when),
            "updated_at": day(when),
            "lead_time": 3.5,
        }
        for at, (what, who, label, when) in enumerate(said)
    ]


def as_csv(rows: list[dict[str, Any]]) -> bytes:
    names = list(rows[0])
    return "\n".join(
        [",".join(names), *(",".join(str(row[name]) for name in names) for row in rows)]
    ).encode()


def tasks(said: list[Answer], key: str = "text") -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for row, (what, _, label, when) in zip(json_min(said, key), said, strict=True):
        task = found.setdefault(what, {"id": 1, "data": {key: row[key]}, "annotations": []})
        result = [{"from_name": "c", "type": "choices", "value": {"choices": [label]}}]
        one = {"result": result, "completed_by": row["annotator"], "updated_at": day(when)}
        task["annotations"].append(one)
    return list(found.values())


def prodigy(said: list[Answer]) -> list[dict[str, Any]]:
    return [
        {
            "text": what,
            "_input_hash": hash(what),
            "_task_hash": at,
            "_session_id": f"db-{who}",
            "_annotator_id": f"db-{who}",
            "_timestamp": 1_770_000_000 + int(when),
            "options": [{"id": "x", "text": "X"}, {"id": "y", "text": "Y"}],
            "accept": [label],
            "answer": "accept",
        }
        for at, (what, who, label, when) in enumerate(said)
    ]


def turk(said: list[Answer]) -> list[dict[str, Any]]:
    return [
        {"HITId": what, "WorkerId": who, "SubmitTime": day(when), "text": what, "label": label}
        for what, who, label, when in said
    ]


OF_TEXTS = {
    "project-1-at-2026-03-05-12-00-1f2e3d4c.json": json.dumps(json_min(SAID)).encode(),
    "min.csv": as_csv(json_min(SAID)),
    "full.json": json.dumps(tasks(SAID)).encode(),
    "prodigy.jsonl": lines(prodigy(SAID)),
    "turk.csv": as_csv(turk(SAID)),
}


def conflicts(built: Built) -> list[str]:
    return [one.message for one in built.problems if one.code == "label_conflict"]


class TestTexts:
    @pytest.mark.parametrize("name", OF_TEXTS)
    def test_what_most_say_holds_then_the_latest(self, take: Take, name: str) -> None:
        built = take(OF_TEXTS[name], name)
        assert len(built.examples) == len(HOLDS)
        told = [one.label for one in sorted(built.examples, key=lambda one: row_of(one.path))]
        assert told == list(HOLDS.values())
        count, *each = conflicts(built)
        assert "2 example(s)" in count
        assert len(each) == 2
        assert not any(one.excluded for one in built.problems if one.code == "label_conflict")

    def test_doccano_has_a_file_for_each_person(self, take: Take) -> None:
        people: dict[str, list[dict[str, Any]]] = {"ann": [], "bob": [], "cyd": []}
        for what, who, label, _ in SAID:
            people[who].append({"id": len(what), "text": what, "label": [label], "Comments": []})
        built = take(zipped({f"{who}.jsonl": lines(rows) for who, rows in people.items()}))
        told = sorted(one.label for one in built.examples)
        assert told == ["x", "x", "y"]  # of `two` nothing says which is the latest
        held = [one for one in built.problems if one.code == "label_conflict" and one.excluded]
        assert len(held) == 1

    def test_without_times_equally_many_are_left_out_by_name(self, take: Take) -> None:
        rows = [("a", "ann", "x"), ("a", "bob", "y"), ("b", "ann", "y"), ("c", "ann", "x")]
        told = [{"text": text, "annotator": who, "label": label} for text, who, label in rows]
        built = take(lines(told), "x.jsonl")
        assert [one.label for one in built.examples] == ["y", "x"]
        (said,) = [one for one in built.problems if one.code == "label_conflict"]
        assert said.excluded
        assert "'x' 1x" in said.message

    def test_a_person_who_labels_anew_has_one_vote(self, take: Take) -> None:
        said = [("one", "ann", "x", "01"), ("one", "ann", "x", "02"), ("one", "ann", "y", "03")]
        said += [("one", "bob", "y", "01"), ("two", "bob", "x", "01")]
        for name, data in (
            ("a.json", json.dumps(json_min(said)).encode()),
            ("b.json", json.dumps(tasks(said)).encode()),
        ):
            assert [one.label for one in take(data, name).examples] == ["y", "x"]


PICTURES = {f"images/0a1b2c3d-{what}.png": png(at) for at, what in enumerate(HOLDS)}


class TestPictures:
    @pytest.mark.parametrize(
        ("name", "data"),
        [
            ("project-1-at-2026-03-05-12-00-1f2e3d4c.json", json_min(SAID, "image")),
            ("labels.json", json_min(SAID, "image")),
            ("export.csv", json_min(SAID, "image")),
            ("metadata.csv", [{"path": r["image"], **r} for r in json_min(SAID, "image")]),
            ("tasks.json", tasks(SAID, "image")),
        ],
    )
    def test_each_picture_is_one_example(
        self, take: Take, name: str, data: list[dict[str, Any]]
    ) -> None:
        if name == "metadata.csv":
            data = [
                {**row, "path": "images/" + row["image"].rpartition("/")[2], "image": ""}
                for row in data
            ]
        whole = as_csv(data) if name.endswith(".csv") else json.dumps(data).encode()
        built = take(zipped({**PICTURES, name: whole}))
        said = {
            one.path.rpartition("-")[2].removesuffix(".png"): one.label for one in built.examples
        }
        assert said == HOLDS
        assert "2 example(s)" in conflicts(built)[0]

    def test_rows_that_are_nobodys_are_still_refused(
        self, refused: Callable[..., HeadstartError]
    ) -> None:
        table = b"path,label\n1.png,a\n1.png,b\n2.png,b\n"
        error = refused(zipped({"1.png": png(1), "2.png": png(2), "metadata.csv": table}))
        assert error.code == "duplicate_name"


def row_of(path: str) -> int:
    return int(path.rpartition(":")[2])


class TestTheRule:
    def test_the_truth_goes_before_the_many(self) -> None:
        said = [("x", Vote("a")), ("x", Vote("b")), ("y", Vote("c", truth=True))]
        assert winner(said) == 2

    def test_the_latest_of_equally_many(self) -> None:
        said = [("x", Vote("a", ("2",))), ("y", Vote("b", ("3",))), ("x", Vote("c", ("1",)))]
        assert winner([*said, ("y", Vote("d", ("1",)))]) == 1
        assert winner([("x", Vote("a")), ("y", Vote("b"))]) is None
        assert winner([("x", Vote("a")), ("x", Vote("b"))]) is not None

    def test_times_are_in_order(self) -> None:
        assert moment(9.5) < moment(10) < moment("1770000000")
        assert moment(day("01")) < moment(day("02"))
        assert moment(None) == moment(value=True) == ""
