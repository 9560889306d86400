"""A graph that was written down on one device computes on another."""

from __future__ import annotations

import torch
from torch import Tensor, fx, nn

from worker.ml.backbones.moving import moved

THERE = torch.device("meta")
"""A device that every machine has, and whose tensors meet no other's."""


class Positions(nn.Module):
    """Makes positions on its way, as networks of tokens do."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(8, 4)
        self.register_buffer("scale", torch.full((1,), 2.0))

    def forward(self, x: Tensor) -> Tensor:
        where = torch.arange(x.shape[1], device=x.device)
        return (x + self.table(where)) * self.scale


def written_down() -> fx.GraphModule:
    whole: fx.GraphModule = torch.export.export(Positions(), (torch.zeros(2, 5, 4),)).module()
    return whole


def named(graph: fx.GraphModule) -> set[torch.device]:
    return {
        value
        for node in graph.graph.nodes
        for value in (*node.args, *node.kwargs.values())
        if isinstance(value, torch.device)
    }


def test_what_a_graph_makes_on_its_way_is_made_there() -> None:
    graph = written_down()
    assert named(graph) == {torch.device("cpu")}
    there = moved(graph, THERE)
    assert isinstance(there, fx.GraphModule)
    assert named(there) == {THERE}
    answer = there(torch.zeros(2, 5, 4, device=THERE))
    assert (answer.device.type, answer.shape) == ("meta", (2, 5, 4))


def test_the_original_stays_where_it_is() -> None:
    graph, x = written_down(), torch.randn(2, 5, 4)
    before = graph(x)
    moved(graph, THERE)
    assert torch.equal(graph(x), before)
    assert named(graph) == {torch.device("cpu")}
