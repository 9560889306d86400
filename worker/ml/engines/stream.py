"""The cold path: read examples while the network runs, a full batch at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from app.core.errors import HeadstartError
from app.core.modalities import IMAGE, is_mapped, is_pixels
from worker.ml.engines.base import Engine, ImageEngine, Vectors
from worker.ml.engines.finite import not_finite
from worker.ml.engines.joint import JointEngine
from worker.ml.engines.readings import Asked, Reading, reading_of
from worker.ml.images.pixel_scale import PixelScale

Vector = NDArray[np.float32]
Result = tuple[int, Vector | HeadstartError]
HELD = 64
"""Blobs that several backbones read one after the other, before others may have their turn."""


def embed_stream(
    engine: Engine,
    blobs: Iterable[bytes],
    *,
    view: str = IMAGE.primary,
    threads: int | None = None,
    scale: PixelScale | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> Iterator[Result]:
    """(index, float32 [D]) for each blob, or (index, the error that says what is wrong with it).

    Every index comes once; vectors come in order, a batch at a time, and so do errors. `blobs` is
    read a few batches ahead; `threads` decode (default: one per core), deep pictures by `scale`.
    Texts are UTF-8. After each batch, whose results are taken by then, `stopped` says whether to go
    no further; of several backbones together it is asked when all have read HELD blobs. Every
    vector is finite: of which the network gives other numbers is an error (not_finite). Raises
    weights_invalid where it gives no others of anything.
    """
    if isinstance(engine, JointEngine):
        asked = Asked(view=view, threads=threads, scale=scale)
        yield from _of_each(engine, enumerate(blobs), asked, stopped)
        return
    reading, network = reading_of(engine), embedder(engine, view)
    asked = Asked(view=view, threads=threads, scale=scale)
    with reading.rows(engine, blobs, asked) as rows:
        batches = _batches(rows, reading, most=reading.together(engine))
        made = _embedded(batches, lambda some: network(reading.batch(some)), stopped)
        wrong: HeadstartError | None = None
        for index, result in made:
            if isinstance(result, HeadstartError) or np.isfinite(result).all():
                yield index, result
                continue
            wrong = wrong or not_finite(engine)
            yield index, wrong


def _of_each(
    engine: JointEngine,
    blobs: Iterator[tuple[int, bytes]],
    asked: Asked,
    stopped: Callable[[], bool],
) -> Iterator[Result]:
    """The vectors of several backbones side by side, of so many blobs at a time as are held."""
    while held := list(islice(blobs, HELD)):
        yield from _side_by_side(engine, held, asked)
        if stopped():
            return


def _side_by_side(
    engine: JointEngine, held: list[tuple[int, bytes]], asked: Asked
) -> Iterator[Result]:
    given = [blob for _, blob in held]
    parts = [
        dict(embed_stream(part, given, view=asked.view, threads=asked.threads, scale=asked.scale))
        for part in engine.parts
    ]
    for place, (index, _) in enumerate(held):
        rows = [part[place] for part in parts]
        bad = next((row for row in rows if isinstance(row, HeadstartError)), None)
        yield index, bad or np.concatenate([r for r in rows if not isinstance(r, HeadstartError)])


def embedder(engine: Engine, view: str) -> Callable[[Any], Vectors]:
    """The engine's pass over a batch that its own reading has made."""
    if is_pixels(view):
        return lambda batch: batch.reshape(len(batch), -1).astype(np.float32)
    if not is_mapped(view):
        return engine.embed
    images, width = cast("ImageEngine", engine), engine.spec.width
    return lambda batch: images.embed_with_map(batch)[:, width:]


def _batches(
    rows: Iterable[Any], reading: Reading, *, most: int
) -> Iterator[list[tuple[int, Any]]]:
    """Numbered rows, at most so many that they are embedded together in seconds."""
    batch: list[tuple[int, Any]] = []
    weight = 0.0
    for index, row in enumerate(rows):
        batch.append((index, row))
        weight += 1 if isinstance(row, HeadstartError) else reading.weight(row)
        if weight >= most:
            yield batch
            batch, weight = [], 0.0
    if batch:
        yield batch


def _embedded(
    batches: Iterable[list[tuple[int, Any]]],
    embed: Callable[[list[Any]], Vectors],
    stopped: Callable[[], bool],
) -> Iterator[Result]:
    for batch in batches:
        yield from ((index, row) for index, row in batch if isinstance(row, HeadstartError))
        good = [one for one in batch if not isinstance(one[1], HeadstartError)]
        if good:
            vectors = embed([row for _, row in good])
            yield from zip((index for index, _ in good), vectors, strict=True)
        if stopped():
            return
