"""What trainers put around a network's tensors is taken off, all of it or nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torchvision import models

from app.core.errors import HeadstartError
from tests.unit.worker.ml import tiny_encoder, tiny_image_folders
from worker.ml.backbones.sources import described, image_network
from worker.ml.backbones.weights import weights
from worker.ml.engines.torch_engine import load_torch

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

PREFIXES = ["module.", "model.", "_orig_mod.", "state_dict.module.backbone.", "0.auto_model."]
PICTURES = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8)


def behind(prefix: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}{key}": one.contiguous().clone() for key, one in state.items()}


def rows(name: str, weights_dir: Path, batch: Any) -> Any:
    return load_torch(described(name, weights_dir, None), weights_dir, "cpu").embed(batch)


def refused(name: str, weights_dir: Path) -> str:
    with pytest.raises(HeadstartError) as caught:
        load_torch(described(name, weights_dir, None), weights_dir, "cpu")
    assert caught.value.code == "weights_invalid"
    return caught.value.message


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("name", ["bert", "llama", "vit", "convnext", "swin"])
def test_folders_are_read_behind_one_prefix(name: str, prefix: str, tmp_path: Path) -> None:
    kind = tiny_encoder if name in tiny_encoder.FAMILIES else tiny_image_folders
    batch: Any = ["my card", "a purse"] if kind is tiny_encoder else PICTURES
    kind.saved(name, tmp_path)
    file = tmp_path / name / "model.safetensors"
    plain, state = rows(name, tmp_path, batch), load_file(file)
    save_file({**behind(prefix, state), "loss.weight": torch.ones(2)}, file)
    assert np.abs(rows(name, tmp_path, batch) - plain).max() < 1e-5
    lacking = next(key for key in state if "layer" in key and key.endswith("weight"))
    save_file(behind(prefix, {key: one for key, one in state.items() if key != lacking}), file)
    assert "the file has no " in refused(name, tmp_path)


@pytest.mark.parametrize("prefix", PREFIXES)
def test_networks_of_libraries_are_read_behind_one_prefix(prefix: str, tmp_path: Path) -> None:
    for name in ("resnet10t", "shufflenet_v2_x0_5", "resnet18"):
        torch.manual_seed(0)
        own = {"num_classes": 7}
        net: Any = (
            timm.create_model(name, **own) if name == "resnet10t" else models.get_model(name, **own)
        )
        file, state = tmp_path / f"{name}.safetensors", net.state_dict()
        save_file(behind("", state), file)
        plain = rows(name, tmp_path, PICTURES)
        save_file({**behind(prefix, state), "loss.weight": torch.ones(2)}, file)
        assert np.abs(rows(name, tmp_path, PICTURES) - plain).max() < 1e-5


def test_a_network_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    tiny_encoder.saved("bert", tmp_path)
    file = tmp_path / "bert" / "model.safetensors"
    state = load_file(file)
    save_file({**behind("student.", state), **behind("teacher.", state)}, file)
    assert "each of the prefixes student., teacher.: keep one" in refused("bert", tmp_path)
    state = models.resnet18().state_dict()
    save_file(
        {**behind("model.", state), **behind("ema.", state)}, tmp_path / "resnet18.safetensors"
    )
    assert "each of the prefixes ema., model.: keep one" in refused("resnet18", tmp_path)


@pytest.mark.parametrize("key", ["state_dict", "model_state_dict", "model"])
def test_a_checkpoint_is_read_by_its_network(key: str, tmp_path: Path) -> None:
    state = models.resnet18().state_dict()
    more = {"epoch": 3, "optimizer": {"state": {0: {"step": torch.ones(1)}}, "param_groups": []}}
    torch.save({key: behind("module.", state), **more}, tmp_path / "resnet18.pth")
    assert image_network("resnet18", tmp_path)[0].name == "resnet18"
    held = weights("resnet18", tmp_path).state
    assert held.keys() == behind("module.", state).keys()
    torch.save({key: state, "ema": state}, tmp_path / "resnet18.pth")
    assert f"several networks ({key}, ema)" in refused("resnet18", tmp_path)


def test_the_packages_names_are_read_behind_a_prefix(tmp_path: Path) -> None:
    state = weights("efficientnet_lite0", None).state
    save_file(behind("module.", state), tmp_path / "efficientnet_lite0.safetensors")
    plain = image_network("efficientnet_lite0", None)[1]
    found = image_network("efficientnet_lite0", tmp_path)[1]
    pixels = torch.from_numpy(PICTURES)
    assert torch.equal(found(pixels), plain(pixels))
