"""The cold path: decode in threads while the network runs, a full batch at a time."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import islice
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from app.core.errors import HeadstartError
from app.core.views import View
from worker.ml.engines.base import Engine, Vectors
from worker.ml.images.pixel_scale import PixelScale
from worker.ml.images.views import PRIMARY, Pixels, as_view, decode_to

Vector = NDArray[np.float32]
Result = tuple[int, Vector | HeadstartError]
Row = TypeVar("Row")
AHEAD = 3
"""Batches that are decoded or being decoded ahead of the network."""
TEXT_BATCHES = 8
"""Batches of texts taken at once: sorted by length, they need less padding."""


def embed_stream(
    engine: Engine,
    blobs: Iterable[bytes],
    *,
    view: str = PRIMARY,
    threads: int | None = None,
    scale: PixelScale | None = None,
) -> Iterator[Result]:
    """(index, float32 [D]) for each blob, or (index, the error that says what is wrong with it).

    Every index comes once; vectors come in order, a batch at a time, and so do errors. `blobs` is
    read a few batches ahead; `threads` decode (default: one per core), deep pictures by `scale`.
    Texts are UTF-8.
    """
    embed: Callable[[Any], Vectors] = engine.embed
    size = engine.best_batch
    if engine.spec.modality == "text":
        yield from _in_batches(map(_text, blobs), TEXT_BATCHES * size, embed)
        return
    decode = partial(_image, view=as_view(view), size=engine.spec.input_size, scale=scale)
    with ThreadPoolExecutor(
        threads or len(os.sched_getaffinity(0)), initializer=_one_thread_each
    ) as pool:
        rows = _ahead(pool, decode, blobs, AHEAD * size)
        yield from _in_batches(rows, size, lambda images: embed(np.stack(images)))


def _image(
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


def _in_batches(
    rows: Iterable[Row | HeadstartError], size: int, embed: Callable[[list[Row]], Vectors]
) -> Iterator[Result]:
    indices: list[int] = []
    batch: list[Row] = []
    for index, row in enumerate(rows):
        if isinstance(row, HeadstartError):
            yield index, row
            continue
        indices.append(index)
        batch.append(row)
        if len(batch) == size:
            yield from zip(indices, embed(batch), strict=True)
            indices, batch = [], []
    if batch:
        yield from zip(indices, embed(batch), strict=True)


def _one_thread_each() -> None:
    """Torch would start a team of threads in each of ours."""
    torch.set_num_threads(1)
