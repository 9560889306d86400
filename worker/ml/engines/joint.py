"""Several backbones as one: every input goes through each, and their vectors lie side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np

from app.core.backbones import JOINT, BackboneSpec, combined, former_of_parts
from app.core.errors import HeadstartError
from worker.ml.engines.base import Engine, TextEngine, Vectors, Windows


class JointEngine:
    """What is so of images as of texts; `parts` are the backbones' engines, in order."""

    def __init__(self, spec: BackboneSpec, parts: Sequence[Engine]) -> None:
        self.spec, self.parts = spec, tuple(parts)
        self.weights_sha256 = JOINT.join(one.weights_sha256 for one in parts)
        self.fingerprint = JOINT.join(one.fingerprint for one in parts)
        self.former = former_of_parts((one.fingerprint, *one.former) for one in parts)
        self.precision = parts[0].precision
        self.best_batch = min(one.best_batch for one in parts)


class JointTexts(JointEngine):
    """Encoders of texts."""

    @property
    def encoder(self) -> Windows:
        """That of the part which reads least of a text."""
        encoders = [cast("TextEngine", one).encoder for one in self.parts]
        return min(encoders, key=lambda one: one.room * one.most_windows)

    def embed(self, batch: Sequence[str]) -> Vectors:
        """Texts → float32 [n, ΣD]."""
        return np.hstack([cast("TextEngine", one).embed(batch) for one in self.parts])


class JointImages(JointEngine):
    """Networks of pictures, each of which reads a side of its own."""

    def embed(self, batch: Any) -> Vectors:  # noqa: ARG002
        """Raises internal: there is no picture that all of them read."""
        raise HeadstartError("internal", f"{self.spec.name} reads a picture a backbone")

    def embed_with_map(self, batch: Any) -> Vectors:
        """Raises internal, likewise."""
        return self.embed(batch)


_JOINED: dict[str, Callable[[BackboneSpec, Sequence[Engine]], Engine]] = {
    "text": JointTexts,
    "image": JointImages,
}


def joint(parts: Sequence[Engine]) -> Engine:
    """The engines of a backbone's parts, in their order, as one; one alone is itself."""
    if len(parts) == 1:
        return parts[0]
    spec = combined([one.spec for one in parts])
    return _JOINED[spec.modality](spec, parts)


def parts_of(engine: Engine) -> tuple[Engine, ...]:
    """The engines that an input goes through."""
    return engine.parts if isinstance(engine, JointEngine) else (engine,)
