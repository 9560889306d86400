"""`?validate_only=true`: what an upload would become, and nothing of it kept."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from app.datasets.report import UNDECODED
from tests.api.service import Service
from tests.api.uploading import DATASETS, code, leftovers, made, rows, send
from tests.archives import Raw, folders, png, raw_zip, zipped

pytestmark = pytest.mark.slow

DRY = f"{DATASETS}?validate_only=true"
MEMBERS = {
    **{f"set/train/{path}": data for path, data in folders({"a": 3, "b": 2}).items()},
    "set/Test/a/9.png": png(99),
    "set/Test/1.png": png(98),
    "set/readme.txt": b"hello",
}


def dry(client: httpx.Client, data: bytes, **options: Any) -> httpx.Response:
    return send(client, data, to=DRY, **options)


def test_the_report(service: Service, client: httpx.Client) -> None:
    answer = dry(client, zipped(MEMBERS), name="mine")
    assert answer.status_code == 200, answer.text
    assert "location" not in answer.headers
    report = answer.json()
    problems = [(one["code"], one["path"], one["excluded"]) for one in report.pop("problems")]
    assert problems == [
        ("invalid_value", "Test/1.png", True),
        ("unsupported_member", "readme.txt", True),
    ]
    assert report == {
        "object": "dataset.report",
        "name": "mine",
        "filename": "set.zip",
        "modality": "image",
        "bytes": len(zipped(MEMBERS)),
        "backbone": "efficientnet_lite0",
        "num_examples": 6,
        "classes": [{"label": "a", "count": 4}, {"label": "b", "count": 2}],
        "splits": [
            {
                "split": "train",
                "num_examples": 5,
                "classes": [{"label": "a", "count": 3}, {"label": "b", "count": 2}],
            },
            {"split": "test", "num_examples": 1, "classes": [{"label": "a", "count": 1}]},
        ],
        "num_problems": 2,
        "assumed": [
            "the folders on top are read as splits: Test/ is test, train/ is train",
            "the folder set/ around everything is looked through",
            UNDECODED,
        ],
    }
    assert (rows(service), leftovers(service)) == (0, [])


def test_what_is_kept_afterwards_is_what_was_said(service: Service, client: httpx.Client) -> None:
    said = dry(client, zipped(MEMBERS)).json()
    kept = made(client, zipped(MEMBERS))
    for name in ("name", "modality", "bytes", "backbone", "num_examples", "classes", "problems"):
        assert kept[name] == said[name], name
    assert rows(service) == 2


def test_a_key_is_free_afterwards(service: Service, client: httpx.Client) -> None:
    headers = {"Idempotency-Key": "one"}
    assert dry(client, zipped(MEMBERS), headers=headers).status_code == 200
    again = send(client, zipped(MEMBERS), headers=headers)
    assert again.status_code == 201
    assert "idempotent-replayed" not in again.headers


@pytest.mark.parametrize(("told", "status"), [("true", 200), ("1", 200), ("false", 201)])
def test_bare_bodies_too(client: httpx.Client, told: str, status: int) -> None:
    answer = client.post(
        f"{DATASETS}?validate_only={told}&name=bare",
        content=zipped(MEMBERS),
        headers={"content-type": "application/zip"},
    )
    assert (answer.status_code, answer.json()["name"]) == (status, "bare")


@pytest.mark.parametrize("query", ["validate_only=perhaps", "validate_onyl=true", "name=x"])
def test_what_is_no_wish_is_refused(service: Service, client: httpx.Client, query: str) -> None:
    answer = send(client, zipped(MEMBERS), to=f"{DATASETS}?{query}")
    assert code(answer) == (422, "invalid_request")
    assert rows(service) == 0


def test_a_refusal_is_the_same_and_lists_all(service: Service, client: httpx.Client) -> None:
    bad = zipped(folders({"a": 2, "b": 2}) | {"a/x.png": b"", "b/y.png": b"no image"})
    for to in (DRY, DATASETS):
        answer = send(client, bad, to=to)
        assert code(answer) == (422, "image_invalid")
        told = answer.json()["errors"]
        assert [(one["code"], one["param"]) for one in told] == [
            ("image_invalid", "a/x.png"),
            ("image_invalid", "b/y.png"),
        ]
        assert told[0]["message"] == answer.json()["message"]
    assert (rows(service), leftovers(service)) == (0, [])


def test_boxes_of_a_coco_file_are_examples_by_wish(client: httpx.Client) -> None:
    boxes = [(1, 0, [0, 0, 4, 3]), (1, 1, [2, 2, 4, 4]), (2, 1, [1, 1, 5, 5])]
    listed = {
        "images": [{"id": at, "file_name": f"{at}.png"} for at in (1, 2)],
        "categories": [{"id": 0, "name": "cat"}, {"id": 1, "name": "dog"}],
        "annotations": [
            {"id": at, "image_id": image, "category_id": category, "bbox": box}
            for at, (image, category, box) in enumerate(boxes)
        ],
    }
    files = {f"{at}.png": png(at, width=8 + at, height=8) for at in (1, 2)}
    files |= {"instances.json": json.dumps(listed).encode()}
    answer = dry(client, zipped(files), coco="crops")
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert told["num_examples"] == 3
    assert {one["label"]: one["count"] for one in told["classes"]} == {"cat": 1, "dog": 2}
    assert code(dry(client, zipped(files), coco="boxes")) == (422, "invalid_request")
    assert code(dry(client, zipped(MEMBERS), coco="crops")) == (422, "schema_mismatch")


def test_all_wrong_fields_are_listed(client: httpx.Client) -> None:
    answer = dry(client, zipped(MEMBERS), seed="-1", test_fraction="2", filename_encoding="x")
    assert code(answer) == (422, "invalid_request")
    assert [one["param"] for one in answer.json()["errors"]] == [
        "test_fraction",
        "seed",
        "filename_encoding",
    ]


def test_names_in_the_page_that_is_said(client: httpx.Client) -> None:
    names = {f"{name}/1.png".encode("gbk"): png(at) for at, name in enumerate(["猫", "狗"])}
    data = raw_zip([Raw(name, content, flags=0, system=0) for name, content in names.items()])
    guessed, told = dry(client, data).json(), dry(client, data, filename_encoding="cp437").json()
    assert {one["label"] for one in guessed["classes"]} == {"猫", "狗"}
    assert [one["code"] for one in guessed["problems"]] == ["encoding"]
    assert {one["label"] for one in told["classes"]} == {"├¿", "╣╖"}
    assert told["problems"] == []


def test_a_tables_report_shows_what_was_read(client: httpx.Client) -> None:
    long = "é" * 300
    rows = [f"card {n},{n % 7},card" for n in range(5)] + [
        f"{long} {n},9,transfer" for n in range(2)
    ]
    table = "\n".join(["question,number,intent", *rows]).encode()
    told = dry(client, table, filename="asked.csv").json()["samples"]
    texts = {
        name: [one["text"] for one in told if one["label"] == name] for name in ("card", "transfer")
    }
    assert texts == {"card": ["card 0", "card 1", "card 2"], "transfer": ["é" * 200] * 2}


def test_masks_of_what_the_dataset_has_are_not_appended(client: httpx.Client) -> None:
    dataset = made(client, zipped({f"{name}/{at}.png": png(at + 9 * (name == "b"))
                                   for name in "ab" for at in range(2)}))["id"]  # fmt: skip
    sent = zipped({"a/0_mask.png": png(30), "b/1_mask.png": png(31), "b/2.png": png(32)})
    answer = send(client, sent, to=f"{DATASETS}/{dataset}/examples?validate_only=true")
    assert answer.json()["num_examples"] == 5
    assert "2 picture(s) are called as" in answer.json()["problems"][0]["message"]
