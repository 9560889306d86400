"""From a request's inputs to rows of features: an object a modality, made for one engine."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from app.core.errors import HeadstartError
from app.core.image_header import inspect
from app.core.modalities import IMAGE, MAP, PIXELS, View
from worker.answers.scoring import Rows
from worker.ml.engines import Engine
from worker.ml.engines.joint import JointEngine
from worker.ml.heads.occlusion import occluded
from worker.ml.images.decoding import is_large
from worker.ml.images.views import as_view, decode_views
from worker.predictor.calls import PendingInput

Pixels = NDArray[np.uint8]
Embed = Callable[[Pixels], Rows]
_USUAL = 60
"""Bytes of a usual text: a dozen tokens, of which a pass through an encoder takes its time; one of
ten times as many takes ten times as long."""
_TOKEN = 5
"""Bytes of a token in most languages, as far as a text is read."""
_HEAD = 2**16
"""Bytes within which most images say their size."""


class Reader(Protocol):
    """What a batcher does with its inputs; `decoders` threads prepare them."""

    decoders: int
    example: Any
    """Something prepared, to warm the engine up with."""

    def prepare(self, item: PendingInput) -> Any:
        """What `forward` takes of an input. Raises HeadstartError."""
        ...

    @property
    def is_large(self) -> Callable[[PendingInput], bool] | None:
        """Tells whether preparing an input takes so long that it must not hold up others."""
        ...

    def price(self, prepared: Any) -> int:
        """How many usual inputs take the engine as long."""
        ...

    def forward(self, batch: Sequence[Any]) -> Sequence[Rows]:
        """Of each prepared input its rows [views, D]."""
        ...


def cores() -> int:
    """The CPU cores that this process may use."""
    return len(os.sched_getaffinity(0))


@dataclass(frozen=True, slots=True)
class PreparedPicture:
    """The pixels of each view, and what is wanted of them beside their embeddings."""

    pixels: list[Pixels]
    behind: str = ""


class PictureReader:
    """Decodes straight to the network's size, each view that the item's heads read."""

    def __init__(self, engine: Any, sizes: Sequence[int]) -> None:
        self._engine, self._sizes = engine, sizes
        self._side = engine.spec.input_size
        self.decoders = cores()
        self.example = PreparedPicture([np.zeros((self._side, self._side, 3), np.uint8)])

    def prepare(self, item: PendingInput) -> PreparedPicture:
        """One array a view, and of each hidden window where a saliency map is wanted."""
        head = item.call.head
        scale = head.live.config.pixel_scale if head is not None else None
        views = cast("Sequence[View]", item.pictures) or (as_view(IMAGE.primary),)
        pixels = decode_views(bytes(item.input.data), views, self._side, scale=scale)
        every = pixels + occluded(pixels[0]) if item.wants_saliency else pixels
        return PreparedPicture(every, behind=item.behind)

    @staticmethod
    def is_large(item: PendingInput) -> bool:
        """By the header, which seldom needs a copy of the whole file; decoding says what is
        wrong with it.
        """
        for part in (item.input.data[:_HEAD], item.input.data):
            with suppress(HeadstartError):
                return is_large(inspect(bytes(part)))
        return False

    def price(self, prepared: PreparedPicture) -> int:
        """Its pixels, over those of a picture."""
        every = sum(int(one.shape[0] * one.shape[1]) for one in prepared.pixels)
        return max(1, every // int(self._side**2))

    def forward(self, batch: Sequence[PreparedPicture]) -> Sequence[Rows]:
        """One pass for each side length among the views, almost always one.

        Where more is wanted, rows are [views, D + width], in one more pass.
        """
        kinds = {picture.behind for picture in batch}
        if kinds == {""}:
            return self._rows(batch, self._engine.embed)
        passes: dict[str, Embed] = {
            "": self._engine.embed,
            MAP: self._engine.embed_with_map,
            PIXELS: self._embed_with_pixels,
        }
        rows: dict[int, Rows] = {}
        for behind in kinds:
            places = [place for place, picture in enumerate(batch) if picture.behind == behind]
            made = self._rows([batch[place] for place in places], passes[behind])
            rows.update(zip(places, made, strict=True))
        return [rows[place] for place in range(len(batch))]

    def _embed_with_pixels(self, batch: Pixels) -> Rows:
        rows: Rows = self._engine.embed(batch)
        return np.concatenate([rows, batch.reshape(len(batch), -1)], 1, dtype=np.float32)

    def _rows(self, batch: Sequence[PreparedPicture], embed: Embed) -> Sequence[Rows]:
        flat = [pixels for picture in batch for pixels in picture.pixels]
        same = len(flat) == 1 or len({pixels.shape for pixels in flat}) == 1
        rows = self._in_sizes(flat, embed) if same else _by_shape(embed, flat)
        counts = np.cumsum([len(picture.pixels) for picture in batch])[:-1]
        return np.split(rows, counts)

    def _in_sizes(self, flat: Sequence[Pixels], embed: Embed) -> Rows:
        """In passes of sizes that the engine has been warmed up for."""
        passes: list[Rows] = []
        at = 0
        while at < len(flat):
            size = self._sizes[bisect_right(self._sizes, len(flat) - at) - 1]
            passes.append(embed(np.stack(flat[at : at + size])))
            at += size
        return passes[0] if len(passes) == 1 else np.concatenate(passes)


class TextReader:
    """Texts need no preparing but their decoding."""

    decoders = 1
    example = "warm up"
    is_large = None

    def __init__(self, engine: Any, sizes: Sequence[int]) -> None:  # noqa: ARG002
        self._engine = engine
        encoder = engine.encoder
        self._most: int = _TOKEN * encoder.room * encoder.most_windows

    def prepare(self, item: PendingInput) -> str:
        """The text."""
        return str(item.input.data, "utf-8")

    def price(self, prepared: str) -> int:
        """By its bytes: tokens are counted where it is read, on the engine's own threads."""
        return 1 + min(len(prepared.encode()), self._most) // _USUAL

    def forward(self, batch: Sequence[str]) -> Sequence[Rows]:
        """[1, D] each."""
        rows: Rows = self._engine.embed(list(batch))
        return list(rows[:, None])


