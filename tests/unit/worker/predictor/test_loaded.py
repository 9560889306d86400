"""A rehearsal runs what a first ask would run: the engine's passes, and the network's own."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest
import torch

from app.core.modalities import Depth, mapped
from tests.unit.worker.ml.tiny_network import SIDE, both, tiny_suffix
from worker.ml.backbones.suffix import Suffix
from worker.predictor.loaded import rehearse
from worker.predictor.readers import PreparedPicture

pytestmark = pytest.mark.slow


class Reader:
    """Of pictures."""

    def __init__(self) -> None:
        self.example: Any = PreparedPicture([np.zeros((SIDE, SIDE, 3), np.uint8)])
        self.passes: list[tuple[int, str]] = []

    def forward(self, batch: Any) -> Any:
        self.passes += {(len(batch), one.behind) for one in batch}
        return [both(torch.from_numpy(np.stack(one.pixels)))[0].numpy() for one in batch]


@pytest.mark.parametrize("depth", get_args(Depth))
def test_every_depth_is_run_in_every_size(depth: Depth, monkeypatch: pytest.MonkeyPatch) -> None:
    reader: Any = Reader()
    suffix, shaped = tiny_suffix(depth), Suffix.shaped
    run: list[int] = []

    def noted(own: Suffix, activations: torch.Tensor) -> torch.Tensor:
        run.append(len(activations))
        return shaped(own, activations)

    monkeypatch.setattr(Suffix, "shaped", noted)
    rehearse(reader, [1, 2, 4], suffix, depth=depth)
    assert reader.passes == [(size, mapped("", depth)) for size in (1, 2, 4)]
    assert run == [1]
    rehearse(reader, [1], suffix, depth=depth)
    with torch.no_grad():
        made = suffix.embed(suffix.start, torch.zeros(1, suffix.cut.width))
    assert made.isfinite().all(), "models made after it find the network as it was"
