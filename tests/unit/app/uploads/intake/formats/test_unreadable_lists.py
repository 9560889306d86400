"""Lists that cannot be read, or not whole: folders' names are never taken in their place."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from app.core.errors import HeadstartError
from app.uploads.intake import IntakeOptions
from tests.archives import zipped
from tests.unit.app.uploads.intake.conftest import Take
from tests.unit.app.uploads.intake.formats import exports
from tests.unit.app.uploads.intake.formats.exports import BOXED, CLASSES, LABELS, WHOLE, Files

Refused = Callable[..., HeadstartError]
JUDGED = IntakeOptions(label_mode=None)
NAMES = list(LABELS)


def in_batches(files: Files, folders: tuple[str, str] = ("batch_1", "batch_2")) -> dict[str, bytes]:
    """The same with the pictures in two folders that are no classes."""
    return {
        (f"{folders[int(name[2]) // 3]}/{name}" if name in LABELS else path): data
        for path, data in files.items()
        for name in [path.rpartition("/")[2]]
    }


def labels(built: Any) -> dict[str, str]:
    return {one.path.rpartition("/")[2]: one.label for one in built.examples}


def in_place_of(files: Files, name: str, data: bytes | Callable[[bytes], bytes]) -> Files:
    found = next(path for path in files if path.endswith(name))
    return {**files, found: data if isinstance(data, bytes) else data(files[found])}


def swapped(before: bytes, after: bytes) -> Callable[[bytes], bytes]:
    def swap(data: bytes) -> bytes:
        assert before in data
        return data.replace(before, after, 1)

    return swap


TEXTS = exports.table("{name},{label}", "filename,label").replace(b"dog", b"M\xe4use")
DAMAGED: Mapping[str, tuple[Files, str]] = {
    "yolo, one line": (
        in_place_of(BOXED["yolo, classes.txt"], "im3.txt", b"0 0.5 0.5 0.2 0.2\n1 0.5 0.5 a b\n"),
        "labels/im3.txt, line 2",
    ),
    "voc, one file": (in_place_of(BOXED["voc"], "im3.xml", b"<annotation><br"), "im3.xml: it is"),
    "voc, the first": (in_place_of(BOXED["voc"], "im0.xml", b"\0\1\2"), "im0.xml: it is no XML"),
    "labelme, the first": (in_place_of(BOXED["labelme"], "im0.json", b"{"), "im0.json is not"),
    "webdataset, one": (in_place_of(WHOLE["webdataset, json"], "im3.json", b"{"), "im3.json is"),
    "coco": (
        in_place_of(
            BOXED["coco under another name"],
            "my_export.json",
            swapped(b'"category_id": 1', b'"category_id": 9'),
        ),
        "category 9",
    ),
    "cvat": (in_place_of(BOXED["cvat, boxes"], ".xml", swapped(b"</image>", b"")), "no XML"),
    "datumaro": (
        in_place_of(
            BOXED["datumaro, boxes"], "default.json", swapped(b'"label_id": 1', b'"label_id": 7')
        ),
        "item 2",
    ),
    "create ml": (
        in_place_of(BOXED["create ml"], "createml.json", swapped(b'"label": "dog"', b'"l": 1')),
        "element 2",
    ),
    "fiftyone": (
        in_place_of(WHOLE["fiftyone"], "labels.json", swapped(b'"im3": 1', b'"im3": 5')),
        "`classes`",
    ),
    "azure": (in_place_of(WHOLE["azure ml"], ".jsonl", swapped(b'{"image_url"', b"{")), "row 1"),
    "vertex": (
        in_place_of(WHOLE["vertex, jsonl"], ".jsonl", swapped(b'"displayName"', b'"name"')),
        "row 1",
    ),
    "ground truth": (
        in_place_of(WHOLE["ground truth"], ".manifest", swapped(b'"kind-metadata"', b"}{")),
        "row 1",
    ),
    "json-min": (
        in_place_of(WHOLE["label studio, json-min"], "p.json", swapped(b'"choice": "dog"', b'"')),
        "p.json",
    ),
    "csv of another encoding": ({**exports.pictures("i/"), "labels.csv": TEXTS}, "encoding"),
    "csv with an open quote": (
        {
            **exports.pictures("i/"),
            "labels.csv": exports.table("{name},{label}", "file,label").replace(b",dog", b',"dog'),
        },
        "labels.csv, row 3",
    ),
    "text list of other pictures": (
        {**exports.pictures("i/"), "labels.csv": exports.table("x{at}.png,{label}", "file,label")},
        "x0.png",
    ),
    "names without ending": (
        {**exports.pictures("i/"), "labels.txt": exports.table("{stem}={label}")},
        "labels.txt",
    ),
    "another ending": (
        {**exports.pictures("i/"), "labels.dat": exports.table("{name}:{label}")},
        "labels.dat",
    ),
    "a pickle": (
        {**exports.pictures("i/"), "train.pkl": b"\x80\x04" + exports.table("{name}{label}")},
        "pickle",
    ),
    "captions": (
        {
            **exports.pictures("i/"),
            **exports.stems("i/", ".txt", lambda n, la: b"a " + la.encode()),
        },
        ".txt file beside each picture",
    ),
}


@pytest.mark.parametrize(("files", "word"), DAMAGED.values(), ids=DAMAGED)
def test_folders_that_are_no_classes_do_not_stand_in(
    refused: Refused, files: Files, word: str
) -> None:
    error = refused(zipped(in_batches(files)), options=JUDGED)
    assert word in error.message


SPOKEN = {name: case for name, case in DAMAGED.items() if name not in ("captions", "a pickle")}
SPOKEN = {name: case for name, case in SPOKEN.items() if not name.startswith(("names", "another"))}


@pytest.mark.parametrize(("files", "word"), SPOKEN.values(), ids=SPOKEN)
def test_beside_folders_that_may_be_classes_it_is_told(
    take: Take, refused: Refused, files: Files, word: str
) -> None:
    archive = zipped(in_batches(files, ("north", "south")))
    try:
        told = [one.message for one in take(archive, options=JUDGED).problems]
    except HeadstartError as error:
        told = [error.message]
    assert any(word in one for one in told)


def manifest(*rows: Mapping[str, Any]) -> dict[str, bytes]:
    told = [
        {"source-ref": f"s3://bucket/{name}", **row} for name, row in zip(NAMES, rows, strict=True)
    ]
    return in_batches({**exports.pictures("x/"), "output.manifest": exports.lines(*told)})


def job(name: str, label: int) -> dict[str, Any]:
    about = {"class-name": CLASSES[label], "type": "groundtruth/image-classification"}
    return {name: label, f"{name}-metadata": about}


FAILED = {"j-metadata": {"retry-count": 3, "failure-reason": "ClientError"}}


class TestGroundTruth:
    @pytest.mark.parametrize("at", [0, 3])
    def test_what_a_job_failed_at_is_left_out(self, take: Take, at: int) -> None:
        rows = [FAILED if one == at else job("j", one % 2) for one in range(6)]
        built = take(zipped(manifest(*rows)), options=JUDGED)
        assert labels(built) == {name: LABELS[name] for name in NAMES if name != NAMES[at]}
        assert ("unlabelled", f"output.manifest:{at + 1}") in [
            (one.code, one.path) for one in built.problems
        ]

    @pytest.mark.parametrize("name", ["class", "label"])
    def test_what_no_job_has_made_has_its_label_beside(
        self, take: Take, refused: Refused, name: str
    ) -> None:
        rows: list[dict[str, Any]] = [{name: CLASSES[at % 2]} for at in range(6)]
        mixed = refused(zipped(manifest(*rows[:5], job("j", 1))), options=JUDGED)
        assert "keep them apart" in mixed.message
        both = [{"class": "cat", "category": "dog"} for _ in range(6)]
        assert "label_column" in refused(zipped(manifest(*both)), options=JUDGED).message
        assert labels(take(zipped(manifest(*rows)), options=JUDGED)) == LABELS

    def test_several_jobs_are_asked_about(self, take: Take, refused: Refused) -> None:
        rows = [job("old", 1 - at % 2) | job("new", at % 2) for at in range(6)]
        error = refused(zipped(manifest(*rows)), options=JUDGED)
        assert "`old`, `new`" in error.message
        assert "label_column" in error.message
        options = IntakeOptions(label_mode=None, columns={"label": "new"})
        assert labels(take(zipped(manifest(*rows)), options=options)) == LABELS

    def test_a_job_that_saw_some_labels_those(self, take: Take) -> None:
        rows = [job("old", 0) | (job("new", at % 2) if at else {}) for at in range(6)]
        options = IntakeOptions(label_mode=None, columns={"label": "new"})
        assert len(take(zipped(manifest(*rows)), options=options).examples) == 5

    def test_a_kind_of_label_that_is_not_read_is_named(self, refused: Refused) -> None:
        about = {"type": "groundtruth/semantic-segmentation"}
        rows = [{"j-ref": "s3://x/y.png", "j-ref-metadata": about}] * 6
        error = refused(zipped(manifest(*rows)), options=JUDGED)
        assert "semantic-segmentation" in error.message


class TestYoloNames:
    def files(self, **more: bytes) -> dict[str, bytes]:
        lines = exports.stems("labels/", ".txt", lambda _, label: exports.yolo(label))
        names = {name.replace("_", "."): data for name, data in more.items()}
        return {**exports.pictures("images/"), **lines, **names}

    def test_files_that_disagree_are_refused(self, refused: Refused) -> None:
        files = self.files(classes_txt=b"dog\ncat\n", data_yaml=exports.DATA_YAML)
        error = refused(zipped(files), options=JUDGED)
        assert "classes.txt" in error.message
        assert "data.yaml" in error.message

    @pytest.mark.parametrize("told", [exports.BLOCK_YAML, b"names: {0: cat, 1: 'dog'}\n"])
    def test_files_that_agree_are_read(self, take: Take, told: bytes) -> None:
        files = self.files(classes_txt=b"cat\ndog\n", data_yaml=told)
        built = take(zipped(files), options=JUDGED)
        assert labels(built) == LABELS
        assert not any(".yaml" in one.message for one in built.problems)

    @pytest.mark.parametrize(
        "names", [b"names: [cat]\n", b"names: {0: cat, 2: cow}\n", b"names:\n  0: cat\n  2: cow\n"]
    )
    def test_a_class_without_a_name_is_refused(self, refused: Refused, names: bytes) -> None:
        error = refused(zipped(self.files(data_yaml=names)), options=JUDGED)
        assert "labels/im1.txt, line 1: class 1 has no name in data.yaml" in error.message

    def test_a_number_of_two_names_is_refused(self, refused: Refused) -> None:
        files = self.files(data_yaml=b"names:\n  0: cat\n  1: dog\n  1: cow\n")
        assert "class 1 is 'dog'" in refused(zipped(files), options=JUDGED).message


def test_damaged_lists_beside_one_that_is_read_are_told(take: Take) -> None:
    listed = exports.table("{name},{label}", "filename,label")
    files = {**exports.pictures("i/"), "labels.csv": listed, "old.csv": TEXTS}
    built = take(zipped(in_batches(files)), options=JUDGED)
    assert labels(built) == LABELS
    assert any("old.csv" in one.message and "encoding" in one.message for one in built.problems)


def test_files_that_only_mention_pictures_leave_classes_alone(take: Take) -> None:
    notes = json.dumps({"seen": NAMES}).encode()
    files = {f"{LABELS[name]}/{name}": exports.picture(name) for name in NAMES}
    built = take(zipped({**files, "notes.json": notes, "MD5SUMS": notes}), options=JUDGED)
    assert labels(built) == LABELS
