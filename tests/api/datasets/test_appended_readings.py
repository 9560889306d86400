"""What was said of how a dataset's first file is read holds for those that are added."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any

import httpx
import pytest

from tests.api.uploading import DATASETS, code, examples, made, send
from tests.archives import png, zipped

FIRST = range(6)
LATER = range(6, 10)


def table(columns: str, rows: Iterable[str]) -> bytes:
    return "\n".join([columns, *rows, ""]).encode()


def later(client: httpx.Client, dataset: str, data: bytes, **fields: Any) -> list[dict[str, Any]]:
    """The problems of the version after `data` was added."""
    added = send(client, data, to=f"{DATASETS}/{dataset}/examples", **fields)
    assert added.status_code == 201, added.text
    return list(added.json()["problems"])


def labels(client: httpx.Client, dataset: str) -> Counter[str]:
    """How many examples have each label; of none, that of the empty text."""
    told = (one.get("labels") or [one["label"] or ""] for one in examples(client, dataset))
    return Counter(name for names in told for name in names)


def priorities(numbers: Iterable[int]) -> bytes:
    rows = (f"ticket number {n},{'ab'[n % 2]},{('hi', 'lo')[n % 2]}" for n in numbers)
    return table("text,label,priority", rows)


def test_the_column_of_the_label(client: httpx.Client) -> None:
    dataset = made(client, priorities(FIRST), filename="a.csv", label_column="priority")["id"]
    told = later(client, dataset, priorities(LATER), filename="b.csv")
    assert labels(client, dataset) == {"hi": 5, "lo": 5}
    assert [one["message"] for one in told if one["code"] == "column_assumed"] == [
        "`priority` is the label, as was said when the dataset was made; "
        "label_column says otherwise"
    ]
    told = later(client, dataset, priorities([10, 11]), filename="c.csv", label_column="label")
    assert labels(client, dataset) == {"hi": 5, "lo": 5, "a": 1, "b": 1}
    assert "labels_new" in {one["code"] for one in told}


def test_a_table_without_it_is_read_by_its_own(client: httpx.Client) -> None:
    dataset = made(client, priorities(FIRST), filename="a.csv", label_column="priority")["id"]
    later(client, dataset, table("text,label", ["another one,hi", "one more,lo"]), filename="b.csv")
    assert labels(client, dataset) == {"hi": 4, "lo": 4}
    lines = b"".join(
        json.dumps({"text": f"line {n}", "label": "a", "priority": "lo"}).encode() + b"\n"
        for n in range(2)
    )
    later(client, dataset, lines, filename="c.jsonl")
    assert labels(client, dataset) == {"hi": 4, "lo": 6}


def test_the_columns_of_groups(client: httpx.Client) -> None:
    def patients(numbers: Iterable[int]) -> bytes:
        return table("text,label,patient_id", (f"note {n},{'ab'[n % 2]},p{n % 4}" for n in numbers))

    dataset = made(client, patients(FIRST), filename="a.csv", group_column="patient_id")["id"]
    told = later(client, dataset, patients(LATER), filename="b.csv")
    assert {one["group"] for one in examples(client, dataset)} == {"p0", "p1", "p2", "p3"}
    assert "column_unread" not in {one["code"] for one in told}


def test_what_parts_labels_and_what_belongs_to_none(client: httpx.Client) -> None:
    rows = [*(f"text {n},{('a|b', 'b', 'Negative')[n % 3]}" for n in range(12))]
    dataset = made(
        client,
        table("text,label", rows[:6]),
        filename="a.csv",
        label_separator="|",
        negative_label="Negative",
    )["id"]
    later(client, dataset, table("text,label", rows[6:]), filename="b.csv")
    assert labels(client, dataset) == {"a": 4, "b": 8, "": 4}


def marked(numbers: Iterable[int]) -> bytes:
    rows = (f"row {n},{n % 2},{(n + 1) % 2},1" for n in numbers)
    return table("text,spam,ham,seen", rows)


def test_the_columns_of_a_class_each(client: httpx.Client) -> None:
    dataset = made(client, marked(FIRST), filename="a.csv", label_columns="spam,ham")["id"]
    later(client, dataset, marked(LATER), filename="b.csv")
    assert labels(client, dataset) == {"spam": 5, "ham": 5}


def boxed(name: str, number: int) -> bytes:
    picture = {"id": 1, "file_name": name, "width": 20, "height": 20}
    kinds = [{"id": at, "name": label} for at, label in enumerate(("dent", "scratch"))]
    boxes = [
        {"id": at, "image_id": 1, "category_id": at, "bbox": [0, 0, 3 + 2 * number + at, 4]}
        for at in range(2)
    ]
    listed = {"images": [picture], "annotations": boxes, "categories": kinds}
    return zipped(
        {
            "_annotations.coco.json": json.dumps(listed).encode(),
            name: png(number, width=20, height=20),
        }
    )


def test_crops_of_boxes_and_whole_pictures(client: httpx.Client) -> None:
    dataset = made(client, boxed("a.png", 1), boxes="crops")["id"]
    assert labels(client, dataset) == {"dent": 1, "scratch": 1}
    later(client, dataset, boxed("b.png", 2))
    assert labels(client, dataset) == {"dent": 2, "scratch": 2}
    later(client, dataset, zipped({"dent/c.png": png(3)}))
    assert labels(client, dataset) == {"dent": 3, "scratch": 2}
    answer = send(client, boxed("d.png", 4), to=f"{DATASETS}/{dataset}/examples", boxes="whole")
    assert code(answer) == (422, "several_labels")
    wanted = send(
        client, zipped({"dent/e.png": png(5)}), to=f"{DATASETS}/{dataset}/examples", boxes="crops"
    )
    assert code(wanted) == (422, "schema_mismatch")


@pytest.mark.parametrize(
    ("added", "is_told"), [("0,1", True), ("Neg,Pos", True), ("neg,other", False)]
)
def test_labels_none_of_which_was_there_are_told(
    client: httpx.Client, added: str, is_told: bool
) -> None:
    rows = [f"text {n},{('neg', 'pos')[n % 2]}" for n in range(4)]
    dataset = made(client, table("text,label", rows), filename="a.csv")["id"]
    more = [f"more {n},{label}" for n, label in enumerate(added.split(","))]
    told = later(client, dataset, table("text,label", more), filename="b.csv")
    assert ("labels_new" in {one["code"] for one in told}) is is_told


def test_names_of_classes_alone_that_look_alike_are_told(client: httpx.Client) -> None:
    names = ["Price", "price", "fee"]
    form = {"classes": (None, json.dumps(names)), "modality": (None, "text")}
    answer = client.post(DATASETS, files=form)
    assert answer.status_code == 201, answer.text
    assert [one["code"] for one in answer.json()["problems"]] == ["label_collision"]


def test_numbers_and_names_of_classes_are_read_as_the_dataset_has_them(
    client: httpx.Client,
) -> None:
    both = [f"more {n},{n % 2},{('neg', 'pos')[n % 2]}" for n in range(4)]
    for kept in ("01", ("neg", "pos")):
        rows = [f"text {n},{kept[n % 2]}" for n in range(4)]
        dataset = made(client, table("text,label", rows), filename="a.csv")["id"]
        told = later(client, dataset, table("text,label,label_text", both), filename="b.csv")
        assert "labels_new" not in {one["code"] for one in told}
        assert labels(client, dataset) == dict.fromkeys(kept, 4)


def test_numbers_beside_names_are_told_with_what_to_do(client: httpx.Client) -> None:
    rows = [f"text {n},{('neg', 'pos')[n % 2]}" for n in range(4)]
    dataset = made(client, table("text,label", rows), filename="a.csv")["id"]
    told = later(client, dataset, table("text,label", ["more 1,0", "more 2,1"]), filename="b.csv")
    assert ["label_text" in one["message"] for one in told if one["code"] == "labels_new"] == [True]
