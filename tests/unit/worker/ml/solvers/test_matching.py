"""Attention over the support against its definition."""

from __future__ import annotations

import torch

from worker.ml.solvers import matching


def test_probabilities_are_attention_times_labels() -> None:
    generator = torch.Generator().manual_seed(0)
    cosine = torch.rand(4, 6, generator=generator, dtype=torch.double)
    weights = torch.rand(6, generator=generator, dtype=torch.double)
    labels = torch.tensor([0, 1, 1, 2, 0, 2])
    found = matching.logits(cosine, labels, weights, sharpness=torch.tensor([3.0, 9.0]))
    attention = weights * (9 * cosine).exp()
    attention = attention / attention.sum(1, keepdim=True)
    expected = attention @ torch.nn.functional.one_hot(labels).double()
    torch.testing.assert_close(found[1].softmax(1), expected)


def test_rows_of_no_weight_are_not_attended_to() -> None:
    cosine = torch.ones(2, 3, dtype=torch.double)
    weights = torch.tensor([[1.0, 0.0, 0.0], [1.0, 1.0, 1.0]], dtype=torch.double)
    labels = torch.tensor([0, 1, 1])
    found = matching.logits(cosine, labels, weights, sharpness=torch.tensor([5.0]))[0].softmax(1)
    torch.testing.assert_close(found, torch.tensor([[1, 0], [1 / 3, 2 / 3]], dtype=torch.double))
