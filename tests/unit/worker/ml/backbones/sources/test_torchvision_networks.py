"""Every classification network of torchvision works by its own weights' metadata."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torchvision import models

from app.core.errors import HeadstartError
from app.infra import found_backbones, weights
from tests.unit.worker.ml.backbones.sources.kit import agreeing
from worker.ml.backbones.networks import pyramid
from worker.ml.backbones.sources import image_network, torchvision_networks
from worker.ml.backbones.sources.loading import filled
from worker.ml.backbones.tapped import ReadNetwork, tapped

pytestmark = pytest.mark.slow


def saved(name: str, folder: Path, **arguments: Any) -> Path:
    """Tensors of the right shapes: no network of torchvision but our own has its weights here."""
    torch.manual_seed(0)
    path = folder / f"{name}.safetensors"
    save_file(models.get_model(name, weights=None, **arguments).state_dict(), path)
    return path


def test_the_table_is_what_the_library_says() -> None:
    assert torchvision_networks.table() == found_backbones.torchvision()


def test_every_network_is_listed_and_says_where_its_weights_are() -> None:
    known = weights.registry(None)
    assert set(models.list_models(module=models)) <= known.keys()
    reason = weights.availability("swin_t", None).reason or ""
    assert "HEADSTART_WEIGHTS_DIR" in reason
    assert "https://download.pytorch.org/models/swin_t-704ceda3.pth" in reason


@pytest.mark.parametrize("name", ["mobilenet_v3_small", "shufflenet_v2_x0_5"])
def test_torch_and_the_cpu_engine_agree(name: str, tmp_path: Path) -> None:
    saved(name, tmp_path)
    spec = agreeing(name, tmp_path)
    assert spec.source == "torchvision"
    assert not spec.fixed_size
    assert len({block.level for block in spec.layout}) >= 5


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "mobilenet_v3_small", "vit_b_32"])
def test_a_file_of_another_number_of_classes_is_read_as_it_is(name: str, tmp_path: Path) -> None:
    path = saved(name, tmp_path, num_classes=5)
    spec, network = image_network(name, tmp_path)
    pixels = torch.zeros(1, spec.input_size, spec.input_size, 3, dtype=torch.uint8)
    assert network.eval()(pixels).shape == (1, spec.width)
    wide = {**load_file(path), "more.weight": torch.zeros(3, 3)}
    save_file(wide, path)
    with pytest.raises(HeadstartError, match=r"the file has more than this network: more\.weight"):
        image_network(name, tmp_path)


def test_a_network_that_renormalises_does(tmp_path: Path) -> None:
    saved("googlenet", tmp_path, aux_logits=True, init_weights=False)
    _, network = image_network("googlenet", tmp_path)
    assert network.stages[0].transform_input


def test_real_weights_give_the_embedding_that_their_own_pyramid_gives(
    shared_weights: Path,
) -> None:
    own, loaded = pyramid("squeezenet1_1", shared_weights)
    spec = weights.get("squeezenet1_1", shared_weights)
    net = filled("squeezenet1_1", lambda: models.get_model("squeezenet1_1"), loaded.state)
    read = ReadNetwork(net=net, input_size=224, mean=spec.mean, std=spec.std, licence="")
    known, network = tapped(spec, read)
    pixels = torch.randint(0, 256, (2, 224, 224, 3), dtype=torch.uint8)
    with torch.inference_mode():
        ours, theirs = own(pixels), network(pixels)
    a, b = spec.last, known.last
    assert torch.allclose(ours[:, a.start : a.stop], theirs[:, b.start : b.stop], atol=1e-5)


def test_a_pickle_is_read_only_if_the_library_publishes_it(tmp_path: Path) -> None:
    torch.save(models.mobilenet_v3_small().state_dict(), tmp_path / "mobilenet_v3_small.pth")
    with pytest.raises(HeadstartError, match="safetensors") as caught:
        image_network("mobilenet_v3_small", tmp_path)
    assert caught.value.code == "weights_invalid"


def test_tensors_of_another_network_are_refused(tmp_path: Path) -> None:
    saved("shufflenet_v2_x0_5", tmp_path).rename(tmp_path / "mnasnet0_5.safetensors")
    with pytest.raises(HeadstartError, match="mnasnet0_5") as caught:
        image_network("mnasnet0_5", tmp_path)
    assert caught.value.code == "weights_invalid"
