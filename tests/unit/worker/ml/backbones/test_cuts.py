"""Where a network is cut, and that the part behind it is the whole network's."""

from __future__ import annotations

from dataclasses import replace

import pytest
import timm
import torch
from torch import nn

from app.core.backbones import HALF
from app.core.errors import HeadstartError
from tests.unit.worker.ml.tiny_network import CHANNELS, SPEC, both, network, pictures, tiny_suffix
from worker.ml.backbones.cuts import cut_network, find, suffix
from worker.ml.backbones.networks import Pyramid
from worker.ml.backbones.tapped import ReadNetwork, tapped

pytestmark = pytest.mark.slow


def test_a_network_is_cut_before_it_halves_its_resolution_for_the_last_time() -> None:
    cut = find(SPEC, network())
    assert (cut.level, cut.shape) == (2, (CHANNELS[2], 4, 4))
    assert cut.width == CHANNELS[2] * 16


@pytest.mark.parametrize("count", [1, 5])
def test_the_suffix_gives_what_the_whole_network_gives(count: int) -> None:
    vectors, activations = both(pictures(2)[0][:count])
    made = tiny_suffix()
    embedded = made.embed(made.start, activations)
    last = SPEC.last
    torch.testing.assert_close(embedded, vectors[:, last.start : last.stop], rtol=1e-4, atol=1e-5)


def test_norms_are_folded_so_that_only_what_is_tuned_is_left() -> None:
    made = tiny_suffix()
    assert [tuple(value.shape) for value in made.start.values()] == [(12, 8, 3, 3), (12,)]
    assert not list(made.graph.buffers())


def test_other_tensors_in_their_place_change_the_embedding() -> None:
    made = tiny_suffix()
    _, activations = both(pictures(1)[0])
    doubled = {name: 2 * value for name, value in made.start.items()}
    torch.testing.assert_close(
        made.embed(doubled, activations), 2 * made.embed(made.start, activations)
    )


@pytest.mark.parametrize("depth", [4, 5, 12])
def test_a_transformer_of_any_depth_is_cut_between_its_blocks(depth: int) -> None:
    torch.manual_seed(0)
    net = timm.models.VisionTransformer(
        img_size=32, patch_size=8, embed_dim=16, depth=depth, num_heads=2, num_classes=3
    ).eval()
    read = ReadNetwork(net=net, input_size=32, mean=HALF[0], std=HALF[1], licence="MIT")
    named = replace(SPEC, name="tiny-vit", layout=(), input_size=32, source="timm")
    spec, made = tapped(named, read)
    assert spec.level_rule == (1 if depth > 8 else 2)
    behind = suffix(spec, made)
    assert behind.cut.shape == (17, 16)
    pixels = torch.randint(0, 256, (3, 32, 32, 3), dtype=torch.uint8)
    with torch.no_grad():
        rows = cut_network(spec, made)(pixels)
    own = behind.embed(behind.start, rows[:, spec.width :])
    torch.testing.assert_close(own, rows[:, spec.last.start : spec.last.stop], rtol=1e-4, atol=1e-5)


class _Around(nn.Module):
    """A last stage that also looks at what came long before."""

    def __init__(self, first: nn.Module, last: nn.Module) -> None:
        super().__init__()
        self.last = last
        self.given: list[torch.Tensor] = []
        first.register_forward_pre_hook(lambda _, given: self.given.__setitem__(slice(None), given))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(x) + self.given[0].mean()


def test_a_way_around_the_cut_is_refused() -> None:
    stages = list(network().stages)
    around = Pyramid(SPEC, [*stages[:-1], _Around(stages[0], stages[-1])]).eval()
    with pytest.raises(HeadstartError, match="around") as caught:
        suffix(SPEC, around)
    assert caught.value.code == "cut_unavailable"


class _Decides(torch.nn.Module):
    """Code that looks at its numbers."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + 1 if float(x.mean()) > 0 else x - 1


def test_code_that_no_graph_can_be_made_of_is_told_in_our_words() -> None:
    first, *rest = network().stages
    deciding = Pyramid(SPEC, [torch.nn.Sequential(first, _Decides()), *rest]).eval()
    with pytest.raises(HeadstartError, match="its code cannot be written down") as caught:
        suffix(SPEC, deciding)
    assert caught.value.code == "cut_unavailable"
    assert "torch" not in caught.value.message
