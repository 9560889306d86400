"""Networks that give NaN or infinite numbers: of everything, or of black pictures."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from tests.e2e.conftest import served

WAIT = {"Prefer": "wait=60"}
RUNNING = ("validating_files", "queued", "running")
pytestmark = pytest.mark.timeout(600)


@dataclass(frozen=True)
class Place:
    """A service, and the folder in which it looks for networks."""

    client: httpx.Client
    weights_dir: Path

    def settled(self, path: str, started: dict[str, Any], running: tuple[str, ...]) -> Any:
        """The dataset or job once it is over."""
        told = started
        while told.get("status") in running:
            told = self.client.get(f"{path}/{started['id']}", headers=WAIT).json()
        return told

    def uploaded(self, levels: dict[str, list[int]], backbone: str) -> Any:
        """A dataset of flat pictures of these levels by class."""
        file = {"file": ("flat.zip", zipped(levels))}
        sent = {"backbone": backbone}
        told = self.client.post("/v1/datasets", files=file, data=sent, headers=WAIT).json()
        return self.settled("/v1/datasets", told, ("processing",))

    def embedded(self, backbone: str, *levels: int) -> httpx.Response:
        """The answer for flat pictures."""
        asked = {"model": backbone, "input": [{"image": data_url(level)} for level in levels]}
        while (told := self.client.post("/v1/embeddings", json=asked)).status_code == 504:
            pass
        return told


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    weights_dir = tmp_path_factory.mktemp("weights")
    graph(weights_dir, "nowhere", np.full((3, 8), np.nan, np.float32))
    graph(weights_dir, "sometimes", np.ones((3, 8), np.float32), "Log")
    with served(tmp_path_factory.mktemp("data"), weights_dir) as client:
        yield Place(client, weights_dir)


def graph(folder: Path, name: str, matrix: np.ndarray[Any, Any], last: str = "Identity") -> None:
    """The mean colour times a matrix, through one more operation."""
    nodes = [
        helper.make_node("GlobalAveragePool", ["x"], ["p"]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("MatMul", ["f", "w"], ["z"]),
        helper.make_node(last, ["z"], ["y"]),
    ]
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 3, 64, 64])
    gives = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 8])
    made = helper.make_graph(nodes, "g", [given], [gives], [numpy_helper.from_array(matrix, "w")])
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    onnx.save(model, folder / f"{name}.onnx")
    (folder / f"{name}.json").write_text('{"mean": [0, 0, 0], "std": [1, 1, 1]}')


def png(level: int) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (64, 64), (level, level // 2, level // 3)).save(out, "PNG")
    return out.getvalue()


def data_url(level: int) -> str:
    from base64 import b64encode

    return "data:image/png;base64," + b64encode(png(level)).decode()


def zipped(levels: dict[str, list[int]]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        for label, some in levels.items():
            for level in some:
                made.writestr(f"{label}/{level}.png", png(level))
    return out.getvalue()


def test_a_network_that_gives_no_numbers_is_refused_where_it_is_asked(place: Place) -> None:
    dataset = place.uploaded({"dark": [20, 30, 40], "light": [200, 210, 220]}, "nowhere")
    assert (dataset["status"], dataset["error"]["code"]) == ("failed", "weights_invalid"), dataset
    answer = place.embedded("nowhere", 30)
    assert answer.status_code in (422, 503), answer.text
    assert answer.json()["code"] == "weights_invalid"


def test_a_job_on_it_says_so_too(place: Place) -> None:
    dataset = place.uploaded({"dark": [20, 30, 40], "light": [200, 210, 220]}, "sometimes")
    assert dataset["status"] == "ready", dataset
    asked = {"model": "nowhere", "training_file": dataset["id"]}
    job = place.client.post("/v1/fine_tuning/jobs", json=asked, headers=WAIT).json()
    job = place.settled("/v1/fine_tuning/jobs", job, RUNNING)
    assert (job["status"], job["error"]["code"]) == ("failed", "weights_invalid"), job


def test_a_picture_that_it_gives_no_numbers_of_is_a_counted_problem(place: Place) -> None:
    levels = {"dark": [0, 20, 30, 40, 50], "light": [200, 210, 220, 230]}
    dataset = place.uploaded(levels, "sometimes")
    assert dataset["status"] == "ready", dataset
    problems = place.client.get(f"/v1/datasets/{dataset['id']}/problems").json()["data"]
    told = [one for one in problems if one["code"] == "not_finite"]
    assert [one["path"] for one in told] == ["dark/0.png"], problems
    asked = {"model": "sometimes", "training_file": dataset["id"]}
    job = place.client.post("/v1/fine_tuning/jobs", json=asked, headers=WAIT).json()
    job = place.settled("/v1/fine_tuning/jobs", job, RUNNING)
    assert job["status"] == "succeeded", job
    path = f"/v1/models/{job['fine_tuned_model']}/predictions"
    files = [("files", (f"{level}.png", png(level))) for level in (210, 0)]
    good, bad = place.client.post(path, files=files).json()["data"]
    assert good["label"] == "light"
    assert bad["error"]["code"] == "not_finite"
    answer = place.embedded("sometimes", 0)
    assert (answer.status_code, answer.json()["code"]) == (422, "not_finite")
