"""Whatever lies in the weights folder trains, predicts and exports as our own networks do."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import torch
from safetensors.torch import save_file
from transformers import ViTConfig, ViTModel

from tests.e2e.archives import drawn, zipped
from tests.e2e.conftest import served
from worker.ml.backbones import networks

TIMM, GRAPH, FOLDER = "tf_efficientnet_lite0", "mobilenet_v2_1.0_224_quant", "tiny-vit"


def fill(folder: Path, graphs: Path) -> None:
    """timm's from real tensors, a folder that transformers saves, TensorFlow's real graph."""
    _, loaded = networks.pyramid("efficientnet_lite0", None)
    state = networks._renamed("efficientnet_lite0", loaded.state)
    save_file({k: v.contiguous() for k, v in state.items()}, folder / f"{TIMM}.safetensors")
    torch.manual_seed(0)
    vit = ViTModel(ViTConfig(hidden_size=32, num_hidden_layers=4, num_attention_heads=2))
    vit.save_pretrained(folder / FOLDER)
    taught = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3, "size": 224}
    (folder / FOLDER / "preprocessor_config.json").write_text(json.dumps(taught))
    (folder / f"{GRAPH}.tflite").symlink_to(graphs / f"{GRAPH}.tflite")


@pytest.fixture(scope="module")
def client(
    tmp_path_factory: pytest.TempPathFactory, shared_weights: Path
) -> Iterator[httpx.Client]:
    data_dir, weights_dir = tmp_path_factory.mktemp("data"), tmp_path_factory.mktemp("weights")
    fill(weights_dir, shared_weights)
    with served(data_dir, weights_dir) as made:
        yield made


@pytest.mark.parametrize(
    ("name", "source", "to"),
    [(TIMM, "timm", "torch"), (GRAPH, "graph", "openvino"), (FOLDER, "hugging_face", "onnx")],
)
def test_a_network_of_others_serves_as_our_own(
    name: str, source: str, to: str, client: httpx.Client
) -> None:
    listed = {one["id"]: one for one in client.get("/v1/backbones").json()["data"]}
    assert (listed[name]["source"], listed[name]["available"]) == (source, True)
    uploaded = client.post(
        "/v1/datasets",
        files={"file": ("drawn.zip", zipped(drawn(per_class=6)))},
        data={"backbone": name},
        headers={"Prefer": "wait=120"},
    )
    body = {"model": name, "training_file": uploaded.json()["id"]}
    job = client.post("/v1/fine_tuning/jobs", json=body, headers={"Prefer": "wait=120"}).json()
    assert job["status"] == "succeeded", job
    model = f"/v1/models/{job['fine_tuned_model']}"
    unseen = drawn(per_class=3, seed=1)
    files = [("files", (path, data, "image/png")) for path, data in unseen.items()]
    answer = client.post(f"{model}/predictions", files=files).json()
    labels = [one["label"] for one in answer["data"]]
    right = [label == path.split("/")[0] for label, path in zip(labels, unseen, strict=True)]
    assert len(right) == 6
    assert source == "hugging_face" or all(right)  # that one's numbers are random
    bundle = client.get(f"{model}/artifacts/{to}", headers={"Prefer": "wait=150"})
    assert bundle.status_code == 200, bundle.text
    with zipfile.ZipFile(io.BytesIO(bundle.content)) as unpacked:
        (proof,) = (one for one in unpacked.namelist() if one.endswith("parity.json"))
        told = json.loads(unpacked.read(proof))
    same = told["same_precision"]
    assert same["max_abs_probability_difference"] <= same["tolerance"] <= 0.05


def test_what_a_graph_cannot_be_written_as_is_said(client: httpx.Client) -> None:
    models = client.get("/v1/models").json()["data"]
    graph = next(one["id"] for one in models if GRAPH in one["id"])
    refused = client.get(f"/v1/models/{graph}/artifacts/onnx", headers={"Prefer": "wait=100"})
    assert refused.status_code >= 400
    assert refused.json()["code"] == "export_unsupported"
