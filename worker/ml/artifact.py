"""One fit's answer: the head as it is saved, and what is said of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class HeadArtifact:
    """What is saved of a head: named tensors and readable JSON."""

    tensors: dict[str, Tensor]
    config: dict[str, Any]

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors."""
        return sum(value.numel() * value.element_size() for value in self.tensors.values())


@dataclass(frozen=True, kw_only=True)
class Fit:
    """A fitted head, how good it is, what was resolved from "auto", and what would help."""

    head: HeadArtifact
    evaluation: dict[str, Any]
    hyperparameters: dict[str, Any]
    advice: dict[str, Any] = field(default_factory=dict)
    checkpoints: list[Any] = field(default_factory=list)
