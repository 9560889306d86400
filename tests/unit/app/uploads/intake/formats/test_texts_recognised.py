"""Texts from other tools and files of other kinds: read as they are meant, or told by name."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import feather

from app.core.errors import HeadstartError
from app.uploads.intake import Built, IntakeOptions
from tests.archives import folders, png, tarred, zipped
from tests.unit.app.uploads.intake.conftest import Take

Refused = Callable[..., HeadstartError]
JUDGED = IntakeOptions(label_mode=None)
SAID = [("good", "pos"), ("bad", "neg"), ("fine", "pos")]


def rows(make: Callable[[str, str], dict[str, Any]]) -> bytes:
    return "\n".join(json.dumps(make(text, label)) for text, label in SAID).encode()


def found(built: Built) -> list[tuple[str, str]]:
    packed = built.pack_path.read_bytes()
    cut = [packed[one.offset : one.offset + one.length].decode() for one in built.examples]
    return [(text, one.label) for text, one in zip(cut, built.examples, strict=True)]


def annotation(label: str) -> dict[str, Any]:
    return {"class-name": label, "confidence": 0.9, "human-annotated": "yes"}


FASTTEXT = "\n".join(f"__label__{label} {text}" for text, label in SAID).encode()
READ: dict[str, tuple[bytes, str]] = {
    "fasttext": (FASTTEXT, "train.txt"),
    "fasttext, packed": (gzip.compress(FASTTEXT), "train.ft.txt.gz"),
    "fasttext, without a name": (FASTTEXT, "upload"),
    "fasttext as csv": (
        "\n".join(f"__label__{label} , {text}" for text, label in SAID).encode(),
        "train.csv",
    ),
    "fasttext in a zip": (zipped({"train.txt": FASTTEXT}), "x.zip"),
    "prodigy, choice": (
        rows(
            lambda text, label: {
                "text": text,
                "options": [{"id": "pos"}, {"id": "neg"}],
                "accept": [label],
                "answer": "accept",
            }
        ),
        "x.jsonl",
    ),
    "prodigy, choice by number": (
        rows(
            lambda text, label: {
                "text": text,
                "options": [{"id": 0, "text": "pos"}, {"id": 1, "text": "neg"}],
                "accept": [["pos", "neg"].index(label)],
                "answer": "accept",
            }
        ),
        "x.jsonl",
    ),
    "spacy cats": (
        rows(lambda text, label: {"text": text, "cats": {label: 1.0, f"not {label}": 0.0}}),
        "x.jsonl",
    ),
    "vertex": (
        rows(
            lambda text, label: {
                "textContent": text,
                "classificationAnnotation": {"displayName": label},
                "dataItemResourceLabels": {"aiplatform.googleapis.com/ml_use": "training"},
            }
        ),
        "x.jsonl",
    ),
    "ground truth": (
        rows(
            lambda text, label: {
                "source": text,
                "mood": 1,
                "mood-metadata": annotation(label),
            }
        ),
        "output.manifest",
    ),
    "argilla": (
        rows(
            lambda text, label: {
                "text": text,
                "label.responses": [label],
                "label.responses.status": ["submitted"],
            }
        ),
        "x.jsonl",
    ),
    "label studio, json-min": (
        json.dumps([{"id": 1, "text": t, "sentiment": la} for t, la in SAID]).encode(),
        "x.json",
    ),
    "doccano": (rows(lambda text, label: {"id": 1, "data": text, "label": [label]}), "x.jsonl"),
    "ag news": (
        ("Class Index,Title\n" + "\n".join(f"{label},{text}" for text, label in SAID)).encode(),
        "train.csv",
    ),
}


@pytest.mark.parametrize(
    ("responses", "states", "more", "label"),
    [
        (["b"], ["discarded"], {}, None),
        (["b"], ["draft"], {}, None),
        (["a", "b"], ["discarded", "submitted"], {}, "b"),
        (["a", "b"], ["draft", "submitted"], {"status": "pending"}, "b"),
        (["a", "b"], ["submitted", "submitted"], {}, None),
        (["b", "b"], ["submitted", "submitted"], {"status": "completed"}, "b"),
        (["b"], ["submitted"], {"status": "discarded"}, None),
        (["b"], None, {}, "b"),
        (None, None, {}, None),
    ],
)
def test_of_argilla_only_what_was_submitted_counts(
    take: Take, responses: Any, states: Any, more: dict[str, str], label: str | None
) -> None:
    plain = [
        {"text": one, "label.responses": [one], "label.responses.status": ["submitted"]}
        for one in "ab"
    ]
    last = {"text": "c", "label.responses": responses, "label.responses.status": states, **more}
    data = "\n".join(json.dumps(one) for one in [*plain, last])
    built = take(data.encode(), "x.jsonl", options=JUDGED)
    assert [one.label for one in built.examples] == ["a", "b", *([label] if label else [])]
    assert [one.code for one in built.problems] == ([] if label else ["unlabelled"])


@pytest.mark.parametrize(("data", "name"), READ.values(), ids=READ)
def test_texts_of_other_tools_are_read(take: Take, data: bytes, name: str) -> None:
    built = take(data, name, options=JUDGED)
    assert found(built) == SAID
    assert built.label_mode == "single_label"


def test_several_labels_of_other_tools_are_several(take: Take) -> None:
    for data, name in (
        (b"__label__a __label__b x\n__label__a y\n__label__b z\n", "t.txt"),
        (
            json.dumps(
                [
                    {"text": "x", "choice": {"choices": ["a", "b"]}},
                    {"text": "y", "choice": "a"},
                    {"text": "z", "choice": "b"},
                ]
            ).encode(),
            "p.json",
        ),
    ):
        built = take(data, name, options=JUDGED)
        assert [one.names for one in built.examples] == [("a", "b"), ("a",), ("b",)]


def test_what_was_rejected_is_not_learned(take: Take) -> None:
    lines = [{"text": t, "accept": [la], "options": [], "answer": "accept"} for t, la in SAID]
    lines.append({"text": "hm", "accept": ["pos"], "options": [], "answer": "reject"})
    built = take("\n".join(map(json.dumps, lines)).encode(), "x.jsonl", options=JUDGED)
    assert found(built) == SAID
    assert [(one.code, one.excluded) for one in built.problems] == [("unlabelled", True)]


def _numpy() -> bytes:
    return b"\x93NUMPY\x01\x00v\x00{'descr': '|u1', 'fortran_order': False, 'shape': (1,)}\n\0"


def _feather() -> bytes:
    out = io.BytesIO()
    feather.write_feather(pyarrow.table({"text": ["a"]}), out)
    return out.getvalue()


def _arrow() -> bytes:
    out = io.BytesIO()
    table = pyarrow.table({"text": ["a"], "label": [1]})
    with pyarrow.ipc.new_stream(out, table.schema) as writer:
        writer.write_table(table)
    return out.getvalue()


def _tfrecord() -> bytes:
    return (20).to_bytes(8, "little") + b"\1\2\3\4" + b"\x0a\x12" + bytes(18) + b"\1\2\3\4"


PICKLE = pickle.dumps({"data": [1, 2], "labels": [0, 1]})
TOLD: dict[str, tuple[bytes, str, str]] = {
    "pickle": (PICKLE, "data.pkl", "never is"),
    "pickle of another name": (PICKLE, "data_batch_1", "pickle"),
    "cifar": (
        tarred({"cifar-10-batches-py/data_batch_1": PICKLE, "cifar-10-batches-py/r.html": b"x"}),
        "cifar-10-python.tar",
        "pickle",
    ),
    "npy": (_numpy(), "x.npy", "NumPy"),
    "npz": (zipped({"x_train.npy": _numpy(), "y_train.npy": _numpy()}), "mnist.npz", "NumPy"),
    "npz in a zip": (zipped({"data/x.npy": _numpy()}), "x.zip", "NumPy"),
    "mnist": (
        gzip.compress(b"\0\0\x08\x03" + bytes(60)),
        "train-images-idx3-ubyte.gz",
        "MNIST",
    ),
    "hdf5": (b"\x89HDF\r\n\x1a\n" + bytes(50), "x.h5", "HDF5"),
    "mat": (b"MATLAB 5.0 MAT-file" + bytes(120), "x.mat", "MATLAB"),
    "tfrecord": (_tfrecord(), "train.tfrecord-00000-of-00010", "TFRecords"),
    "tfrecord of another name": (_tfrecord(), "train", "TFRecords"),
    "tfrecords in a zip": (zipped({"a/train.tfrecord": _tfrecord()}), "x.zip", "TFRecords"),
    "feather": (_feather(), "x.feather", "Parquet"),
    "arrow": (_arrow(), "data-00000-of-00001.arrow", "Parquet"),
    "save_to_disk": (
        zipped(
            {
                "ds/data-00000-of-00001.arrow": _arrow(),
                "ds/dataset_info.json": b'{"features": {"text": {"dtype": "string"}}}',
                "ds/state.json": b'{"_data_files": [{"filename": "data-00000-of-00001.arrow"}]}',
            }
        ),
        "ds.zip",
        "Parquet",
    ),
    "orc": (b"ORC" + bytes(40), "x.orc", "Parquet"),
    "arff": (b"% iris\n@RELATION iris\n@ATTRIBUTE a NUMERIC\n@DATA\n1\n", "iris.arff", "ARFF"),
    "libsvm": (b"+1 1:0.5 3:2\n-1 2:1\n", "a9a.txt", "LIBSVM"),
    "web page": (b"\n<!DOCTYPE html><html><title>Sign in</title>", "data.zip", "web page"),
    "web page as csv": (b"<html><body>Sign in</body></html>", "data.csv", "web page"),
    "git lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "x.csv", "lfs pull"),
    "mltable": (b"paths:\n  - folder: ./x\ntransformations: []\n", "MLTable", "MLTable"),
    "pdf": (b"%PDF-1.7\n", "x.pdf", "PDF"),
    "labelbox": (
        json.dumps({"data_row": {"id": "x"}, "projects": {}}).encode(),
        "export.ndjson",
        "Labelbox",
    ),
    "preferences": (
        json.dumps({"input": {}, "preferred_output": [], "non_preferred_output": []}).encode(),
        "dpo.jsonl",
        "preferred",
    ),
    "doccano's numbers": (
        json.dumps({"id": 1, "text": "a", "annotations": [{"label": 3, "user": 1}]}).encode(),
        "x.jsonl",
        "doccano",
    ),
    "argilla's records": (
        json.dumps([{"id": 1, "fields": {"text": "a"}, "responses": {}}]).encode(),
        "x.json",
        "Argilla",
    ),
    "pictures elsewhere": (
        rows(
            lambda text, label: {
                "imageGcsUri": f"gs://x/{text}.jpg",
                "classificationAnnotation": {"displayName": label},
            }
        ),
        "import.jsonl",
        "send a zip",
    ),
}


@pytest.mark.parametrize(("data", "name", "word"), TOLD.values(), ids=TOLD)
def test_what_is_not_read_is_told_by_name(
    refused: Refused, data: bytes, name: str, word: str
) -> None:
    error = refused(data, name, options=JUDGED)
    assert word in error.message
    assert len(error.message) < 400


def test_databases_are_told(refused: Refused, tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE a (b)")
    connection.close()
    assert "SQLite" in refused(path.read_bytes(), "x.db").message


def test_marks_of_passages_are_told(refused: Refused) -> None:
    files = {"a.txt": b"Ada met Bob", "a.ann": b"T1\tPER 0 3\tAda\n", "b.txt": b"x", "b.ann": b""}
    error = refused(zipped(files))
    assert any("brat" in one["message"] for one in error.extra["errors"])


def test_pointers_of_git_lfs_are_told_one_by_one(take: Take) -> None:
    files = folders({"a": 20, "b": 20}) | {"a/x.png": b"version https://git-lfs.github.com/spec/v1"}
    built = take(zipped(files))
    (problem,) = [one for one in built.problems if one.excluded]
    assert (problem.code, problem.path) == ("unsupported_image_format", "a/x.png")
    assert "git lfs pull" in problem.message


def test_arrays_beside_pictures_are_left_aside(take: Take) -> None:
    files = {**folders({"a": 2, "b": 2}), "embeddings.npy": _numpy(), "m.pkl": PICKLE}
    assert len(take(zipped(files)).examples) == 4


def test_a_picture_is_no_record(take: Take) -> None:
    """A PNG's first bytes are no protocol buffer's, whatever it is called."""
    assert len(take(zipped({"a/0": png(1), "b/1": png(2)})).examples) == 2


@pytest.mark.parametrize(
    ("kind", "value"),
    [("taxonomy", {"taxonomy": [["a", "b"]]}), ("rating", {"rating": 4}), ("labels", {"start": 0})],
)
def test_answers_of_other_kinds_are_named(take: Take, kind: str, value: dict[str, Any]) -> None:
    def task(text: str, kind: str, value: dict[str, Any]) -> dict[str, Any]:
        part = {"from_name": "x", "type": kind, "value": value}
        return {"data": {"text": text}, "annotations": [{"result": [part]}]}

    tasks = [task(text, "choices", {"choices": [label]}) for text, label in SAID]
    built = take(json.dumps([*tasks, task("hm", kind, value)]).encode(), "p.json", options=JUDGED)
    assert found(built) == SAID
    (problem,) = built.problems
    assert problem.excluded
    assert repr(kind) in problem.message
