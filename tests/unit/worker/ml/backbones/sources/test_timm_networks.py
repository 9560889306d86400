"""Any network of timm works from its tensors alone, preprocessed as timm says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from app.core.errors import HeadstartError
from app.infra import weights
from tests.unit.worker.ml.backbones.sources.kit import agreeing
from worker.ml.backbones import networks
from worker.ml.backbones.sources import described, fingerprint, image_network

pytestmark = pytest.mark.slow


def saved(name: str, path: Path, classes: int = 1000) -> None:
    torch.manual_seed(0)
    save_file(timm.create_model(name, num_classes=classes).state_dict(), path)


def test_real_weights_give_the_embedding_that_their_own_pyramid_gives(tmp_path: Path) -> None:
    own, loaded = networks.pyramid("efficientnet_lite0", None)
    renamed = networks._renamed("efficientnet_lite0", loaded.state)
    state = {name: tensor.contiguous() for name, tensor in renamed.items()}
    save_file(state, tmp_path / "tf_efficientnet_lite0.safetensors")
    spec, network = image_network("tf_efficientnet_lite0", tmp_path)
    assert (spec.source, spec.input_size, spec.mean, spec.dim) == ("timm", 224, (0.5,) * 3, 1280)
    pixels = torch.randint(0, 256, (2, 224, 224, 3), dtype=torch.uint8)
    with torch.inference_mode():
        ours, theirs = own(pixels), network(pixels)
    a, b = weights.get("efficientnet_lite0").last, spec.last
    assert torch.allclose(ours[:, a.start : a.stop], theirs[:, b.start : b.stop], atol=1e-5)


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224.augreg_in21k_ft_in1k", "resnet10t"])
def test_torch_and_the_cpu_engine_agree(name: str, tmp_path: Path) -> None:
    saved(name, tmp_path / f"{name}.safetensors")
    spec = agreeing(name, tmp_path)
    taught = timm.get_pretrained_cfg(name)
    assert (spec.mean, spec.std) == (taught.mean, taught.std)
    assert spec.fixed_size == ("vit" in name)


def test_tables_that_a_network_computes_are_its_own(tmp_path: Path) -> None:
    saved("swin_tiny_patch4_window7_224", tmp_path / "swin_tiny_patch4_window7_224.safetensors")
    _, network = image_network("swin_tiny_patch4_window7_224", tmp_path)
    assert not any(tensor.is_meta for tensor in network.buffers())


@pytest.mark.parametrize("classes", [0, 7])
def test_the_classifier_is_the_files(classes: int, tmp_path: Path) -> None:
    saved("resnet10t", tmp_path / "resnet10t.safetensors", classes)
    spec, _ = image_network("resnet10t", tmp_path)
    assert spec.dim == 512


def test_a_side_file_says_what_the_tensors_do_not(tmp_path: Path) -> None:
    saved("resnet10t", tmp_path / "own-network.safetensors")
    before = weights.get("own-network", tmp_path)
    with pytest.raises(HeadstartError, match="architecture") as caught:
        image_network("own-network", tmp_path)
    assert caught.value.code == "weights_invalid"
    told = {"architecture": "resnet10t", "input_size": 96, "mean": [0, 0, 0], "licence": "MIT"}
    (tmp_path / "own-network.json").write_text(json.dumps(told))
    spec, _ = image_network("own-network", tmp_path)
    assert (spec.input_size, spec.mean, spec.licence) == (96, (0, 0, 0), "MIT")
    assert before.licence != "MIT"
    first = fingerprint(spec, tmp_path)
    (tmp_path / "own-network.json").write_text(json.dumps({**told, "input_size": 128}))
    assert fingerprint(image_network("own-network", tmp_path)[0], tmp_path) != first


def test_a_name_that_is_not_timms_is_told_with_the_side_file(tmp_path: Path) -> None:
    saved("resnet10t", tmp_path / "mine.safetensors")
    for name, told in (
        ("mobilenet_v2", "mobilenet_v2.safetensors alone"),
        ("mine", "'mine': name"),
    ):
        (tmp_path / "mine.json").write_text(json.dumps({"architecture": name}))
        with pytest.raises(HeadstartError, match=told) as caught:
            image_network("mine", tmp_path)
        assert caught.value.message.endswith("into mine.json")


def test_tensors_of_another_network_are_told_in_few_words(tmp_path: Path) -> None:
    saved("resnet10t", tmp_path / "vit_tiny_patch16_224.safetensors")
    with pytest.raises(HeadstartError, match="vit_tiny_patch16_224") as caught:
        image_network("vit_tiny_patch16_224", tmp_path)
    assert caught.value.code == "weights_invalid"
    assert len(caught.value.message) < 500


def test_a_misspelt_side_file_is_refused(tmp_path: Path) -> None:
    saved("resnet10t", tmp_path / "resnet10t.safetensors")
    (tmp_path / "resnet10t.json").write_text('{"arkitecture": "resnet10t"}')
    with pytest.raises(HeadstartError, match="arkitecture") as caught:
        image_network("resnet10t", tmp_path)
    assert caught.value.code == "weights_invalid"


def test_what_was_found_is_kept(tmp_path: Path) -> None:
    saved("resnet10t", tmp_path / "resnet10t.safetensors")
    cache = tmp_path / "cache"
    first = described("resnet10t", tmp_path, cache)
    (kept,) = cache.glob("resnet10t-*.json")
    assert described("resnet10t", tmp_path, cache) == first
    kept.write_text("{")
    assert described("resnet10t", tmp_path, cache) == first


def test_pickles_are_not_looked_at(tmp_path: Path) -> None:
    torch.save({}, tmp_path / "resnet10t.pth")
    with pytest.raises(HeadstartError) as caught:
        image_network("resnet10t", tmp_path)
    assert caught.value.code == "unknown_backbone"


def test_a_file_beside_our_own_networks_says_nothing_of_them(tmp_path: Path) -> None:
    (tmp_path / "efficientnet_lite0.json").write_text('{"whatever": 1}')
    spec = described("efficientnet_lite0", tmp_path, None)
    assert fingerprint(spec, tmp_path) == fingerprint(spec, None)
