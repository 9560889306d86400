"""Numbers in a table of texts have the names that a file beside it says, or stay numbers."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from app.uploads.intake import Built, IntakeOptions
from app.uploads.intake.limits import FormerReading
from tests.archives import zipped
from tests.unit.app.uploads.intake.conftest import Take

NAMES = ["bad", "fair", "good"]
FREE = IntakeOptions(label_mode=None)
READ = {
    "labels.txt": "bad\nfair\ngood\n",
    "classes.names": "\ufeffbad\r\nfair\r\n\r\ngood\r\n",
    "class_names.txt": "2 good\n0 bad\n1 fair\n9 none of these\n",
    "labels.yaml": "0: bad\n1: fair\n2: good\n",
    "label2id.txt": "bad,0\nfair,1\ngood,2\n",
    "label_map.json": {"0": "bad", "1": "fair", "2": "good", "3": "best"},
    "label2id.json": {"bad": 0, "fair": 1, "good": 2},
    "classes.json": NAMES,
    "categories.json": [{"id": at, "name": name} for at, name in enumerate(NAMES)],
    "labels.json": {"version": 3, "labels": NAMES},
    "config.json": {"id2label": dict(enumerate(NAMES)), "label2id": {"bad": 0}, "hidden_size": 2},
    "dataset_infos.json": {"default": {"features": {"label": {"names": NAMES}}}},
}
UNREAD = {
    "labels.txt": "bad\nfair\n",
    "names.txt": "Ann\nBob\nCem\nDee\nEve\n",
    "label_names.txt": "bad\nfair\nfair\n",
    "class_labels.txt": "2\n0\n1\n",
    "labels.md": "- bad\n- fair\n- good\n",
    "classes.yaml": "- bad\n- fair\n- good\n",
    "readme.txt": "bad\nfair\ngood\n",
    "label_map.json": {"0": "bad", "1": "fair"},
    "config.json": {"id2label": {str(at): f"LABEL_{at}" for at in range(3)}},
    "dataset_info.json": {"a": 0, "b": 1, "c": 2},
    "classes.json": "not JSON {",
    "label2id.json": '{"bad": 0, "fair": 1, "good": 2, "good": 3}',
}


def written(told: Any) -> bytes:
    return (told if isinstance(told, str) else json.dumps(told)).encode()


def archive(first: int = 0, table: str = "train.csv", **files: Any) -> bytes:
    rows = "".join(f"text number {at},{first + at % 3}\n" for at in range(6))
    return zipped(
        {table: f"text,label\n{rows}".encode(), **{name: written(x) for name, x in files.items()}}
    )


def labels(built: Built) -> Counter[str]:
    return Counter("|".join(one.names) for one in built.examples)


@pytest.mark.parametrize("name", READ)
def test_the_names_are_the_labels(take: Take, name: str) -> None:
    built = take(archive(**{name: READ[name]}), options=FREE)
    assert labels(built) == dict.fromkeys(NAMES, 2)
    (told,) = built.problems
    assert told.code == "column_assumed"
    assert f"{name} names the numbers that are the labels: 0 is bad" in told.message


@pytest.mark.parametrize("name", UNREAD)
def test_what_does_not_say_all_of_them_is_told(take: Take, name: str) -> None:
    built = take(archive(**{name: UNREAD[name]}), options=FREE)
    assert labels(built) == {"0": 2, "1": 2, "2": 2}
    assert [one.code for one in built.problems] == ["unsupported_member"]


def test_names_in_order_may_be_counted_from_one(take: Take) -> None:
    built = take(archive(first=1, **{"labels.txt": READ["labels.txt"]}), options=FREE)
    assert labels(built) == dict.fromkeys(NAMES, 2)


def test_files_that_say_the_same_are_both_read(take: Take) -> None:
    both = {name: READ[name] for name in ("labels.txt", "config.json")}
    assert labels(take(archive(**both), options=FREE)) == dict.fromkeys(NAMES, 2)


def test_files_that_contradict_each_other_are_not(take: Take) -> None:
    both = {"labels.txt": READ["labels.txt"], "classes.json": NAMES[::-1]}
    assert labels(take(archive(**both), options=FREE)) == {"0": 2, "1": 2, "2": 2}


def test_labels_that_are_words_stay(take: Take) -> None:
    data = zipped({"a.csv": b"text,label\na,x\nb,y\n", "labels.txt": b"one\ntwo\n"})
    assert labels(take(data, options=FREE)) == {"x": 1, "y": 1}


def test_several_labels_have_names_too(take: Take) -> None:
    rows = b"text,label\na,0|2\nb,1\nc,2\n"
    options = IntakeOptions(label_mode="multi_label", label_separator="|")
    built = take(zipped({"a.csv": rows, "labels.txt": b"bad\nfair\ngood\n"}), options=options)
    assert labels(built) == {"bad|good": 1, "fair": 1, "good": 1}


@pytest.mark.parametrize(("known", "named"), [(["0", "1"], False), (["bad", "fair"], True)])
def test_what_is_added_is_called_as_the_dataset_has_it(
    take: Take, known: list[str], named: bool
) -> None:
    options = replace(FREE, former=FormerReading(labels=frozenset(known)))
    built = take(archive(**{"labels.txt": READ["labels.txt"]}), options=options)
    assert labels(built) == dict.fromkeys(NAMES if named else ["0", "1", "2"], 2)


def test_json_beside_json_is_not_taken_for_a_table(take: Take) -> None:
    rows = [{"text": f"text number {at}", "label": at % 3} for at in range(6)]
    built = take(archive_of_json(rows), options=FREE)
    assert labels(built) == dict.fromkeys(NAMES, 2)


def archive_of_json(rows: list[dict[str, Any]]) -> bytes:
    return zipped({"train.json": written(rows), "label_map.json": written(READ["label_map.json"])})
