"""A graph on another device than the one on which it was written down."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import fx, nn
from torch.fx.node import map_aggregate


def moved(graph: nn.Module, device: torch.device) -> nn.Module:
    """A copy of it there. torch.export writes down the device of what a network makes on its way
    (positions, masks), which moving tensors alone leaves behind.
    """
    copied = copy.deepcopy(graph).to(device)
    for one in copied.modules():
        if isinstance(one, fx.GraphModule):
            _renamed(one, device)
    return copied


def _renamed(module: fx.GraphModule, device: torch.device) -> None:
    def own(value: Any) -> Any:
        return device if isinstance(value, torch.device) else value

    for node in module.graph.nodes:
        node.args = map_aggregate(node.args, own)
        node.kwargs = map_aggregate(node.kwargs, own)
    module.recompile()
