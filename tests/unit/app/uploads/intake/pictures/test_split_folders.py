"""Folders of splits below a table or list that says the labels, and no splits."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from app.uploads.intake import Built, IntakeOptions
from tests.archives import png, zipped
from tests.unit.app.uploads.intake.conftest import Take

TREES = {
    "split first": "{split}/{label}/{at}.png",
    "splits alone": "{split}/{at}.png",
    "split below": "images/{split}/{at}.png",
    "class first": "{label}/{split}/{at}.png",
    "several trees": "{tree}/{split}/{label}/{at}.png",
    "patients": "{split}/XR/patient{tree}/study1_{label}/{at}.png",
    "named": "seg_{split}/{at}.png",
    "named by what is inside": "{split}-{label}/shared/{at}.png",
}
SPLITS = ("train", "train", "train", "test") * 2
LABELS = ("neg", "pos", "pos", "pos", "pos", "neg", "neg", "neg")
TREE = ("a", "b", "b", "a", "a", "b", "b", "b")


def files(form: str) -> dict[str, bytes]:
    said = zip(SPLITS, LABELS, TREE, strict=True)
    return {
        form.format(split=split, label=label, tree=tree, at=at): png(at)
        for at, (split, label, tree) in enumerate(said)
    }


def as_csv(paths: list[str]) -> bytes:
    return ("path,label\n" + "".join(map("{},{}\n".format, paths, LABELS))).encode()


def as_jsonl(paths: list[str]) -> bytes:
    told = [{"file_name": one, "label": label} for one, label in zip(paths, LABELS, strict=True)]
    return "\n".join(map(json.dumps, told)).encode()


def as_coco(paths: list[str]) -> bytes:
    told = {
        "images": [{"id": at, "file_name": path} for at, path in enumerate(paths)],
        "categories": [{"id": 0, "name": "neg"}, {"id": 1, "name": "pos"}],
        "annotations": [
            {"id": at, "image_id": at, "category_id": int(label == "pos"), "bbox": [0, 0, 2, 2]}
            for at, label in enumerate(LABELS)
        ],
    }
    return json.dumps(told).encode()


TABLES = {
    "metadata.csv": as_csv,
    "metadata.jsonl": as_jsonl,
    "metadata.tsv": lambda paths: as_csv(paths).replace(b",", b"\t"),
    "annotations.json": as_coco,
}


def splits(built: Built) -> Mapping[int, str]:
    names = {int(one.path.rpartition("/")[2].removesuffix(".png")): one for one in built.examples}
    assert {at: one.label for at, one in names.items()} == dict(enumerate(LABELS))
    return {at: one.split for at, one in names.items()}


@pytest.mark.parametrize("bare", [False, True])
@pytest.mark.parametrize("form", TREES.values(), ids=TREES)
@pytest.mark.parametrize("table", TABLES)
def test_what_rows_do_not_say_holds(take: Take, table: str, form: str, *, bare: bool) -> None:
    members = files(form)
    paths = [one.rpartition("/")[2] if bare else one for one in members]
    built = take(
        zipped(members | {table: TABLES[table](paths)}), options=IntakeOptions(label_mode=None)
    )
    assert splits(built) == dict(enumerate(SPLITS))
    assert any("of their folder" in one.message for one in built.problems)


def test_a_row_goes_before_its_folder(take: Take) -> None:
    members = files(TREES["splits alone"])
    said = "".join(
        f"{path},{label},{'val' if at == 3 else ''}\n"
        for at, (path, label) in enumerate(zip(members, LABELS, strict=True))
    )
    built = take(zipped(members | {"metadata.csv": b"path,label,split\n" + said.encode()}))
    assert splits(built) == dict(enumerate(SPLITS)) | {3: "val"}


@pytest.mark.parametrize("table", ["metadata.csv", "labels.csv"])
@pytest.mark.parametrize("form", ["{}/{}.png", "deep/{}/{}.png"])
def test_a_folder_called_as_its_files_labels_is_a_class(take: Take, table: str, form: str) -> None:
    told = {
        form.format(("control", "test")[at % 2], at): ("control", "test")[at % 2] for at in range(6)
    }
    rows = "path,label\n" + "".join(f"{path},{label}\n" for path, label in told.items())
    members = {path: png(at) for at, path in enumerate(told)}
    built = take(zipped(members | {table: rows.encode()}))
    assert {one.label for one in built.examples} == {"control", "test"}
    assert not built.names_splits


@pytest.mark.parametrize("form", ["train/{}.png", "{}/test/0{}.png", "train_station/{}.png"])
def test_folders_that_hold_nothing_out_leave_splits_to_be_drawn(take: Take, form: str) -> None:
    members = {form.format(at, at): png(at) for at in range(4)} | {"else/9.png": png(9)}
    rows = "".join(f"{path},{'ab'[at % 2]}\n" for at, path in enumerate(members))
    built = take(zipped(members | {"metadata.csv": b"path,label\n" + rows.encode()}))
    assert len(built.examples) == 5
    assert not built.names_splits


def test_texts_have_the_splits_of_their_folders(take: Take) -> None:
    members = {f"{split}/{at}.txt": f"text {at}".encode() for at, split in enumerate(SPLITS)}
    built = take(zipped(members | {"metadata.csv": as_csv(list(members))}), modality="text")
    assert [one.split for one in built.examples] == list(SPLITS)
