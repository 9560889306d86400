"""torchvision's classification networks, each as its own weights' metadata say."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torchvision import models

from app.core.backbones import BackboneSpec
from app.infra.found_backbones.side_file import SideFile
from worker.ml.backbones.misfit import classes, unprefixed
from worker.ml.backbones.sources.loading import filled
from worker.ml.backbones.tapped import ReadNetwork
from worker.ml.backbones.weights import read_hashed

_AS_TAUGHT = {"aux_logits": True, "transform_input": True, "init_weights": False}
"""What the builders of these two set where weights come with them."""
_ARGUMENTS: dict[str, dict[str, Any]] = {"googlenet": _AS_TAUGHT, "inception_v3": _AS_TAUGHT}


def read(spec: BackboneSpec, path: Path, side: SideFile) -> ReadNetwork:
    """Raises weights_invalid for tensors that are not this network's."""
    name = side.architecture or spec.name
    state = read_hashed(path, _hashes(spec.name))
    with torch.device("meta"):
        wanted = _built(name, spec.input_size).state_dict()
    state = unprefixed(spec.name, wanted, state)
    taught = classes(wanted, state)
    net = filled(spec.name, lambda: _built(name, spec.input_size, taught), state)
    return ReadNetwork(
        net=net, input_size=spec.input_size, mean=spec.mean, std=spec.std, licence=spec.licence
    )


def _built(name: str, side: int, taught: int | None = None) -> nn.Module:
    """Of so many classes as the file was taught: the last layer is not read."""
    arguments = {"image_size": side} if name.startswith("vit_") else _ARGUMENTS.get(name, {})
    counted = {} if taught is None else {"num_classes": taught}
    net: nn.Module = models.get_model(name, weights=None, **arguments, **counted)
    return net


def _hashes(name: str) -> list[str]:
    """The first characters of the SHA-256 of every file that the library itself would download."""
    return [url.rsplit("-", 1)[1].partition(".")[0] for url in _urls(name)]


def _urls(name: str) -> list[str]:
    known = models.get_model_weights(name)
    return list(dict.fromkeys([known.DEFAULT.url, *(one.url for one in known)]))


def table() -> dict[str, dict[str, Any]]:
    """What `app.infra` keeps of every network, for processes without torchvision."""
    return {name: _told(name) for name in models.list_models(module=models)}


def _told(name: str) -> dict[str, Any]:
    taught = models.get_model_weights(name).DEFAULT.transforms()
    return {
        "input_size": taught.crop_size[0],
        "mean": list(taught.mean),
        "std": list(taught.std),
        "urls": _urls(name),
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(table(), indent=1) + "\n")
