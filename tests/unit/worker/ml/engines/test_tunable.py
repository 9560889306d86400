"""What is tuned of a backbone begins as the backbone, and is in memory once for all its models."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.models import VisionTransformer

from app.core.backbones import BackboneSpec, tiled
from app.core.errors import HeadstartError
from app.core.modalities import Depth
from tests.unit.worker.ml.tiny_encoder import FAMILIES, saved
from tests.unit.worker.ml.tiny_network import SPEC, network, pictures, tiny_suffix
from worker.ml.backbones import cuts
from worker.ml.backbones.adapters import A, AdaptedSuffix, B
from worker.ml.backbones.networks import TokenPyramid
from worker.ml.backbones.suffix import Suffix
from worker.ml.byte_cache import ByteCache
from worker.ml.engines import load_engine
from worker.ml.engines import tunable as engines
from worker.ml.engines.tunable import adapted, tunable
from worker.ml.heads.tuned_suffix import TunedSuffix

pytestmark = pytest.mark.slow

TEXTS = ["My card was stolen", "How do I report a lost card?", "", "word " * 200]
DEEP = ("lora", "full")


def moved(suffix: Suffix, *, seed: int = 0) -> dict[str, Tensor]:
    """Tensors that are not those of the start, as a head keeps them."""
    draw = torch.Generator().manual_seed(seed)
    return {
        f"tuned.{name}": value + 0.1 * torch.randn(value.shape, generator=draw)
        for name, value in suffix.start.items()
    }


def begun(suffix: Suffix) -> TunedSuffix:
    return TunedSuffix.of(suffix, {f"tuned.{name}": value for name, value in suffix.start.items()})


@pytest.mark.parametrize("depth", DEEP)
@pytest.mark.parametrize("name", FAMILIES)
def test_texts_begin_at_what_the_engine_says_of_them(
    name: str, depth: Depth, tmp_path: Path
) -> None:
    saved(name, tmp_path)
    engine: Any = load_engine(name, tmp_path, device="cpu", precision="f32")
    suffix = tunable(name, depth, tmp_path)
    read = begun(suffix).read(TEXTS).numpy()
    assert np.abs(read - engine.embed(TEXTS)).max() < 1e-4
    other = TunedSuffix.of(suffix, moved(suffix)).read(TEXTS).numpy()
    assert np.abs(other - read).max() > 1e-2
    assert np.abs(begun(suffix).read(TEXTS).numpy() - read).max() == 0, "no other head moves one"


@pytest.mark.parametrize("name", ["bert", "gpt2"])
def test_every_layer_of_a_text_network_has_an_adapter(name: str, tmp_path: Path) -> None:
    saved(name, tmp_path)
    suffix = tunable(name, "lora", tmp_path)
    layers = {"bert": 6, "gpt2": 4}[name]
    assert len(suffix.start) == 2 * 2 * layers  # of two blocks; the pooler is not read
    tables = [key for key in tunable(name, "full", tmp_path).start if "embedding" in key.lower()]
    assert all("norm" in key.lower() for key in tables)
    assert not [key for key in tunable(name, "full", tmp_path).start if "pooler" in key]


@pytest.mark.parametrize("depth", get_args(Depth))
def test_pictures_begin_at_the_pretrained_network(depth: Depth) -> None:
    pixels, _ = pictures(2)
    suffix = tiny_suffix(depth)
    given = pixels.flatten(1)
    with torch.no_grad():
        whole = network()(pixels)
        if depth == "partial":
            given = cuts.cut_network(SPEC, network())(pixels)[:, SPEC.width :]
        expected = whole[:, SPEC.last.start : SPEC.last.stop]
        torch.testing.assert_close(begun(suffix)(given), expected, rtol=1e-4, atol=1e-5)
        other = TunedSuffix.of(suffix, moved(suffix))(given)
    assert (other - expected).abs().max() > 1e-3


@pytest.mark.parametrize("depth", get_args(Depth))
def test_what_is_not_tuned_is_in_memory_once(depth: Depth) -> None:
    suffix = tiny_suffix(depth)
    heads = [TunedSuffix.of(suffix, moved(suffix, seed=n)).graph for n in range(2)]
    own = [{value.data_ptr() for value in head.parameters()} for head in heads]
    kept = {value.data_ptr() for name, value in suffix.graph.named_parameters()
            if name not in suffix.start}  # fmt: skip
    assert own[0] & own[1] == kept & own[0]
    assert bool(kept) == (depth == "lora")


def vision_transformer() -> tuple[BackboneSpec, TokenPyramid]:
    """One whose attention reads its layers' weights without calling them."""
    torch.manual_seed(0)
    net = VisionTransformer(32, 8, 4, 2, 16, 32).eval().requires_grad_(False)
    layout = tiled([*((i, ("mean", "max", "std"), 16) for i in range(4)), (4, ("mean",), 16)])
    spec = BackboneSpec(
        name="tiny-vit", modality="image", dim=16, layout=layout, licence="MIT", input_size=32,
        fixed_size=True,
    )  # fmt: skip
    return spec, TokenPyramid(spec, net).eval()


