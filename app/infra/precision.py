"""What engines compute in, and which of a machine's engines answers a model."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from pydantic_core import from_json

from app.core.errors import HeadstartError

Precision = Literal["f32", "bf16"]
Choice = Literal["auto", "f32", "bf16"]
"""What an operator may set; `auto` is the rule of ADR 18."""
_KNOWN: tuple[Precision, ...] = ("f32", "bf16")
_ENGINE = re.compile(r"[a-z0-9-]{1,60}")


@lru_cache(1024)
def precision_of(engine: str) -> Precision | None:
    """The precision in an engine's name, such as `openvino-bf16`; None where it says none."""
    return next((known for known in _KNOWN if known in engine.split("-")), None)


def fitted_on(card: Mapping[str, Any]) -> str:
    """The engine that a stored model's embeddings came from; nothing where its card says none."""
    backbone = card.get("backbone")
    told = backbone.get("precision") if isinstance(backbone, Mapping) else None
    return told if isinstance(told, str) and _ENGINE.fullmatch(told) else ""


def served_as(served: str, fitted: str) -> str:
    """What an answer says of itself: its engine, and the model's own where that computes otherwise.

    A header's value, such as `openvino-f32; fitted=openvino-bf16`.
    """
    wanted = precision_of(fitted)
    if wanted is None or wanted == precision_of(served):
        return served
    return f"{served}; fitted={fitted}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Precisions:
    """A machine's engines by name: what it computes in unless told otherwise, and all it can."""

    default: str
    available: tuple[str, ...]

    @classmethod
    def read(cls, body: bytes) -> Precisions:
        """What the predictor says of its machine. Raises predictor_unavailable for nonsense."""
        try:
            told = from_json(body)
            return cls(default=str(told["default"]), available=tuple(map(str, told["available"])))
        except (ValueError, KeyError, TypeError) as error:
            said = "the predictor answered nonsense"
            raise HeadstartError("predictor_unavailable", said) from error

    def serving(self, fitted: str) -> str:
        """What answers a model fitted on the engine `fitted`: its precision, else the default."""
        wanted = precision_of(fitted)
        return next((one for one in self.available if precision_of(one) == wanted), self.default)

    @property
    def default_precision(self) -> Precision:
        """The default engine's precision."""
        precision = precision_of(self.default)
        assert precision is not None
        return precision
