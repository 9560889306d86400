"""A whole network of several backbones: which input is whose, in the three formats' one module."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from torch import Tensor, nn

from app.core import exports
from app.core.backbones import BACKBONES, EFFICIENTNET, BackboneSpec, combined
from worker.ml.features import spaces, whitening
from worker.ml.fit import fit
from worker.ml.heads import export, scoring
from worker.ml.heads.export import ExportedNetwork
from worker.ml.tasks import Support, Task

pytestmark = pytest.mark.slow

BOTH = combined([BACKBONES["efficientnet_lite0"], BACKBONES["efficientnet_lite2"]])


class Drawn(nn.Module):
    """Pixels [n, s, s, 3] → [n, D]: a fixed drawn map of their corner, so that sides matter."""

    def __init__(self, spec: BackboneSpec, seed: int) -> None:
        super().__init__()
        self.side = spec.input_size
        generator = torch.Generator().manual_seed(seed)
        self.map = nn.Parameter(torch.randn(12, spec.width, generator=generator))

    def forward(self, pixels: Tensor) -> Tensor:
        return pixels[:, :2, :2].flatten(1).float() @ self.map


def test_each_input_goes_through_its_own_backbone() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(12) % 3
    rows = torch.rand(12, BOTH.width, generator=generator)
    support = Support(
        features={"squish": rows.half(), "mirror": rows.flip(1).half()},
        labels=labels,
        groups=torch.arange(12),
        ids=[str(number) for number in range(12)],
        classes=["a", "b", "c"],
    )
    task = Task(
        method="logistic",
        hyperparameters={"prediction_views": "all"},
        support=support,
        layout=BOTH.layout,
        backbone=BOTH.name,
    )
    head = scoring.load(fit(task).head)
    assert head.config.views == ("squish", "mirror")
    inputs = export.inputs(head, BOTH)
    assert [(one["view"], one["size"]) for one in inputs] == [
        ("squish", 224),
        ("mirror", 224),
        ("squish", 260),
        ("mirror", 260),
    ]
    pixels = [
        torch.randint(0, 255, (2, int(one["size"]), int(one["size"]), 3), generator=generator)
        for one in inputs
    ]
    networks = [Drawn(one, seed) for seed, one in enumerate(BOTH.parts)]
    found = ExportedNetwork(networks, head, BOTH.layout)(*pixels)
    features = {
        view: torch.cat([networks[0](pixels[place]), networks[1](pixels[place + 2])], 1)
        for place, view in enumerate(head.config.views)
    }
    torch.testing.assert_close(found, scoring.forward(head, features, layout=BOTH.layout))


def test_one_backbones_inputs_read_as_they_did() -> None:
    """A bundle's card: only of several backbones each input says how large JPEGs are decoded."""
    spec = BACKBONES["efficientnet_lite0"]
    support = Support(
        features={"squish": torch.rand(6, spec.width).half()},
        labels=torch.arange(6) % 2,
        groups=torch.arange(6),
        ids=[str(number) for number in range(6)],
        classes=["a", "b"],
    )
    task = Task(
        method="ridge", hyperparameters={}, support=support, layout=spec.layout, backbone=spec.name
    )
    head = scoring.load(fit(task).head)
    assert export.inputs(head, spec) == [{"view": "squish", "size": 224}]


@pytest.mark.parametrize("export_format", exports.FORMATS)
@pytest.mark.filterwarnings("ignore")  # exporters warn of their own age
def test_the_first_thing_that_a_process_does_may_be_an_export(
    export_format: str, tmp_path: Path
) -> None:
    """Generic statistics are read from a file once a process, and by no exporter."""
    (file,) = whitening.FOLDER.glob(f"{EFFICIENTNET.name}.*.safetensors")
    rows = torch.rand(6, EFFICIENTNET.width, generator=torch.Generator().manual_seed(0))
    support = Support(
        features={"squish": rows.half()},
        labels=torch.arange(6) % 2,
        groups=torch.arange(6),
        ids=[str(number) for number in range(6)],
        classes=["a", "b"],
    )
    task = Task(
        method="ridge",
        hyperparameters={},
        support=support,
        layout=EFFICIENTNET.layout,
        backbone=EFFICIENTNET.name,
        weights_sha256=_weights_of(file),
    )
    head = scoring.load(fit(task).head)
    assert head.config.statistics == file.stem
    before = scoring.forward(head, {"squish": rows}, layout=EFFICIENTNET.layout)
    for kept in (spaces.transform, whitening.load):
        kept.cache_clear()
    network = ExportedNetwork([Drawn(EFFICIENTNET, 0)], head, EFFICIENTNET.layout)
    export.write(network, [224], to=export_format, folder=tmp_path)
    after = scoring.forward(head, {"squish": rows}, layout=EFFICIENTNET.layout)
    torch.testing.assert_close(after, before)


def _weights_of(statistics: Path) -> str:
    with safe_open(statistics, "pt") as file:
        told: str = file.metadata()["weights_sha256"]
    return told