class JointReader:
    """Of several backbones, each with a reader of its own, whose rows lie side by side."""

    def __init__(self, engine: JointEngine, sizes: Sequence[int]) -> None:
        self._parts = [reader_for(part, sizes) for part in engine.parts]
        self.decoders = max(part.decoders for part in self._parts)
        self.example = [part.example for part in self._parts]
        self.is_large = self._parts[0].is_large

    def prepare(self, item: PendingInput) -> list[Any]:
        """What each backbone takes of an input."""
        return [part.prepare(item) for part in self._parts]

    def price(self, prepared: list[Any]) -> int:
        """The highest: usual inputs of all are passed as often."""
        each = zip(self._parts, prepared, strict=True)
        return max(part.price(one) for part, one in each)

    def forward(self, batch: Sequence[list[Any]]) -> Sequence[Rows]:
        """Every backbone is passed once."""
        made = [
            part.forward([prepared[place] for prepared in batch])
            for place, part in enumerate(self._parts)
        ]
        return [np.concatenate(rows, 1) for rows in zip(*made, strict=True)]


_READERS: Mapping[str, Callable[[Any, Sequence[int]], Reader]] = {
    "image": PictureReader,
    "text": TextReader,
}


def reader_for(engine: Engine, sizes: Sequence[int]) -> Reader:
    """The reader of the engine's modality; `sizes` are those it has been warmed up for."""
    if isinstance(engine, JointEngine):
        return JointReader(engine, sizes)
    return _READERS[engine.spec.modality](engine, sizes)


def _by_shape(embed: Embed, flat: Sequence[Pixels]) -> Rows:
    rows: list[Rows | None] = [None] * len(flat)
    for shape in {pixels.shape for pixels in flat}:
        places = [place for place, pixels in enumerate(flat) if pixels.shape == shape]
        embedded = embed(np.stack([flat[place] for place in places]))
        for place, row in zip(places, embedded, strict=True):
            rows[place] = row
    return np.stack([row for row in rows if row is not None])
