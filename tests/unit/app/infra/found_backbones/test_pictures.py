"""What a folder says of pixels is folded into mean and deviation, or refused in the listing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save

from app.core.errors import HeadstartError
from app.infra import weights
from app.infra.found_backbones import pictures

TAUGHT: dict[str, Any] = {"image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.25, 0.3]}


def folder(place: Path, config: Any = None, **told: Any) -> Path:
    made = place / "net"
    made.mkdir(exist_ok=True)
    (made / "config.json").write_text(json.dumps({"image_size": 64} if config is None else config))
    (made / "preprocessor_config.json").write_text(json.dumps({**TAUGHT, **told}))
    (made / "model.safetensors").write_bytes(save({"a": torch.zeros(3)}))
    return made


def reason(place: Path) -> str:
    available, why = weights.availability("net", place)
    assert available == (why is None)
    return why or ""


@pytest.mark.parametrize("factor", [1 / 255, 0.003921568859368563, 0.00392156862745098])
def test_the_usual_scale_leaves_numbers_as_they_are(factor: float, tmp_path: Path) -> None:
    read = pictures.stated(folder(tmp_path, rescale_factor=factor, do_rescale=True))
    assert (list(read.mean), list(read.std)) == (TAUGHT["image_mean"], TAUGHT["image_std"])


@pytest.mark.parametrize(
    ("told", "mean", "std"),
    [
        ({"image_mean": 0.5, "image_std": [0.25]}, 0.5, 0.25),
        ({"do_rescale": False, "image_mean": [51] * 3, "image_std": [102] * 3}, 0.2, 0.4),
        ({"rescale_factor": 1 / 127.5, "image_mean": 1, "image_std": 1}, 0.5, 0.5),
        ({"do_normalize": False}, 0, 1),
        ({"do_normalize": False, "do_rescale": False}, 0, 1 / 255),
    ],
)
def test_scales_are_folded(told: dict[str, Any], mean: float, std: float, tmp_path: Path) -> None:
    read = pictures.stated(folder(tmp_path, **told))
    assert read.mean == pytest.approx((mean,) * 3)
    assert read.std == pytest.approx((std,) * 3)
    spec = weights.get("net", tmp_path)
    assert (spec.mean, spec.std) == (read.mean, read.std)


@pytest.mark.parametrize(
    ("told", "named"),
    [
        ({"image_mean": [123.675, 116.28, 103.53], "image_std": [58.4, 57.1, 57.4]}, "do_rescale"),
        ({"image_mean": [-0.1] * 3}, "image_mean"),
        ({"image_std": [0, 0, 0]}, "image_std"),
        ({"image_std": [-0.2, 0.2, 0.2]}, "image_std"),
        ({"image_std": [float("nan")] * 3}, "image_std"),
        ({"image_mean": "x"}, "image_mean"),
        ({"image_mean": [0.5, 0.5]}, "image_mean"),
        ({"image_mean": ["0.5"] * 3}, "image_mean"),
        ({"image_mean": []}, "image_mean"),
        ({"image_mean": None}, "image_mean"),
        ({"do_rescale": "no"}, "do_rescale"),
        ({"rescale_factor": 0}, "rescale_factor"),
        ({"rescale_factor": "1/255"}, "rescale_factor"),
        ({"size": {"height": 64, "width": 96}}, "no square"),
        ({"size": [64, 96]}, "no square"),
        ({"size": "64"}, "size"),
        ({"size": 0}, "no square"),
        ({"size": {"shortest_edge": -1}}, "no square"),
        ({"do_flip_channel_order": True}, "do_flip_channel_order"),
        ({"do_color_quantize": True}, "do_color_quantize"),
        ({"rescale_offset": True}, "rescale_offset"),
    ],
)
def test_what_is_not_read_is_said_in_the_listing(
    told: dict[str, Any], named: str, tmp_path: Path
) -> None:
    made = folder(tmp_path, **told)
    assert named in reason(tmp_path)
    assert str(tmp_path) not in reason(tmp_path)
    with pytest.raises(HeadstartError) as caught:
        weights.require(weights.get("net", tmp_path), tmp_path)
    assert caught.value.code == "weights_invalid"
    (made / "preprocessor_config.json").write_text(json.dumps(TAUGHT))
    assert weights.availability("net", tmp_path).available


@pytest.mark.parametrize("content", ["[]", "7", "{", "null", '"x"'])
def test_a_file_that_is_no_object_is_refused(content: str, tmp_path: Path) -> None:
    (folder(tmp_path) / "preprocessor_config.json").write_text(content)
    assert "preprocessor_config.json" in reason(tmp_path)


@pytest.mark.parametrize(
    ("told", "side"),
    [
        ({}, 64),
        ({"size": 96}, 96),
        ({"size": {"shortest_edge": 80}, "do_center_crop": True, "crop_size": 72}, 72),
        ({"size": {"shortest_edge": 80}, "crop_size": 72}, 80),
        ({"size": {"height": 48, "width": 48}}, 48),
    ],
)
def test_the_listing_says_the_side(told: dict[str, Any], side: int, tmp_path: Path) -> None:
    folder(tmp_path, **told)
    assert weights.get("net", tmp_path).input_size == side


def test_how_a_picture_is_brought_to_its_side_is_our_own(tmp_path: Path) -> None:
    own = {"resample": 2, "do_resize": True, "do_convert_rgb": True, "do_pad": True}
    folder(tmp_path, **own, crop_pct=0.875, do_reduce_labels=False)
    assert weights.availability("net", tmp_path).available


def test_what_newer_versions_write_for_both_towers_is_read_first(tmp_path: Path) -> None:
    made = folder(tmp_path)
    told = {"image_processor": {"image_mean": [0.1] * 3, "image_std": [1] * 3, "size": 32}}
    (made / "processor_config.json").write_text(json.dumps(told))
    assert pictures.stated(made) == pictures.StatedPixels((0.1,) * 3, (1.0,) * 3, 32)
    (made / "preprocessor_config.json").unlink()
    assert weights.get("net", tmp_path).input_size == 32


@pytest.mark.parametrize("told", [{"mean": [123, 116, 103]}, {"std": [0, 0, 0]}, {"std": [-1] * 3}])
def test_a_side_file_speaks_of_the_same_pixels(told: dict[str, Any], tmp_path: Path) -> None:
    folder(tmp_path)
    (tmp_path / "net.json").write_text(json.dumps(told))
    assert next(iter(told)) in reason(tmp_path)


@pytest.mark.parametrize(
    "config",
    [{"image_size": 64, "num_channels": 1}, {"vision_config": {"num_channels": 1}},
     {"image_size": 64, "num_hidden_layers": 0}, {"vision_config": {"num_hidden_layers": -1}},
     {"image_size": [64, 96]}],
)  # fmt: skip
def test_networks_of_other_pictures_or_of_no_layer_are_refused(
    config: dict[str, Any], tmp_path: Path
) -> None:
    folder(tmp_path, config)
    assert "config.json" in reason(tmp_path)
