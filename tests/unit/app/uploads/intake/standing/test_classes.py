"""What is a class in one kind of upload is one in every other, and comes back as it was written."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from app.uploads.intake import Built, IntakeOptions
from app.uploads.intake.labels.rules import SINGLE
from app.uploads.intake.limits import FormerReading
from app.uploads.intake.pack import Draft, Slot
from app.uploads.intake.standing import settled
from tests.archives import png, zipped
from tests.unit.app.uploads.intake.conftest import Take

PLAIN = IntakeOptions(label_mode=None)
KINDS = ("csv", "jsonl", "choices", "folders", "metadata", "texts")


def upload(kind: str, labels: Sequence[Any]) -> tuple[bytes, str]:
    """An example of each label, as one kind of file has it."""
    if kind == "csv":
        return "".join(
            f"{at} is a text,{one}\n" for at, one in enumerate(["label", *labels])
        ).replace("0 is a text", "text", 1).encode(), "a.csv"
    if kind == "jsonl":
        rows = [json.dumps({"text": f"text {at}", "label": one}) for at, one in enumerate(labels)]
        return "\n".join(rows).encode(), "a.jsonl"
    if kind == "choices":
        return json.dumps([_task(at, one) for at, one in enumerate(labels)]).encode(), "a.json"
    if kind == "metadata":
        listed = "".join(f"{at}.png,{one}\n" for at, one in enumerate(labels))
        files = {f"{at}.png": png(at) for at in range(len(labels))}
        return zipped({**files, "metadata.csv": f"file_name,label\n{listed}".encode()}), "a.zip"
    if kind == "texts":
        return zipped({f"{x}/{at}.txt": b"text %d" % at for at, x in enumerate(labels)}), "a.zip"
    return zipped({f"{one}/{at}.png": png(at) for at, one in enumerate(labels)}), "a.zip"


def _task(number: int, label: str) -> dict[str, Any]:
    choice = {"type": "choices", "from_name": "l", "to_name": "t", "value": {"choices": [label]}}
    return {"data": {"text": f"text {number}"}, "annotations": [{"result": [choice]}]}


def known(*labels: str) -> IntakeOptions:
    return replace(PLAIN, former=FormerReading(labels=frozenset(labels)))


def labels_of(built: Built) -> Iterable[str]:
    return [one.label for one in built.examples]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["True", "FALSE", "true", "None", "null", "NA", "-1", "N.A."])
def test_beside_words_it_is_a_class_as_it_is_written(take: Take, kind: str, name: str) -> None:
    built = take(*upload(kind, [name, "Mostly True", "dog"]), options=PLAIN)
    assert sorted(labels_of(built)) == sorted([name, "Mostly True", "dog"])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["Unlabeled", "not_labelled", "-1", "True", "FALSE"])
def test_what_is_known_to_be_a_class_is_one(take: Take, kind: str, name: str) -> None:
    built = take(*upload(kind, [name, "2", "3"]), options=known(name, "2", "3"))
    assert sorted(labels_of(built)) == sorted([name, "2", "3"])
    assert "unlabelled" not in {one.code for one in built.problems}


@pytest.mark.parametrize("kind", KINDS)
def test_what_nobody_says_to_be_one_is_left_out_and_told(take: Take, kind: str) -> None:
    built = take(*upload(kind, ["Unlabeled", "cat", "dog"]), options=PLAIN)
    assert sorted(labels_of(built)) == ["cat", "dog"]
    (told,) = [one for one in built.problems if one.code == "unlabelled"]
    assert "name it in `classes` if it is a class" in told.message


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("folders", "texts")])
@pytest.mark.parametrize("ways", [("True", "False"), ("TRUE", "FALSE"), ("true", "false")])
def test_truths_alone_are_as_json_has_them(take: Take, kind: str, ways: Sequence[str]) -> None:
    built = take(*upload(kind, ways), options=PLAIN)
    assert labels_of(built) == ["true", "false"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ways", [("True", "False"), ("TRUE", "FALSE"), ("true", "false")])
def test_what_is_added_is_spelled_as_the_dataset_has_it(
    take: Take, kind: str, ways: Sequence[str]
) -> None:
    built = take(*upload(kind, ways), options=known("True", "False"))
    assert sorted(labels_of(built)) == ["False", "True"]


def test_truths_of_json_are_spelled_so_too(take: Take) -> None:
    built = take(*upload("jsonl", [True, False]), options=known("TRUE", "FALSE"))
    assert labels_of(built) == ["TRUE", "FALSE"]


def test_folders_names_are_as_somebody_has_typed_them(take: Take) -> None:
    built = take(*upload("folders", ["True", "False"]), options=PLAIN)
    assert sorted(labels_of(built)) == ["False", "True"]


def test_two_ways_that_meet_are_one_class(take: Take) -> None:
    data = b"text,label\na,True\nb,true\nc,TRUE\nd,maybe\n"
    assert labels_of(take(data, "a.csv", options=PLAIN)) == ["true", "true", "true", "maybe"]


def test_one_of_several_labels_is_spelled_so_too(take: Take) -> None:
    data = b"text,label\na,True|x\nb,x\nc,True\n"
    options = IntakeOptions(label_mode="multi_label", label_separator="|")
    built = take(data, "a.csv", options=options)
    assert [one.labels for one in built.examples] == [("True", "x"), ("x",), ("True",)]
    built = take(
        data, "a.csv", options=replace(options, former=FormerReading(labels=frozenset({"true"})))
    )
    assert [one.labels for one in built.examples] == [("true", "x"), ("x",), ("true",)]


def test_each_of_very_many_ways_of_saying_that_there_is_none_is_told() -> None:
    """Were all examples looked through for each, this took minutes."""
    slot = Slot(sha256="0" * 64, offset=0, length=1)
    ways = [f"{'_' * (at % 200)}unlabeled{'.' * (at // 200)}" for at in range(20_000)]
    listed = [Draft(slot, name, name, None, None) for name in ["cat", *ways, "dog", "unlabeled"]]
    kept, problems = settled(listed, SINGLE, ())
    assert [one.label for one in kept] == ["cat", "dog"]
    assert [one.path for one in problems] == sorted(ways)
    assert [one.message[:1] for one in problems if one.path == "unlabeled"] == ["2"]
