"""What every engine is, and the key under which its embeddings are cached."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from app.core.backbones import BackboneSpec
from app.core.errors import HeadstartError
from app.core.modalities import is_mapped

CUT_VERSION = "1"
"""Part of the key of what is kept at a cut: raise it when networks are cut elsewhere."""
Vectors = NDArray[np.float32]
Batch = TypeVar("Batch", contravariant=True)  # noqa: PLC0105


class _Engine(Protocol[Batch]):
    @property
    def spec(self) -> BackboneSpec: ...
    @property
    def weights_sha256(self) -> str: ...
    @property
    def fingerprint(self) -> str:
        """A hash of all files that decide the numbers: the weights and, for texts, the tokens."""
        ...

    @property
    def former(self) -> tuple[str, ...]:
        """What `fingerprint` was by older rules that told less apart: older models say so."""
        ...

    @property
    def precision(self) -> str:
        """Engine and number format, such as `openvino-f32` or `torch-bf16-cuda`."""
        ...

    @property
    def best_batch(self) -> int:
        """Inputs in a forward pass that use the device well."""
        ...

    def embed(self, batch: Batch) -> Vectors:
        """[n, D] in the layout of `spec`; may be called from several threads."""
        ...


class ImageEngine(_Engine[NDArray[np.uint8]], Protocol):
    """Embeds uint8 images [n, s, s, 3], s = input_size or, unless fixed, any other side."""

    def embed_with_map(self, batch: NDArray[np.uint8]) -> Vectors:
        """[n, D + width], s = input_size: the vector, and behind it the activations at the cut.

        Raises cut_unavailable where the network has none.
        """
        ...


class Windows(Protocol):
    """How an encoder cuts texts: at most `most_windows` windows of `room` tokens each."""

    room: int
    most_windows: int

    def windows(self, texts: Sequence[str]) -> list[list[list[int]]]:
        """Numbers of tokens in each window of each text; none of one that cannot be read."""
        ...

    def own_words(self) -> list[str]:
        """Some texts that its vocabulary is sure to know."""
        ...

    def truncated(self, texts: Sequence[str]) -> list[bool]:
        """Whether each text goes on behind its last window."""
        ...

    def unread(self, texts: Sequence[str]) -> list[bool]:
        """Whether half of each text's tokens or more stand for what the tokenizer does not know."""
        ...


class TextEngine(_Engine[Sequence[str]], Protocol):
    """Embeds texts."""

    @property
    def encoder(self) -> Windows:
        """What makes tokens of the texts."""
        ...


Engine = ImageEngine | TextEngine


def check_side(spec: BackboneSpec, shape: tuple[int, ...]) -> None:
    """Raises invalid_value unless `shape` is [n, s, s, 3] with a side that the network reads."""
    square = len(shape) == 4 and shape[1] == shape[2] and shape[3] == 3
    if not square or (spec.fixed_size and shape[1] != spec.input_size):
        raise HeadstartError(
            "invalid_value", f"{spec.name} reads {spec.input_size} x {spec.input_size} RGB: {shape}"
        )


def check_mapped_side(spec: BackboneSpec, shape: tuple[int, ...]) -> None:
    """As `check_side`, but of no other side than the network's: activations have one shape."""
    check_side(replace(spec, fixed_size=True), shape)


def embedding_key(engine: _Engine[Any], view: str) -> str:
    """A short name for everything but the content that decides an embedding's numbers."""
    from worker.ml.images.views import PREPROCESSING_VERSION

    parts: tuple[str, ...] = (engine.fingerprint, view, PREPROCESSING_VERSION, engine.precision)
    if is_mapped(view):
        parts = (*parts, CUT_VERSION)
    layout = repr(engine.spec.layout)
    return hashlib.sha256("\0".join((*parts, layout)).encode()).hexdigest()[:24]
