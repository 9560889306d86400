"""Graph files of other people's are backbones: TensorFlow's real ones, and ONNX of our own."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from app.core.errors import HeadstartError
from app.infra import weights
from tests.unit.worker.ml.backbones.sources.kit import noise
from worker.ml.backbones.sources import described, fingerprint, image_network
from worker.ml.engines import load_engine

pytestmark = pytest.mark.slow

REAL = {
    "mobilenet_v1_1.0_224_quant_embedding_extractor": 1024,
    "mobilenet_v2_1.0_224_inat_bird_quant": 1280,
    "mobilenet_v2_1.0_224_quant": 1280,
}


def engine(name: str, folder: Path) -> Any:
    return load_engine(name, folder, precision="f32")


@pytest.mark.parametrize("name", REAL)
def test_real_ones_give_what_their_last_layer_reads(name: str, shared_weights: Path) -> None:
    loaded = engine(name, shared_weights)
    assert (loaded.spec.source, loaded.spec.dim) == ("graph", REAL[name])
    assert (loaded.spec.input_size, loaded.spec.fixed_size) == (224, True)
    vectors = loaded.embed(noise(224))
    assert vectors.shape == (3, REAL[name])
    assert np.abs(loaded.embed(noise(224)[:1]) - vectors[:1]).max() < 1e-3
    assert vectors.std(0).max() > 0.01
    assert vectors.min() >= 0  # what a relu gives, pooled: no scores


class Small(nn.Module):
    """Floats [n, 3, 32, 32] → scores of 5 classes; `pooled` is its embedding of 16."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 16, 3, stride=2)
        self.last = nn.Linear(16, 5)

    def pooled(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.first(x)).mean((2, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.softmax(self.last(self.pooled(x)), -1)


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    torch.onnx.export(
        Small(), (torch.zeros(1, 3, 32, 32),), tmp_path / "small.onnx", dynamo=False,
        input_names=["pixels"], output_names=["scores"],
    )  # fmt: skip
    return tmp_path


def say(folder: Path, **told: Any) -> None:
    (folder / "small.json").write_text(json.dumps(told))


@pytest.mark.filterwarnings("ignore")
def test_what_floats_mean_has_to_be_said(exported: Path) -> None:
    with pytest.raises(HeadstartError, match="mean") as caught:
        engine("small", exported)
    assert caught.value.code == "weights_invalid"


@pytest.mark.filterwarnings("ignore")
def test_an_export_gives_what_its_network_computes(exported: Path) -> None:
    say(exported, mean=[0.5, 0.5, 0.5], std=[0.5, 0.25, 0.5], licence="MIT")
    loaded = engine("small", exported)
    pixels = noise(32)
    torch.manual_seed(0)
    scaled = (pixels / 255 - [0.5, 0.5, 0.5]) / [0.5, 0.25, 0.5]
    with torch.inference_mode():
        own = Small().pooled(torch.from_numpy(scaled).float().permute(0, 3, 1, 2)).numpy()
    assert np.abs(loaded.embed(pixels) - own).max() < 1e-4
    assert loaded.spec.licence == "MIT"
    session = onnxruntime.InferenceSession(exported / "small.onnx")
    assert session.get_inputs()[0].name == "pixels"


@pytest.mark.filterwarnings("ignore")
def test_a_tensor_may_be_named(exported: Path) -> None:
    say(exported, mean=[0, 0, 0], std=[1, 1, 1], tap="scores")
    spec = described("small", exported, None)
    first = fingerprint(spec, exported)
    assert spec.dim == 5
    say(exported, mean=[0, 0, 0], std=[1, 1, 1])
    assert fingerprint(described("small", exported, None), exported) != first
    say(exported, mean=[0, 0, 0], std=[1, 1, 1], tap="elsewhere")
    with pytest.raises(HeadstartError, match="elsewhere"):
        described("small", exported, None)


def test_what_is_no_graph_is_refused(tmp_path: Path) -> None:
    for name in ("a.tflite", "b.onnx", "c.pb"):
        (tmp_path / name).write_bytes(b"no graph at all")
        with pytest.raises(HeadstartError) as caught:
            described(name[0], tmp_path, None)
        assert caught.value.code == "weights_invalid"


def test_a_graph_is_no_torch_network(shared_weights: Path, tmp_path: Path) -> None:
    name = "mobilenet_v2_1.0_224_quant"
    shutil.copy(shared_weights / f"{name}.tflite", tmp_path)
    assert weights.availability(name, tmp_path).available
    with pytest.raises(HeadstartError) as caught:
        image_network(name, tmp_path)
    assert caught.value.code == "export_unsupported"


@pytest.mark.filterwarnings("ignore")
def test_tensors_beside_a_graph_are_part_of_its_weights(exported: Path) -> None:
    model = onnx.load(exported / "small.onnx")
    onnx.save(
        model, exported / "apart.onnx", save_as_external_data=True, location="apart.data",
        size_threshold=0,
    )  # fmt: skip
    say(exported, mean=[0.5] * 3, std=[0.5] * 3)
    shutil.copy(exported / "small.json", exported / "apart.json")
    ours, theirs = engine("apart", exported), engine("small", exported)
    assert np.abs(ours.embed(noise(32)) - theirs.embed(noise(32))).max() < 1e-5
    before = weights.sha256(exported / "apart.onnx")
    data = exported / "apart.data"
    data.write_bytes(data.read_bytes()[:-4] + b"\0\0\0\1")
    assert weights.sha256(exported / "apart.onnx") != before
    data.unlink()
    available, reason = weights.availability("apart", exported)
    assert not available
    assert "apart.data" in (reason or "")


@pytest.mark.filterwarnings("ignore")
def test_a_graph_reads_no_file_of_another_folder(exported: Path) -> None:
    model = onnx.load(exported / "small.onnx")
    onnx.save(
        model, exported / "apart.onnx", save_as_external_data=True, location="0123456789",
        size_threshold=0,
    )  # fmt: skip
    graph = exported / "apart.onnx"
    graph.write_bytes(graph.read_bytes().replace(b"0123456789", b"../out.bin"))
    available, reason = weights.availability("apart", exported)
    assert not available
    assert "another folder" in (reason or "")
