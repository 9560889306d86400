"""How examples of each modality become what an engine embeds: an object a modality."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any, Protocol, TypeVar

import numpy as np
import torch

from app.core.errors import HeadstartError
from app.core.modalities import IDLE, IMAGE, View, pictured
from worker.ml.engines.base import Engine
from worker.ml.images.pixel_scale import PixelScale
from worker.ml.images.views import Pixels, as_view, decode_to, view_size

Row = TypeVar("Row")
Rows = Iterator[Any]
AHEAD = 3
"""Batches that are decoded or being decoded ahead of the network."""
_USUAL_TEXT = 250
"""Characters: with so many, what is embedded together takes a second or a few."""
TEXT_BATCHES = 8
"""Batches of texts taken at once: sorted by length, they need less padding."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """How blobs are read: the view, how many threads decode, and the scale of deep pictures."""

    view: str
    threads: int | None = None
    scale: PixelScale | None = None


class Reading(Protocol):
    """What differs between modalities on the way from bytes to an engine."""

    def together(self, engine: Engine) -> int:
        """How many usual inputs are embedded at once."""
        ...

    def weight(self, row: Any) -> float:
        """As how many usual ones an input counts."""
        ...

    def rows(self, engine: Engine, blobs: Iterable[bytes], asked: Asked) -> Any:
        """A context with an iterator: of each blob what is embedded, or what is wrong with it."""
        ...

    def batch(self, rows: Sequence[Any]) -> Any:
        """Rows as the engine takes them."""
        ...

    def rehearsals(self, engine: Engine) -> Iterator[Any]:
        """Batches of every shape that an engine will meet, the most usual first."""
        ...

    def lengths(self, engine: Engine) -> dict[str, int]:
        """How long inputs may be, in what a backbone counts; empty where no length is too long."""
        ...


class ImageReading:
    """Pictures: decoded in threads while the network runs, one view's pixels each."""

    def together(self, engine: Engine) -> int:
        """As many as use the device well."""
        return engine.best_batch

    def weight(self, row: Pixels) -> float:  # noqa: ARG002
        """All are of one size."""
        return 1.0

    @contextmanager
    def rows(self, engine: Engine, blobs: Iterable[bytes], asked: Asked) -> Iterator[Rows]:
        """Pixels, `AHEAD` batches decoded ahead."""
        view, side = as_view(pictured(asked.view)), engine.spec.input_size
        decode = partial(_pixels, view=view, size=side, scale=asked.scale)
        threads = asked.threads or len(os.sched_getaffinity(0))
        with ThreadPoolExecutor(threads, initializer=_one_thread_each) as pool:
            yield _ahead(pool, decode, blobs, AHEAD * self.together(engine))

    def batch(self, rows: Sequence[Pixels]) -> Pixels:
        """uint8 [n, s, s, 3]."""
        return np.stack(rows)

    def rehearsals(self, engine: Engine) -> Iterator[Pixels]:
        """Black pictures of all views' sides; the network's own comes first."""
        spec = engine.spec
        views = [IMAGE.primary, *(view for view in IDLE["image"] if not spec.fixed_size)]
        sides = [view_size(as_view(view), spec.input_size) for view in views]
        for side in dict.fromkeys(sides):
            yield np.zeros((engine.best_batch, side, side, 3), np.uint8)

    def lengths(self, engine: Engine) -> dict[str, int]:  # noqa: ARG002
        """None: every picture is resized."""
        return {}


class TextReading:
    """Texts: UTF-8, as they are."""

    def together(self, engine: Engine) -> int:
        """Several batches, so that like lengths meet."""
        return TEXT_BATCHES * engine.best_batch

    def weight(self, row: str) -> float:
        """A text of several windows takes as long as a hundred of a few words."""
        return max(1.0, len(row) / _USUAL_TEXT)

    @contextmanager
    def rows(
        self,
        engine: Engine,  # noqa: ARG002
        blobs: Iterable[bytes],
        asked: Asked,  # noqa: ARG002
    ) -> Iterator[Rows]:
        """Strings."""
        yield map(_text, blobs)

    def batch(self, rows: Sequence[str]) -> list[str]:
        """A list."""
        return list(rows)

    def rehearsals(self, engine: Engine) -> Iterator[list[str]]:
        """Any length will do."""
        yield ["warm up"] * engine.best_batch

    def lengths(self, engine: Any) -> dict[str, int]:
        """Tokens of a window, and of all that are read: a token is at least a byte."""
        encoder = engine.encoder
        return {"window": encoder.room, "reads": encoder.room * encoder.most_windows}


_READINGS: Mapping[str, Reading] = {"image": ImageReading(), "text": TextReading()}


def reading_of(engine: Engine) -> Reading:
    """How examples for this engine are read."""
    return _READINGS[engine.spec.modality]


def _pixels(
    data: bytes, *, view: View, size: int, scale: PixelScale | None
) -> Pixels | HeadstartError:
    try:
        return decode_to(data, view, size, scale=scale)
    except HeadstartError as error:
        return error


def _text(data: bytes) -> str | HeadstartError:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        return HeadstartError("encoding", f"the text is not UTF-8: {error.reason}")


def _ahead(
    pool: ThreadPoolExecutor, work: Callable[[bytes], Row], blobs: Iterable[bytes], depth: int
) -> Iterator[Row]:
    """What `work` makes of each blob, in order, with `depth` of them under way."""
    source = iter(blobs)
    waiting: deque[Future[Row]] = deque()
    try:
        waiting.extend(pool.submit(work, blob) for blob in islice(source, depth))
        while waiting:
            done = waiting.popleft().result()
            waiting.extend(pool.submit(work, blob) for blob in islice(source, 1))
            yield done
    finally:
        for future in waiting:
            future.cancel()


def _one_thread_each() -> None:
    """Torch would start a team of threads in each of ours."""
    torch.set_num_threads(1)
