"""A version exported in each form and uploaded again is the same."""

from __future__ import annotations

import io
import json
import tarfile
from typing import Any

import httpx
import pytest

from app.uploads.printed import written
from tests.api.service import Service
from tests.api.uploading import DATASETS, code, finish, made
from tests.archives import png, zipped

pytestmark = pytest.mark.slow

TEXTS = [
    "plain",
    'a "quoted", one',
    "two\r\nlines;\tand\ttabs\rand more",
    " blanks around ",
    "é e\u0301 \ufeffmark",
    "\ufeffa mark first",
    "=1+1",
]
LABELS = ["x/y z", 'la"bel, é', ".hidden"]
IMAGE_FORMS = ["folder", "csv", "jsonl", "parquet", "coco", "label_studio"]
TEXT_FORMS = ["folder", "csv", "jsonl", "parquet", "label_studio"]


def rows(**more: str) -> list[dict[str, Any]]:
    return [
        {
            **{name: value.format(at) for name, value in more.items()},
            "label": LABELS[at % 3],
            "group": "g,1" if at < 2 else None,
            "split": ["train", "train", "train", "test", "val"][at % 5],
        }
        for at in range(7)
    ]


def lines(values: list[dict[str, Any]]) -> bytes:
    return "\n".join(json.dumps(value) for value in values).encode()


def content(
    client: httpx.Client, dataset: str
) -> list[tuple[str, str | list[str], str | None, str]]:
    """What the examples of a dataset are, in no order."""
    found = client.get(f"{DATASETS}/{dataset}/examples").json()["data"]
    told = [
        (one["sha256"], one["labels"] or one["label"], one["group"], one["split"]) for one in found
    ]
    return sorted(told, key=str)


def again(client: httpx.Client, dataset: str, form: str) -> httpx.Response:
    return client.get(f"{DATASETS}/{dataset}/versions/1/export", params={"format": form})


def round_trip(service: Service, client: httpx.Client, dataset: str, form: str) -> None:
    finish(service, dataset)
    answer = again(client, dataset, form)
    assert answer.status_code == 200
    name = answer.headers["content-disposition"].partition('filename="')[2].rstrip('"')
    back = made(client, answer.content, filename=name)
    assert content(client, back["id"]) == content(client, dataset)
    before = client.get(f"{DATASETS}/{dataset}").json()
    assert codes(back) - {"unlabelled"} == codes(before)  # negatives may be told of, and are kept
    assert back["num_negatives"] == before["num_negatives"]


def codes(dataset: dict[str, Any]) -> set[str]:
    return {one["code"] for one in dataset["problems"]}


@pytest.mark.parametrize("form", TEXT_FORMS)
def test_texts(service: Service, client: httpx.Client, form: str) -> None:
    told = [{**row, "text": text} for row, text in zip(rows(), TEXTS, strict=True)]
    dataset = made(client, lines(told), filename="t.jsonl")["id"]
    round_trip(service, client, dataset, form)


@pytest.mark.parametrize("form", IMAGE_FORMS)
def test_images(service: Service, client: httpx.Client, form: str) -> None:
    files = {f"{at}.png": png(at, width=9) for at in range(7)}
    data = zipped({**files, "metadata.jsonl": lines(rows(path="{}.png"))})
    dataset = made(client, data)["id"]
    round_trip(service, client, dataset, form)


PRINTED = ['{"label": "neg"}', "np.int64(0)", "['a', 'b']"]
"""Labels that look as if they were printed, as answers of fine-tuning files may."""


@pytest.mark.parametrize("form", TEXT_FORMS)
@pytest.mark.parametrize("name", ["label", "labels"])
def test_labels_that_look_printed(
    service: Service, client: httpx.Client, form: str, name: str
) -> None:
    told = [
        {"text": text, name: written(PRINTED[at % 3]) if name == "label" else _two(at)}
        for at, text in enumerate(TEXTS)
    ]
    dataset = made(client, lines(told), filename="t.jsonl")
    assert {one["label"] for one in dataset["classes"]} == set(PRINTED)
    round_trip(service, client, dataset["id"], form)


def _two(at: int) -> list[str]:
    return [written(PRINTED[at % 3]), written(PRINTED[(at + 1) % 3])]


@pytest.mark.parametrize("form", IMAGE_FORMS)
def test_labels_of_images_that_look_printed(
    service: Service, client: httpx.Client, form: str
) -> None:
    told = [{"path": f"{at}.png", "label": written(PRINTED[at % 3])} for at in range(7)]
    files = {f"{at}.png": png(at) for at in range(7)}
    dataset = made(client, zipped({**files, "metadata.jsonl": lines(told)}))
    round_trip(service, client, dataset["id"], form)


SEVERAL: list[list[str]] = [
    ["a, b", 'q"'],
    [],
    ["x/y z"],
    ["a, b", "x/y z", "[c]"],
    [],
    [".d"],
    ['q"'],
]


@pytest.mark.parametrize("form", TEXT_FORMS)
def test_several_labels_of_texts_or_none(service: Service, client: httpx.Client, form: str) -> None:
    told = [{**row, "text": text, "labels": labels} for row, text, labels in
            zip(unlabelled(), TEXTS, SEVERAL, strict=True)]  # fmt: skip
    dataset = made(client, lines(told), filename="t.jsonl")
    assert (dataset["label_mode"], dataset["num_negatives"]) == ("multi_label", 2)
    round_trip(service, client, dataset["id"], form)


@pytest.mark.parametrize("form", IMAGE_FORMS)
def test_several_labels_of_images_or_none(
    service: Service, client: httpx.Client, form: str
) -> None:
    told = [{**row, "path": f"{at}.png", "labels": labels} for at, (row, labels) in
            enumerate(zip(unlabelled(), SEVERAL, strict=True))]  # fmt: skip
    files = {f"{at}.png": png(at) for at in range(7)}
    dataset = made(client, zipped({**files, "metadata.jsonl": lines(told)}))
    assert (dataset["label_mode"], dataset["num_negatives"]) == ("multi_label", 2)
    round_trip(service, client, dataset["id"], form)


def unlabelled() -> list[dict[str, Any]]:
    return [{name: row[name] for name in ("group", "split")} for row in rows()]


def test_folders_say_split_and_label(service: Service, client: httpx.Client) -> None:
    dataset = made(client)["id"]
    finish(service, dataset)
    with tarfile.open(fileobj=io.BytesIO(again(client, dataset, "folder").content)) as tar:
        folders = {name.rpartition("/")[0] for name in tar.getnames()}
    assert folders == {"", "train/a", "train/b"}


def test_what_cannot_be_exported_is_said(service: Service, client: httpx.Client) -> None:
    dataset = made(client, lines([{"text": t, "label": t} for t in "ab"]), filename="t.jsonl")["id"]
    assert code(again(client, dataset, "csv")) == (409, "not_ready")
    finish(service, dataset)
    assert code(again(client, dataset, "coco")) == (422, "export_unsupported")
    assert again(client, dataset, "nonsense").status_code == 422
    assert client.get(f"{DATASETS}/{dataset}/versions/9/export?format=csv").status_code == 404


def test_another_organisation_exports_nothing(
    service: Service, client: httpx.Client, other_client: httpx.Client
) -> None:
    dataset = made(client)["id"]
    finish(service, dataset)
    assert again(other_client, dataset, "jsonl").status_code == 404
