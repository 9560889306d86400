"""From stored bytes to a head that serves."""

from __future__ import annotations

import numpy as np
import torch

from app.core.messages import Target
from app.infra.precision import fitted_on
from app.infra.storage import Storage
from worker.answers.scoring import ServingHead, live_head, serving_head
from worker.formats import models, same_weights


def load_head(storage: Storage, target: Target) -> ServingHead:
    """Read, verify and check a head. Raises model_corrupt, storage_unavailable."""
    stored = models.load(storage, target.artifact, target.sha256)
    tensors = {name: torch.from_numpy(np.array(value)) for name, value in stored.tensors.items()}
    live = live_head(tensors, stored.card.get("config"))
    trained = same_weights.trained_on(stored.card)
    return serving_head(live, weights_sha256=trained, fitted=fitted_on(stored.card))
