"""Convolutions of one pixel are products, and nothing else becomes one."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from worker.ml.backbones.pointwise import as_products, by_input, product


class Mixed(nn.Module):
    """What is a product and what only looks like one."""

    def __init__(self) -> None:
        super().__init__()
        self.wide = nn.Conv2d(4, 12, 1)
        self.bare = nn.Conv2d(12, 12, 1, bias=False)
        self.apart = nn.Conv2d(12, 12, 1, groups=3)
        self.sparse = nn.Conv2d(12, 12, 1, stride=2)
        self.framed = nn.Conv2d(12, 12, 1, padding=1)
        self.window = nn.Conv2d(12, 6, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.hardtanh_(self.wide(x), 0.0, 6.0)
        made: Tensor = self.window(self.framed(self.sparse(self.apart(x + self.bare(x)))))
        return made


@pytest.mark.parametrize("pictures", [1, 3])
def test_a_graph_of_products_says_the_same(pictures: int) -> None:
    torch.manual_seed(0)
    module, x = Mixed().eval().requires_grad_(False), torch.randn(pictures, 4, 9, 7)
    graph = torch.export.export(module, (x,)).module()
    made = as_products(graph)
    for name, value in made.named_parameters():
        value.data = by_input(value.data)
        assert value.shape == module.get_parameter(name).shape
    assert [node.target for node in made.graph.nodes].count(product) == 2
    torch.testing.assert_close(made(x), module(x), rtol=1e-5, atol=1e-5)


def test_numbers_are_laid_out_anew_only_where_a_product_reads_them() -> None:
    weight = torch.randn(5, 3, 1, 1)
    assert torch.equal(by_input(weight), weight)
    assert by_input(weight).flatten(1).t().is_contiguous()
    for other in (torch.randn(5), torch.randn(5, 3), torch.randn(5, 3, 3, 3)):
        assert by_input(other) is other
