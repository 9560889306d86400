"""From stored bytes to a head that serves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from app.core.messages import Target
from app.core.modalities import Depth, mapped
from app.infra.precision import fitted_on
from app.infra.storage import Storage
from worker.answers.scoring import ServingHead, live_head, serving_head
from worker.formats import models, same_weights
from worker.ml.backbones.suffix import Suffix
from worker.ml.engines.tunable import serving
from worker.ml.features.spaces import TUNED
from worker.ml.heads.tuned_suffix import TunedSuffix
from worker.predictor.readers import Reader


def load_head(
    storage: Storage,
    target: Target,
    weights_dir: Path | None,
    *,
    cache_dir: Path | None = None,
    observe: Callable[[float], None] = lambda _seconds: None,
) -> ServingHead:
    """Read, verify and check a head; the network that was cut for a tuned one is kept in
    `cache_dir`, and `observe` is told the seconds of its own passes.

    Raises model_corrupt, storage_unavailable, and as a network that cannot be loaded or cut.
    """
    stored = models.load(storage, target.artifact, target.sha256)
    tensors = {name: torch.from_numpy(np.array(value)) for name, value in stored.tensors.items()}
    live = live_head(
        tensors,
        stored.card.get("config"),
        suffix=lambda depth: serving(target.backbone, depth, weights_dir, cache_dir=cache_dir),
    )
    if live.tuned is not None:
        live = replace(live, tuned=replace(live.tuned, observe=observe))
    trained = same_weights.trained_on(stored.card)
    return serving_head(
        live,
        weights_sha256=trained,
        fitted=fitted_on(stored.card),
        read_as=same_weights.read_as(stored.card),
    )


@torch.no_grad()
def rehearse(reader: Reader, sizes: Sequence[int], suffix: Suffix, *, depth: Depth) -> None:
    """Run once what a network tuned so deep reads, in batches of `sizes`, and itself by the
    tensors at its start. Raises cut_unavailable.
    """
    begun = {f"{TUNED}.{name}": value for name, value in suffix.start.items()}
    tuned = TunedSuffix.of(suffix, begun)
    if suffix.encoder is not None:
        tuned.read([reader.example])
        return
    example: Any = replace(reader.example, behind=mapped("", depth))
    for size in sizes:
        reader.forward([example] * size)
    tuned(torch.zeros(1, suffix.cut.width))
