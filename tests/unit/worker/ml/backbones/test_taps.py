"""The levels that are found are those that people who know the architectures have listed."""

from __future__ import annotations

import pytest
import timm
import torch
from torch import Tensor, nn
from torchvision import models

from app.core.errors import HeadstartError
from worker.ml.backbones import taps
from worker.ml.backbones.taps import Tap

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def noise() -> Tensor:
    return torch.randn(2, 3, 224, 224, generator=torch.manual_seed(0))


def found(net: nn.Module, pixels: Tensor) -> list[Tap]:
    return taps.find(net.eval(), pixels)


def modules(levels: list[Tap]) -> list[str]:
    return [tap.module for tap in levels]


@pytest.mark.parametrize("name", ["resnet18", "regnetx_002", "repvgg_a0", "dla34"])
def test_a_pyramids_levels_are_those_that_timm_lists(name: str, noise: Tensor) -> None:
    net = timm.create_model(name)
    listed = {one["num_chs"] for one in net.feature_info}
    levels = found(net, noise)
    assert len(levels) >= 4
    assert {tap.channels for tap in levels[:-1]} <= listed
    assert {tap.kind for tap in levels} == {"map"}


@pytest.mark.parametrize(
    ("name", "prefix"), [("vit_tiny_patch16_224", 1), ("deit_tiny_distilled_patch16_224", 2)]
)
def test_a_transformers_tokens_are_read_by_quarters(name: str, prefix: int, noise: Tensor) -> None:
    *levels, last = found(timm.create_model(name), noise)
    assert modules(levels) == ["blocks.2", "blocks.5", "blocks.8", "blocks.11"]
    assert {(tap.kind, tap.channels, tap.prefix) for tap in levels} == {("tokens", 192, prefix)}
    assert (last.kind, last.channels, last.before) == ("vector", 192, True)


@pytest.mark.parametrize("depth", [4, 5, 7])
def test_the_steps_inside_a_block_are_no_blocks(depth: int) -> None:
    """A block of timm's has eight parts that all give equally many tokens."""
    net = timm.models.VisionTransformer(
        img_size=32, patch_size=8, embed_dim=16, depth=depth, num_heads=2, num_classes=3
    )
    pixels = torch.randn(2, 3, 32, 32)
    *levels, last = found(net, pixels)
    ends = [depth * quarter // 4 - 1 for quarter in (1, 2, 3, 4)]
    assert modules(levels) == [f"blocks.{end}" for end in ends]
    assert last.module == "head"
    *inside, _ = taps.find(net, pixels, first_rule=True)
    assert all(name.startswith("blocks.0.") for name in modules(inside)), "as models were made"


def test_windows_and_their_rows_are_maps(noise: Tensor) -> None:
    *levels, last = found(timm.create_model("swin_tiny_patch4_window7_224"), noise)
    assert [tap.channels for tap in levels] == [96, 192, 384]
    assert {tap.kind for tap in (*levels, last)} == {"rows"}


def test_the_embedding_is_what_the_last_linear_layer_reads(noise: Tensor) -> None:
    *_, alexnet = found(models.alexnet(), noise)
    assert alexnet == Tap("classifier.6", "vector", 4096, before=True)
    *_, squeezenet = found(models.squeezenet1_1(), noise)
    assert (squeezenet.module, squeezenet.channels) == ("features.12", 512)


def test_an_embedding_after_the_last_map_is_a_level_of_its_own(noise: Tensor) -> None:
    *_, norm, last = found(models.densenet121(), noise)  # a relu in place comes between them
    assert (norm.module, last.module) == ("features.norm5", "classifier")


def test_a_network_without_a_classifier_is_its_own_embedding(noise: Tensor) -> None:
    *_, last = found(timm.create_model("vit_tiny_patch16_224", num_classes=0), noise)
    assert last == Tap("", "vector", 192)


def test_a_network_of_no_known_kind_still_has_its_embedding(noise: Tensor) -> None:
    net = nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(48, 7), nn.Linear(7, 5))
    assert found(net, noise) == [Tap("3", "vector", 7, before=True)]


def test_what_gives_no_vector_is_refused(noise: Tensor) -> None:
    with pytest.raises(HeadstartError, match="no vector") as caught:
        found(nn.Sequential(nn.Conv2d(3, 8, 3)), noise)
    assert caught.value.code == "weights_invalid"
