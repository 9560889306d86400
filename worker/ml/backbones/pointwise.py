"""Convolutions of one pixel as matrix products, for graphs that are served a picture at a time.

Of one picture torch computes them through its oldest road, which fills in the bias first and reads
weights that lie the wrong way round. A product on pixels with channels side by side needs neither.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx

_CONV = torch.ops.aten.conv2d.default
_ALONE: tuple[tuple[Any, ...], ...] = (([1, 1], (1, 1)), ([0, 0], (0, 0)), (), (1,))
"""Stride, padding, dilation (which one pixel has none of) and groups of what is a product."""


def as_products(graph: fx.GraphModule) -> fx.GraphModule:
    """The same graph, in which every convolution of one pixel and one group is a product."""
    for node in graph.graph.nodes:
        if node.target is _CONV and _is_product(graph, node):
            node.target, node.args = product, (*node.args[:3],)
    graph.recompile()
    return graph


def product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """[n, out, h, w] of x [n, in, h, w] by weight [out, in, 1, 1] and bias [out]."""
    pixels = x.permute(0, 2, 3, 1)
    rows, by_input = pixels.reshape(-1, x.shape[1]), weight.flatten(1).t()
    made = rows @ by_input if bias is None else torch.addmm(bias, rows, by_input)
    return made.view(*pixels.shape[:3], -1).permute(0, 3, 1, 2)


def by_input(weight: Tensor) -> Tensor:
    """The same numbers; of one pixel with those of an input side by side, as a product reads
    them fastest.
    """
    if weight.dim() != 4 or weight.shape[2:] != (1, 1):
        return weight
    return weight.flatten(1).t().contiguous().t()[..., None, None]


def _is_product(graph: fx.GraphModule, node: fx.Node) -> bool:
    weight: Any = node.args[1]
    if weight.op != "get_attr" or _shape(graph, str(weight.target))[2:] != (1, 1):
        return False
    given = node.args[3:]
    return all(not few or one in few for one, few in zip(given, _ALONE, strict=False))


def _shape(graph: fx.GraphModule, name: str) -> torch.Size:
    where, _, leaf = name.rpartition(".")
    tensor: Tensor = getattr(graph.get_submodule(where), leaf)
    return tensor.shape
