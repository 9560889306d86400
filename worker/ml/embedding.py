"""The cold path: decode in threads while the network runs, a full batch at a time."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray

from app.core.errors import HeadstartError
from worker.ml.engines.base import ImageEngine
from worker.ml.preprocessing import PRIMARY, Pixels, View, decode_to

Vector = NDArray[np.float32]
Result = tuple[int, Vector | HeadstartError]
AHEAD = 3
"""Batches that are decoded or being decoded ahead of the network."""


def embed_stream(
    engine: ImageEngine, blobs: Iterable[bytes], *, view: View = PRIMARY, threads: int | None = None
) -> Iterator[Result]:
    """(index, float32 [D]) for each blob, or (index, the error that says what is wrong with it).

    Every index comes once, vectors and errors each in order; `blobs` is read a few batches
    ahead. `threads` decode (default: one per core).
    """
    size = engine.spec.input_size
    decode = partial(_decoded, view=view, size=size)
    with ThreadPoolExecutor(threads or os.cpu_count(), initializer=_one_thread_each) as pool:
        rows = _ahead(pool, decode, blobs, AHEAD * engine.best_batch)
        yield from _forward(engine, rows)


def _decoded(data: bytes, *, view: View, size: int) -> Pixels | HeadstartError:
    try:
        return decode_to(data, view, size)
    except HeadstartError as error:
        return error


def _ahead(
    pool: ThreadPoolExecutor,
    decode: Callable[[bytes], Pixels | HeadstartError],
    blobs: Iterable[bytes],
    depth: int,
) -> Iterator[Pixels | HeadstartError]:
    """What `decode` makes of each blob, in order, with `depth` of them under way."""
    source = iter(blobs)
    waiting: deque[Future[Pixels | HeadstartError]] = deque()
    try:
        waiting.extend(pool.submit(decode, blob) for blob in islice(source, depth))
        while waiting:
            done = waiting.popleft().result()
            waiting.extend(pool.submit(decode, blob) for blob in islice(source, 1))
            yield done
    finally:
        for future in waiting:
            future.cancel()


def _forward(engine: ImageEngine, rows: Iterator[Pixels | HeadstartError]) -> Iterator[Result]:
    indices: list[int] = []
    images: list[Pixels] = []
    for index, row in enumerate(rows):
        if isinstance(row, HeadstartError):
            yield index, row
            continue
        indices.append(index)
        images.append(row)
        if len(images) == engine.best_batch:
            yield from zip(indices, engine.embed(np.stack(images)), strict=True)
            indices, images = [], []
    if images:
        yield from zip(indices, engine.embed(np.stack(images)), strict=True)


def _one_thread_each() -> None:
    """Torch would start a team of threads in each of ours."""
    torch.set_num_threads(1)
