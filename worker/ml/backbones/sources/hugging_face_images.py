"""Hugging Face folders of image networks: transformers builds them, safetensors fill them.

Of two towers (CLIP, SigLIP) it is the one of pictures, whose embedding lies in the space of both.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from app.core.backbones import BackboneSpec
from app.core.errors import HeadstartError
from app.infra import weights
from app.infra.found_backbones import hugging_face, pictures
from app.infra.found_backbones.side_file import SideFile
from worker.ml.backbones.misfit import lacking
from worker.ml.backbones.sources.hugging_face import loaded
from worker.ml.backbones.tapped import ReadNetwork
from worker.ml.backbones.taps import prefix_of
from worker.ml.backbones.weights import read as read_state

POOLER = "pooler."
"""What many files leave out; then nothing of it is read."""


class PictureTower(nn.Module):
    """Normalised pixels [n, 3, s, s] → an embedding [n, d].

    That is what the network pools by weights from its file, projected where there is another tower;
    else its [CLS] token, or the mean over tokens where it has none.
    """

    def __init__(self, model: nn.Module, *, pooled: bool) -> None:
        super().__init__()
        self.tower = getattr(model, "vision_model", model)
        self.projection = getattr(model, "visual_projection", nn.Identity())
        self._pooled = pooled

    def forward(self, pixels: Tensor) -> Tensor:
        answer = self.tower(pixel_values=pixels)
        pooled = getattr(answer, "pooler_output", None)  # many a family has none
        if self._pooled and pooled is not None:
            return torch.flatten(self.projection(pooled), 1)
        states: Tensor = answer.last_hidden_state
        if states.dim() == 4:
            return states.mean((2, 3))
        return states[:, 0] if prefix_of(states.shape[1]) else states.mean(1)


def read(spec: BackboneSpec, path: Path, side: SideFile) -> ReadNetwork:
    """Raises weights_invalid for a folder that is not read, or lacks tensors, or has more."""
    state = read_state(weights.weights_file(path))
    model, missing = loaded(path)
    left = [key for key in missing if POOLER not in key]
    if left:
        told = f"{spec.name}: {lacking(left, state)}"
        raise HeadstartError("weights_invalid", told)
    taught = pictures.stated(path)
    return ReadNetwork(
        net=PictureTower(model, pooled=not missing and _pools(model)),
        input_size=side.input_size or _side(path, taught, model.config) or spec.input_size,
        mean=side.mean or taught.mean,
        std=side.std or taught.std,
        licence=side.licence or spec.licence,
        headless=True,
    )


def _pools(model: Any) -> bool:
    """Whether its pooled output is an embedding: a dense layer there was taught something else."""
    return not hasattr(getattr(model, "pooler", None), "dense")


def _side(folder: Path, taught: pictures.StatedPixels, config: Any) -> int | None:
    """What it is cropped to, else resized to, else made for; in pixels."""
    return hugging_face.side(folder, taught, config.to_dict())
