"""Batch norms of a frozen network, folded into the convolutions before them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx, nn

_NORM = torch.ops.aten.batch_norm.default
_CONVOLUTIONS = (torch.ops.aten.conv2d.default, torch.ops.aten.convolution.default)
_EPSILON = 7
"""The place of ε among a norm's arguments."""


def fold_norms(graph: fx.GraphModule) -> None:
    """Take out of an exported graph every norm that reads a convolution and nothing else does.

    A norm that only scales and shifts costs as much as the arithmetic around it, and its frozen
    means would drift from tuned weights no less if it stayed (Jacob et al. 2018, section 3.2).
    """
    for node in list(graph.graph.nodes):
        if node.op == "call_function" and node.target is _NORM and _follows(node):
            _fold(graph, node)
    graph.graph.eliminate_dead_code()
    graph.delete_all_unused_submodules()
    graph.recompile()
    _forget_unread(graph)


def _follows(norm: fx.Node) -> bool:
    before: Any = norm.args[0]
    alone = before.target in _CONVOLUTIONS and len(before.users) == 1
    return alone and all(_is_tensor(arg) for arg in norm.args[1:5] if arg is not None)


def _is_tensor(arg: Any) -> bool:
    return isinstance(arg, fx.Node) and arg.op == "get_attr"


def _fold(graph: fx.GraphModule, norm: fx.Node) -> None:
    """w·gamma/√(σ² + ε) and β + (b - μ)·gamma/√(σ² + ε) in place of w and b."""
    conv: Any = norm.args[0]
    gamma, beta, mean, variance = (_tensor(graph, arg) for arg in norm.args[1:5])
    weight, bias = _tensor(graph, conv.args[1]), None
    if len(conv.args) > 2 and conv.args[2] is not None:
        bias = _tensor(graph, conv.args[2])
    assert weight is not None
    assert mean is not None
    assert variance is not None
    epsilon: Any = norm.args[_EPSILON]
    scale = torch.rsqrt(variance + epsilon) * (1.0 if gamma is None else gamma)
    shift = (0.0 if bias is None else bias) - mean
    folded = weight * scale.reshape(-1, *[1] * (weight.dim() - 1))
    moved = shift * scale + (0.0 if beta is None else beta)
    name = str(conv.args[1].target).removesuffix(".weight").replace(".", "_")
    graph.register_parameter(f"{name}_weight", nn.Parameter(folded.detach().clone()))
    graph.register_parameter(f"{name}_bias", nn.Parameter(moved.detach().clone()))
    with graph.graph.inserting_before(conv):
        read = [graph.graph.get_attr(f"{name}_{part}") for part in ("weight", "bias")]
    conv.args = (conv.args[0], *read, *conv.args[3:])
    norm.replace_all_uses_with(conv)


def _tensor(graph: fx.GraphModule, node: Any) -> Tensor | None:
    if node is None:
        return None
    at: Any = graph
    for part in str(node.target).split("."):
        at = getattr(at, part)
    found: Tensor = at.detach()
    return found


def _forget_unread(graph: fx.GraphModule) -> None:
    """Parameters that no node reads any more are no part of what is tuned."""
    read = {str(node.target) for node in graph.graph.nodes if node.op == "get_attr"}
    for name in [name for name, _ in graph.named_parameters() if name not in read]:
        where, _, leaf = name.rpartition(".")
        delattr(graph.get_submodule(where), leaf)
