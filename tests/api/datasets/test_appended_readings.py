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
        "`priority` is the label, as in the dataset's first file; label_column says otherwise"
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


SAID = [f"{['a great', 'a poor'][n % 2]} thing number {n}" for n in range(10)]


def judged(numbers: Iterable[int], header: str, form: str) -> bytes:
    told = ((SAID[n], ("neg", "pos")[n % 2], ("pos", "x")[n % 2]) for n in numbers)
    return table(header, (form.format(text=t, label=one, other=o) for t, one, o in told))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (("text,sentiment", "{text},{label}"), ("text,label,sentiment", "{text},{other},{label}")),
        (("review,label", "{text},{label}"), ("text,review,label", "short {label},{text},{label}")),
    ],
)
def test_columns_that_were_assumed_hold_as_those_that_were_said(
    client: httpx.Client, first: tuple[str, str], second: tuple[str, str]
) -> None:
    dataset = made(client, judged(FIRST, *first), filename="a.csv")["id"]
    told = later(client, dataset, judged(LATER, *second), filename="b.csv")
    assert labels(client, dataset) == {"neg": 5, "pos": 5}
    assert any("as in the dataset's first file" in one["message"] for one in told)
    again = later(client, dataset, judged(LATER, *second), filename="c.csv")
    assert any("already, with the same label" in one["message"] for one in again)


def test_the_assumed_column_gives_way_to_what_is_said(client: httpx.Client) -> None:
    first, second = (
        ("text,sentiment", "{text},{label}"),
        ("text,label,sentiment", "{text},{other},"),
    )
    dataset = made(client, judged(FIRST, *first), filename="a.csv")["id"]
    later(client, dataset, judged(LATER, *second), filename="b.csv", label_column="label")
    assert labels(client, dataset) == {"neg": 3, "pos": 5, "x": 2}


def parted(numbers: Iterable[int], mark: str, none: str = "") -> bytes:
    cells = ("bank|card", "card|fee", "bank", "card", none)
    return table("text,labels", (f"{n} says,{cells[n % 5].replace('|', mark)}" for n in numbers))


def test_another_mark_between_labels_is_refused_or_told(client: httpx.Client) -> None:
    dataset = made(client, parted(range(5), "|"), filename="a.csv", label_separator="|")["id"]
    to = f"{DATASETS}/{dataset}/examples"
    answer = send(client, parted(range(5, 10), ";"), to=to, filename="b.csv")
    assert code(answer) == (422, "invalid_value")
    assert "send label_separator=; with this file" in answer.json()["message"]
    mixed = parted(range(5, 15), ";") + parted(range(15, 20), "|").split(b"\n", 1)[1]
    told = later(client, dataset, mixed, filename="c.csv")
    assert any(one["code"] == "labels_joined" and "`|` parts" in one["message"] for one in told)
    later(client, dataset, parted(range(20, 25), ";"), filename="d.csv", label_separator=";")


def test_labels_without_several_need_no_mark_between_them(client: httpx.Client) -> None:
    dataset = made(client, parted(range(5), "|"), filename="a.csv", label_separator="|")["id"]
    single = table("text,labels", [f"more {n},{('bank', 'fee')[n % 2]}" for n in range(4)])
    told = later(client, dataset, single, filename="b.csv")
    assert "labels_joined" not in {one["code"] for one in told}


def test_what_says_that_there_is_none_in_another_case_is_told(client: httpx.Client) -> None:
    fields = {"label_separator": "|", "negative_label": "none"}
    dataset = made(client, parted(range(5), "|", "none"), filename="a.csv", **fields)["id"]
    told = later(client, dataset, parted(range(5, 10), "|", "None"), filename="b.csv")
    assert any("'None' is a class, and 'none'" in one["message"] for one in told)
    again = later(client, dataset, parted(range(10, 15), "|", "none"), filename="c.csv")
    assert not any("'None' is a class" in one["message"] for one in again)


def flagged(numbers: Iterable[int], *names: str) -> bytes:
    marks = (",".join(str((n >> at) & 1) for at in range(len(names))) for n in numbers)
    return table(",".join(["text", *names]), (f"flag {n},{m}" for n, m in enumerate(marks, 7)))


def test_columns_of_a_class_each_that_are_missing_are_told(client: httpx.Client) -> None:
    dataset = made(client, flagged(range(8), "bank", "card", "fee"), filename="a.csv")["id"]
    more = flagged(range(1, 4), "fee", "bank").replace(b"flag", b"more")
    told = later(client, dataset, more, filename="b.csv")
    assert any("no column of 0 and 1 for 'card'" in one["message"] for one in told)
    more = flagged(range(1, 4), "fee", "bank", "card", "loan").replace(b"flag", b"still more")
    told = later(client, dataset, more, filename="c.csv")
    assert not any("no column of 0 and 1" in one["message"] for one in told)


def test_of_columns_that_were_said_none_may_be_missing(client: httpx.Client) -> None:
    first = flagged(range(8), "bank", "card", "seen")
    dataset = made(client, first, filename="a.csv", label_columns="bank,card")["id"]
    to = f"{DATASETS}/{dataset}/examples"
    more = flagged(range(1, 4), "bank", "loan").replace(b"flag", b"more")
    answer = send(client, more, to=to, filename="b.csv")
    assert code(answer) == (422, "schema_mismatch")
    assert "it has no column `card`" in answer.json()["message"]
    later(client, dataset, more, filename="b.csv", label_columns="bank")
    lists = b'{"text": "one", "labels": ["card"]}\n{"text": "two", "labels": []}\n'
    later(client, dataset, lists, filename="c.jsonl")
    assert labels(client, dataset).keys() == {"bank", "card", ""}


def test_splits_that_are_none_are_told_by_the_columns_name(client: httpx.Client) -> None:
    phases = (("train", "test"), ("alpha", "beta"))
    first, second = (
        table("text,label,phase", (f"{n} {part[0]},{'ab'[n // 2]},{part[n % 2]}" for n in range(4)))
        for part in phases
    )
    dataset = made(client, first, filename="a.csv", split_column="phase")["id"]
    answer = send(client, second, to=f"{DATASETS}/{dataset}/examples", filename="b.csv")
    assert code(answer) == (422, "invalid_value")
    assert "`phase` is 'alpha'" in answer.json()["message"]
    assert "split_column" in answer.json()["message"]


def test_crops_of_the_same_boxes_and_their_whole_pictures_are_told(client: httpx.Client) -> None:
    dataset = made(client, boxed("a.png", 1), boxes="crops")["id"]
    moved = later(client, dataset, boxed("a.png", 2))
    assert any("of boxes that are there already" in one["message"] for one in moved)
    same = later(client, dataset, boxed("b.png", 2))
    assert not any("of boxes that are there" in one["message"] for one in same)
    whole = later(client, dataset, zipped({"dent/a.png": png(3), "dent/c.png": png(4)}))
    told = [one["message"] for one in whole if "cut out of" in one["message"]]
    assert [one.startswith("1 picture(s), such as dent/a.png") for one in told] == [True]


def test_tables_of_one_archive_are_read_by_the_columns_of_those_to_train_on(
    client: httpx.Client,
) -> None:
    tables = {
        "test.csv": judged(LATER, "text,label,sentiment", "{text},{other},{label}"),
        "train.csv": judged(FIRST, "text,sentiment", "{text},{label}"),
    }
    told = made(client, zipped(tables))
    assert labels(client, told["id"]) == {"neg": 5, "pos": 5}
    assert {one["split"] for one in examples(client, told["id"])} == {"train", "test"}
