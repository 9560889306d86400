"""Tensors into a network that was built without any: all of them, in their shapes, or none."""

from __future__ import annotations

import logging
from collections.abc import Callable
from itertools import chain

import torch
from torch import nn

from app.core.errors import HeadstartError
from worker.ml.backbones.misfit import fill
from worker.ml.backbones.weights import State

_log = logging.getLogger(__name__)


def filled(name: str, build: Callable[[], nn.Module], state: State) -> nn.Module:
    """The network with `state` in it, in float32 and eval mode.

    It is built on the meta device, where there are no random numbers that could stay; one that
    computes tables of its own there is built anew with them. Raises weights_invalid unless every
    parameter comes from `state`.
    """
    floats = {key: t.float() if t.is_floating_point() else t for key, t in state.items()}
    try:
        with torch.device("meta"):
            net = build()
        fill(name, net, floats)
        if any(tensor.is_meta for tensor in chain(net.parameters(), net.buffers())):
            net = build()
            fill(name, net, floats)
    except (RuntimeError, ValueError) as error:
        _log.warning("%s: the network cannot be built: %s", name, error)
        told = f"{name}: no network of this name can be built of what lies beside its file"
        raise HeadstartError("weights_invalid", f"{told}: look at its `input_size`") from error
    return net.eval()
