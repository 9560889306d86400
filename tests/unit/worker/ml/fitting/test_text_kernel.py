"""Texts as kernels."""

from __future__ import annotations

import torch

from worker.ml.features import ngrams
from worker.ml.fitting.text_kernel import Kernel, Mix


def kernel() -> Kernel:
    """Four texts of three classes, and the names of these as anchors."""
    said = ["a cat", "the dog", "one cat", "a bird", "cat", "dog", "bird"]
    rows = torch.nn.functional.normalize(
        torch.randn(7, 5, generator=torch.Generator().manual_seed(0)), dim=1
    )
    return Kernel(
        parts=[rows],
        table=ngrams.rows(said),
        labels=torch.tensor([0, 1, 0, 2, 0, 1, 2]),
        importance=torch.arange(7.0),
        classes=3,
        anchors=3,
    )


def test_of_some_classes_a_kernel_has_their_anchors_alone() -> None:
    whole = kernel()
    thin = whole.take(torch.tensor([0, 1, 2])).first(2)
    kept = [0, 1, 2, 4, 5]
    assert (thin.classes, thin.anchors, thin.count) == (2, 2, 3)
    assert thin.labels.tolist() == [0, 1, 0, 0, 1]
    assert thin.importance.tolist() == kept
    mix = Mix(lexical=0.3)
    rows, every = thin.coordinates(mix), whole.coordinates(mix)
    torch.testing.assert_close(rows @ rows.T, (every @ every.T)[kept][:, kept])