def test_no_layer_of_a_vision_transformer_goes_without() -> None:
    spec, made = vision_transformer()
    suffix = adapted(cuts.whole(spec, made))
    tensors = {name: value.clone().requires_grad_() for name, value in suffix.start.items()}
    with torch.enable_grad():
        suffix.embed(tensors, torch.rand(2, 32 * 32 * 3) * 255).sum().backward()
    backs = [value for name, value in tensors.items() if name.endswith(B)]
    assert len(backs) == 1 + 4 * 4  # the patches', and of each block in, out and two between
    assert all(value.grad is not None for value in backs)


def adapted_tiny() -> AdaptedSuffix:
    suffix = tiny_suffix("lora")
    assert isinstance(suffix, AdaptedSuffix)
    return suffix


def test_the_mean_of_adapters_adds_the_mean_of_what_they_add() -> None:
    suffix = adapted_tiny()
    states = [
        {name.removeprefix("tuned."): value for name, value in moved(suffix, seed=n).items()}
        for n in range(3)
    ]
    mean = suffix.mean(states)
    for name in (one for one in suffix.start if one.endswith(A)):
        back = name.removesuffix(A) + B
        added = [_added(state[name], state[back]) for state in states]
        torch.testing.assert_close(_added(mean[name], mean[back]), torch.stack(added).mean(0))
        half = suffix.towards(mean, 0.5)
        torch.testing.assert_close(
            _added(half[name], half[back]), 0.5 * _added(mean[name], mean[back])
        )


def _added(into: Tensor, back: Tensor) -> Tensor:
    return back.flatten(1) @ into.flatten(1)


def test_adapters_may_have_any_rank_but_no_other_layers() -> None:
    suffix = adapted_tiny()
    for rank in (1, 24):
        own = suffix.ranked(rank).start
        assert suffix.fits(own)
        assert {value.shape[0] for name, value in own.items() if name.endswith(A)} == {rank}
    name, value = next(iter(suffix.start.items()))
    assert not suffix.fits({**suffix.start, name: value[:, :1]})
    assert not suffix.fits({key: one for key, one in suffix.start.items() if key != name})


def test_what_cannot_be_tuned_says_so(tmp_path: Path) -> None:
    saved("bert", tmp_path)
    with pytest.raises(HeadstartError) as caught:
        tunable("bert", "partial", tmp_path)
    assert caught.value.code == "cut_unavailable"


def test_a_network_is_traced_once_and_read_by_every_process_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forgetful(**_kept: Any) -> Any:
        """As of a process that has just begun."""
        return ByteCache(budget=engines.BUDGET, size=lambda suffix: suffix.nbytes)

    def tuned(depth: Depth) -> Suffix:
        monkeypatch.setattr(engines, "_HELD", forgetful())
        return tunable("efficientnet_lite0", depth, None, cache_dir=tmp_path)

    depths: tuple[Depth, ...] = ("partial", "full")
    first = {depth: tuned(depth) for depth in depths}
    monkeypatch.setattr(engines, "image_network", lambda *_: pytest.fail("it was kept"))
    for depth, one in first.items():
        again = tuned(depth)
        assert list(again.start) == list(one.start)
        assert all(torch.equal(value, again.start[name]) for name, value in one.start.items())
    assert tuned("lora").start.keys(), "adapters lie beside the layers of the whole one"
