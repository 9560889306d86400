"""Folders that hold something besides a network, or one only within, are told in the listing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save

from app.infra import weights


def folder(place: Path, **told: Any) -> Path:
    place.mkdir(parents=True, exist_ok=True)
    (place / "config.json").write_text(json.dumps({"hidden_size": 48, **told}))
    (place / "model.safetensors").write_bytes(save({"a": torch.zeros(3)}))
    (place / "tokenizer.json").write_text(json.dumps({"model": {"type": "WordPiece"}}))
    return place


def reason(place: Path, name: str = "net") -> str:
    assert name in weights.registry(place)
    return weights.availability(name, place).reason or ""


@pytest.mark.parametrize("name", ["adapter_config.json", "adapter_model.safetensors"])
def test_an_adapter_beside_the_weights_is_refused(name: str, tmp_path: Path) -> None:
    (folder(tmp_path / "net") / name).write_text("{}")
    assert "merge_and_unload" in reason(tmp_path)


@pytest.mark.parametrize(
    "told",
    [{"num_hidden_layers": 0}, {"num_hidden_layers": -1}, {"n_layer": True}, {"n_layers": "6"},
     {"max_position_embeddings": "512"}],
)  # fmt: skip
def test_a_count_that_is_none_is_refused(told: dict[str, Any], tmp_path: Path) -> None:
    folder(tmp_path / "net", **told)
    assert next(iter(told)) in reason(tmp_path)
    folder(tmp_path / "net")
    assert reason(tmp_path) == ""


def test_networks_within_a_folder_are_told(tmp_path: Path) -> None:
    cached = tmp_path / "models--org--name" / "snapshots" / "abc"
    folder(cached)
    folder(tmp_path / "org" / "name")
    assert "models--org--name/snapshots/abc" in reason(tmp_path, "models--org--name")
    assert "org/name" in reason(tmp_path, "org")
    assert str(tmp_path) not in reason(tmp_path, "org")
    (tmp_path / "linked").symlink_to(cached)
    assert weights.availability("linked", tmp_path).available


def test_a_folder_of_timm_says_how_it_is_read(tmp_path: Path) -> None:
    taught = {"input_size": [3, 176, 176], "mean": [0.1] * 3, "std": [1, 1, 1]}
    place = folder(tmp_path / "net")
    said = {"architecture": "resnet10t", "num_features": 512, "pretrained_cfg": taught}
    (place / "config.json").write_text(json.dumps(said))
    told = reason(tmp_path)
    assert "move net/model.safetensors to net.safetensors" in told
    side = {"architecture": "resnet10t", "input_size": 176, "mean": [0.1] * 3, "std": [1, 1, 1]}
    assert f"write {json.dumps(side)} into net.json" in told
    (place / "model.safetensors").rename(tmp_path / "net.safetensors")
    (tmp_path / "net.json").write_text(json.dumps(side))
    assert weights.availability("net", tmp_path).available
    assert weights.get("net", tmp_path).input_size == 176


def test_weights_in_another_form_are_named(tmp_path: Path) -> None:
    place = folder(tmp_path / "net")
    (place / "model.safetensors").rename(place / "pytorch_model.bin")
    assert "net has its weights in pytorch_model.bin, which is not read" in reason(tmp_path)


def test_quantised_tensors_are_told_in_the_listing(tmp_path: Path) -> None:
    folder(tmp_path / "net", quantization_config={"quant_method": "bitsandbytes"})
    assert "quantised (bitsandbytes)" in reason(tmp_path)
