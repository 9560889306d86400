"""Folders that transformers has saved are backbones: transformers, pyramids, and two towers."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from safetensors.torch import load_file, save_file

from app.core.errors import HeadstartError
from app.infra import weights
from tests.unit.worker.ml.backbones.sources.kit import agreeing, noise
from tests.unit.worker.ml.tiny_image_folders import NETWORKS, TAUGHT, saved
from worker.ml.backbones.sources import described, fingerprint, image_network

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", NETWORKS)
def test_torch_and_the_cpu_engine_agree(name: str, tmp_path: Path) -> None:
    saved(name, tmp_path)
    assert weights.get(name, tmp_path).modality == "image"
    spec = agreeing(name, tmp_path)
    assert (spec.source, spec.input_size, spec.std) == ("hugging_face", 64, (0.25,) * 3)
    assert len({block.level for block in spec.layout}) >= 4


@pytest.mark.parametrize("name", ["clip", "siglip"])
def test_two_towers_pictures_lie_in_the_space_of_both(name: str, tmp_path: Path) -> None:
    network = saved(name, tmp_path)
    spec, pyramid = image_network(name, tmp_path)
    pixels = torch.from_numpy(noise(64))
    normal = (pixels.permute(0, 3, 1, 2) / 255 - 0.5) / 0.25
    with torch.inference_mode():
        told = network.get_image_features(pixel_values=normal)
        own = pyramid(pixels)[:, spec.last.start : spec.last.stop]
    theirs = told if isinstance(told, torch.Tensor) else told.pooler_output
    assert torch.allclose(own, theirs, atol=1e-5)


def test_a_vits_embedding_is_its_class_token(tmp_path: Path) -> None:
    network = saved("vit", tmp_path)
    spec, pyramid = image_network("vit", tmp_path)
    pixels = torch.from_numpy(noise(64))
    with torch.inference_mode():
        states = network.vit((pixels.permute(0, 3, 1, 2) / 255 - 0.5) / 0.25).last_hidden_state
        own = pyramid(pixels)[:, spec.last.start : spec.last.stop]
    assert torch.allclose(own, states[:, 0], atol=1e-5)


@pytest.mark.parametrize(
    "told",
    [
        {"do_rescale": False, "image_mean": [123.7, 116.3, 103.5], "image_std": [58.4, 57.1, 57.4]},
        {"do_rescale": False, "image_mean": [0.5] * 3, "image_std": [0.25] * 3},
        {"rescale_factor": 1 / 127.5, "image_mean": [1.0] * 3, "image_std": [1.0] * 3},
        {"do_normalize": False},
        {"do_normalize": False, "rescale_factor": 1 / 127.5},
        {"image_mean": [0.5], "image_std": [0.25]},
    ],
)
def test_pixels_are_scaled_as_transformers_does(told: dict[str, Any], tmp_path: Path) -> None:
    network = saved("vit", tmp_path)
    file = tmp_path / "vit" / "preprocessor_config.json"
    file.write_text(json.dumps({**TAUGHT, **told}))
    theirs = hf.ViTImageProcessor.from_pretrained(tmp_path / "vit")
    pixels = torch.from_numpy(noise(64))
    with torch.inference_mode():
        given = theirs(list(pixels.permute(0, 3, 1, 2)), return_tensors="pt", do_resize=False)
        states = network.vit(given["pixel_values"]).last_hidden_state
        spec, pyramid = image_network("vit", tmp_path)
        own = pyramid(pixels)[:, spec.last.start : spec.last.stop]
    assert torch.allclose(own, states[:, 0], atol=1e-4)


def test_what_is_kept_of_a_network_goes_with_its_pixels(tmp_path: Path) -> None:
    saved("vit", tmp_path)
    first = described("vit", tmp_path, tmp_path / "engines")
    file = tmp_path / "vit" / "preprocessor_config.json"
    file.write_text(json.dumps({**TAUGHT, "image_mean": [0.25] * 3}))
    second = described("vit", tmp_path, tmp_path / "engines")
    assert (first.mean, second.mean) == ((0.5,) * 3, (0.25,) * 3)
    assert fingerprint(first, tmp_path) != fingerprint(second, tmp_path)


def test_how_a_folder_is_laid_out_is_no_other_reading(tmp_path: Path) -> None:
    saved("vit", tmp_path)
    spec, file = described("vit", tmp_path, None), tmp_path / "vit" / "config.json"
    before, told = fingerprint(spec, tmp_path), json.loads(file.read_text())
    named = {
        **dict(reversed(told.items())),
        "transformers_version": "9.0.0",
        "id2label": {"0": "a"},
    }
    file.write_text(json.dumps(named))
    assert fingerprint(spec, tmp_path) == before
    file.write_text(json.dumps({**told, "hidden_act": "relu"}))
    assert fingerprint(spec, tmp_path) != before


def test_what_the_library_says_of_a_folder_names_no_place(tmp_path: Path) -> None:
    saved("vit", tmp_path)
    (tmp_path / "vit" / "config.json").write_text(json.dumps({"image_size": 64}))
    with pytest.raises(HeadstartError) as caught:
        image_network("vit", tmp_path)
    assert caught.value.code == "weights_invalid"
    assert str(tmp_path) not in caught.value.message


def test_missing_tensors_are_refused(tmp_path: Path) -> None:
    saved("dinov2", tmp_path)
    file = tmp_path / "dinov2" / "model.safetensors"
    state = load_file(file)
    state.pop(next(key for key in state if "norm1.weight" in key))
    save_file(state, file, metadata={"format": "pt"})
    with pytest.raises(HeadstartError, match="the file has no ") as caught:
        image_network("dinov2", tmp_path)
    assert caught.value.code == "weights_invalid"


def test_pixels_without_a_scale_are_refused(tmp_path: Path) -> None:
    saved("dinov2", tmp_path)
    (tmp_path / "dinov2" / "preprocessor_config.json").unlink()
    with pytest.raises(HeadstartError, match="image_mean") as caught:
        image_network("dinov2", tmp_path)
    assert caught.value.code == "weights_invalid"


def test_a_folder_without_tensors_says_what_to_put_there(tmp_path: Path) -> None:
    saved("dinov2", tmp_path)
    (tmp_path / "dinov2" / "model.safetensors").unlink()
    assert not weights.availability("dinov2", tmp_path).available


@pytest.mark.parametrize("name", ["vit", "dinov2", "swin", "convnext", "clip", "siglip"])
def test_tensors_of_layers_that_the_settings_leave_out_are_refused(
    name: str, tmp_path: Path
) -> None:
    saved(name, tmp_path)
    file = tmp_path / name / "model.safetensors"
    state = load_file(file)
    more = next(key for key in state if ".1." in key or ".layers.0." in key or ".stages.0." in key)
    state[re.sub(r"\.[01]\.", ".7.", more, count=1)] = state[more].clone()
    save_file(state, file, metadata={"format": "pt"})
    with pytest.raises(HeadstartError, match=r"config\.json does not read") as caught:
        image_network(name, tmp_path)
    assert caught.value.code == "weights_invalid"
