"""The layout says what the vector holds, for every architecture and its real weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torchvision import models

from app.core.backbones import BACKBONES
from app.core.errors import HeadstartError
from app.infra.weights import get
from worker.ml.backbones import networks
from worker.ml.backbones.networks import build, pool, pyramid
from worker.ml.features import whitening

pytestmark = pytest.mark.slow

IMAGES = [spec for spec in BACKBONES.values() if spec.modality == "image"]
TORCHVISION = [spec.name for spec in IMAGES if spec.url]


@pytest.fixture(scope="module")
def pixels() -> torch.Tensor:
    return torch.randint(
        0, 256, (2, 224, 224, 3), dtype=torch.uint8, generator=torch.manual_seed(0)
    )


def untrained(name: str) -> dict[str, torch.Tensor]:
    """Tensors of the right shapes, for tests of structure alone."""
    torch.manual_seed(0)
    return dict(models.get_model(name, weights=None).state_dict())


@pytest.mark.parametrize("spec", BACKBONES.values(), ids=lambda spec: spec.name)
def test_the_blocks_tile_the_vector(spec: networks.BackboneSpec) -> None:
    edges = [0, *(block.stop for block in spec.layout)]
    assert [block.start for block in spec.layout] == edges[:-1]
    assert spec.width == edges[-1]
    assert spec.last.stop - spec.last.start == spec.dim
    assert spec.last.level == max(block.level for block in spec.layout)


def test_the_statistics_are_those_of_space() -> None:
    cells = torch.rand(2, 5, 7)
    mean, largest, deviation = pool(cells, ("mean", "max", "std"))
    assert torch.allclose(mean, cells.mean(-1))
    assert torch.equal(largest, cells.amax(-1))
    assert torch.allclose(deviation, cells.std(-1, correction=0), atol=1e-6)


@pytest.mark.parametrize("name", TORCHVISION)
def test_the_last_block_is_what_the_classifier_reads(name: str, pixels: torch.Tensor) -> None:
    spec = get(name)
    torch.manual_seed(0)
    net = models.get_model(name, weights=None).eval()
    state = dict(net.state_dict())
    normal = (pixels.permute(0, 3, 1, 2) / 255 - torch.tensor(spec.mean).view(1, 3, 1, 1)) / (
        torch.tensor(spec.std).view(1, 3, 1, 1)
    )
    read: list[torch.Tensor] = []
    layer = {"vit_b_16": "heads", "squeezenet1_1": "classifier.1"}.get(name)
    classifier = net.get_submodule(layer) if layer else list(net.children())[-1]
    classifier.register_forward_pre_hook(lambda _, args: read.append(args[0]))
    with torch.inference_mode():
        net(normal)
        vector = build(spec, state).eval()(pixels)
    seen = read[0].flatten(2).mean(-1) if read[0].dim() == 4 else read[0]
    assert vector.shape == (2, spec.width)
    assert torch.allclose(vector[:, spec.last.start : spec.last.stop], seen, atol=1e-4, rtol=1e-3)


def test_the_real_weights_know_what_they_see(pixels: torch.Tensor) -> None:
    network, weights = pyramid("efficientnet_lite0", None)
    assert weights.source.kind == "package"
    assert weights.sha256.startswith("579344248a93e230")
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert not network.training
    with torch.inference_mode():
        assert bool(torch.isfinite(network(pixels)).all())


@pytest.mark.parametrize(
    ("name", "side", "sha256"),
    [("efficientnet_lite1", 240, "77cc7160"), ("efficientnet_lite2", 260, "9656183e")],
)
def test_larger_ones_of_the_family_fit_their_packages(name: str, side: int, sha256: str) -> None:
    spec = get(name)
    network, weights = pyramid(name, None)
    assert (spec.input_size, weights.source.kind) == (side, "package")
    assert weights.sha256.startswith(sha256)
    assert whitening.find(name, weights.sha256) is not None
    with torch.inference_mode():
        found = network(torch.zeros(1, side, side, 3, dtype=torch.uint8))
    assert found.shape == (1, spec.width)
    assert bool(torch.isfinite(found).all())


@pytest.mark.parametrize("name", ["mobilenet_v2", "squeezenet1_1"])
def test_the_weights_folder_is_read(name: str, shared_weights: Path, tmp_path: Path) -> None:
    _, weights = pyramid(name, shared_weights)
    assert weights.source.kind == "folder"
    save_file(weights.state, tmp_path / f"{name}.safetensors")
    network, again = pyramid(name, tmp_path)
    assert again.source.path.suffix == ".safetensors"
    assert network.stages is not None


def test_weights_under_the_architectures_own_names_fit_too(tmp_path: Path) -> None:
    _, weights = pyramid("efficientnet_lite0", None)
    renamed = networks._renamed("efficientnet_lite0", weights.state)
    half = {name: tensor.half().contiguous() for name, tensor in renamed.items()}
    save_file(half, tmp_path / "efficientnet_lite0.safetensors")
    _, found = pyramid("efficientnet_lite0", tmp_path)
    assert found.source.kind == "folder"


def test_no_number_is_random() -> None:
    assert all(tensor.is_meta for tensor in networks._architecture("resnet18").parameters())


def test_weights_of_another_shape_are_refused() -> None:
    state = untrained("squeezenet1_1")
    state["features.0.weight"] = torch.zeros(64, 3, 5, 5)
    with pytest.raises(HeadstartError) as caught:
        build(get("squeezenet1_1"), state)
    assert caught.value.code == "weights_invalid"
    del state["features.0.weight"]
    with pytest.raises(HeadstartError, match="squeezenet1_1"):
        build(get("squeezenet1_1"), state)


def test_foreign_names_are_refused() -> None:
    with pytest.raises(HeadstartError) as caught:
        build(
            get("efficientnet_lite0"), {"_conv_stem.weight": torch.zeros(1), "x.y": torch.ones(1)}
        )
    assert caught.value.code == "weights_invalid"


def test_half_precision_keeps_the_embedding(pixels: torch.Tensor) -> None:
    network, _ = pyramid("efficientnet_lite0", None)
    with torch.inference_mode():
        exact = network(pixels)
        network.cast(torch.bfloat16)
        rough = network.to(memory_format=torch.channels_last)(pixels)
    last = get("efficientnet_lite0").last
    assert rough.dtype == torch.float32
    assert torch.cosine_similarity(exact, rough).min() > 0.999
    columns = slice(last.start, last.stop)
    assert torch.cosine_similarity(exact[:, columns], rough[:, columns]).min() > 0.99
