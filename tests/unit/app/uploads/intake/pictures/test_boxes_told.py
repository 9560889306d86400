"""That labels are those of boxes is told of lists whose boxes are not cut out, too."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.archives import png, zipped
from tests.unit.app.uploads.intake.conftest import Take

BOX = {"left": 1, "top": 1, "width": 2, "height": 2, "class_id": 0}


def vertex(name: str, label: str) -> dict[str, Any]:
    boxes = [{"displayName": label, "xMin": 0.1}]
    return {"imageGcsUri": f"gs://b/{name}", "boundingBoxAnnotations": boxes}


def vertex_whole(name: str, label: str) -> dict[str, Any]:
    whole = {"displayName": label}
    return {**vertex(name, label), "classificationAnnotation": whole}


def azure(name: str, label: str) -> dict[str, Any]:
    return {"image_url": f"azureml://x/{name}", "label": [{"label": label, "topX": 0.1}]}


def azure_whole(name: str, label: str) -> dict[str, Any]:
    return {"image_url": f"azureml://x/{name}", "label": label}


def ground_truth(name: str, label: str) -> dict[str, Any]:
    about = {"class-map": {"0": label}, "type": "groundtruth/object-detection"}
    return {"source-ref": f"s3://b/{name}", "k": {"annotations": [BOX]}, "k-metadata": about}


@pytest.mark.parametrize(
    ("form", "suffix", "boxed"),
    [
        (vertex, "jsonl", True),
        (vertex_whole, "jsonl", False),
        (azure, "jsonl", True),
        (azure_whole, "jsonl", False),
        (ground_truth, "manifest", True),
    ],
)
def test_it_is_told_once(take: Take, form: Any, suffix: str, boxed: bool) -> None:
    said = [("1.png", "cat"), ("2.png", "dog")]
    files = {name: png(at) for at, (name, _) in enumerate(said)}
    lines = "\n".join(json.dumps(form(*one)) for one in said).encode()
    built = take(zipped({**files, f"list.{suffix}": lines}))
    assert [(one.path, one.label) for one in built.examples] == said
    told = [one.message for one in built.problems if one.code == "boxes_whole"]
    assert ["2 picture(s)" in one for one in told] == [True] * boxed
