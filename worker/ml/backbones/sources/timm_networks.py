"""timm's networks by their names, preprocessed as their `pretrained_cfg` says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import timm
import torch
from torch import nn

from app.core.backbones import BackboneSpec
from app.core.errors import HeadstartError
from app.infra.found_backbones import UNSTATED, torchvision
from app.infra.found_backbones.side_file import SideFile
from worker.ml.backbones.misfit import unprefixed
from worker.ml.backbones.sources.loading import filled
from worker.ml.backbones.tapped import ReadNetwork
from worker.ml.backbones.weights import State
from worker.ml.backbones.weights import read as read_state


def read(spec: BackboneSpec, path: Path, side: SideFile) -> ReadNetwork:
    """Raises weights_invalid for an unknown name, or tensors that are not this network's."""
    name = side.architecture or spec.name
    taught = _taught(name, f"{spec.name}.json")
    state = _plain(spec.name, name, read_state(path))
    classes = _classes(taught, state)
    net = filled(spec.name, lambda: _built(name, classes, side.input_size), state)
    return ReadNetwork(
        net=net,
        input_size=side.input_size or int(taught["input_size"][-1]),
        mean=side.mean or tuple(taught["mean"]),
        std=side.std or tuple(taught["std"]),
        licence=side.licence or str(taught.get("license") or UNSTATED),
    )


def _plain(spec: str, name: str, state: State) -> State:
    """Without what a trainer put before every name; the last layer may be any."""
    with torch.device("meta"):
        trunk = timm.create_model(name, pretrained=False, num_classes=0).state_dict()
    return unprefixed(spec, trunk, state)


def _taught(name: str, side_file: str) -> Mapping[str, Any]:
    """What the library says of the weights under this name. Raises weights_invalid."""
    if not timm.is_model(name):
        known = f" (torchvision's is read as {name}.safetensors alone)"
        told = (
            f"timm knows no network called {name!r}{known if name in torchvision() else ''}: name "
            "the file as timm does, or write timm's name as "
            f'{{"architecture": "…"}} into {side_file}'
        )
        raise HeadstartError("weights_invalid", told)
    try:
        taught: Mapping[str, Any] = timm.get_pretrained_cfg(
            name, allow_unregistered=False
        ).to_dict()
    except RuntimeError as error:  # a tag that it does not know
        told = f"{name}: timm knows no such tag: leave out what stands behind the dot"
        raise HeadstartError("weights_invalid", told) from error
    return taught


def _classes(taught: Mapping[str, Any], state: State) -> int:
    """As many as the file's classifier has; 0 where it has none."""
    named = taught.get("classifier") or ""
    name = named if isinstance(named, str) else named[0]
    weight = state.get(f"{name}.weight")
    return 0 if weight is None else len(weight)


def _built(name: str, classes: int, side: int | None) -> nn.Module:
    sized = {} if side is None else {"img_size": side}
    try:
        net: nn.Module = timm.create_model(name, pretrained=False, num_classes=classes, **sized)
    except TypeError:  # it reads any side, and does not ask for one
        net = timm.create_model(name, pretrained=False, num_classes=classes)
    return net
