"""A support set's rows, chosen without copying more than is read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from worker.ml.tasks import Chosen


class Counting(Mapping[str, Tensor]):
    """Two views, and how often they were read."""

    def __init__(self) -> None:
        self.read: list[str] = []

    def __getitem__(self, view: str) -> Tensor:
        self.read.append(view)
        return torch.arange(6.0)[:, None] + (view == "mirror")

    def __iter__(self) -> Iterator[str]:
        return iter(("squish", "mirror"))

    def __len__(self) -> int:
        return 2

    def __contains__(self, view: object) -> bool:
        return view in ("squish", "mirror")


def test_only_what_is_asked_for_is_read() -> None:
    features = Counting()
    chosen = Chosen(Chosen(features, torch.tensor([5, 3, 1])), torch.tensor([2, 0]))
    assert "squish" in chosen
    assert "pad" not in chosen
    assert list(chosen) == ["squish", "mirror"]
    assert len(chosen) == 2
    assert features.read == []
    assert chosen["mirror"].tolist() == [[2.0], [6.0]]
    assert features.read == ["mirror"]
