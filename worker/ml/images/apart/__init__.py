"""Which pictures are decoded here, and which in a child that has little to lose.

The readers of rarer formats are many, large and seldom attacked by those who mend them: what is in
those formats is decoded in a child process with bounds on its memory and its processor time
(`decoder`), which ends alone. Once a pass over pictures has killed its process, all of them are.
"""

from __future__ import annotations

import atexit
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from app.core.image_header import ImageFormat, ImageHeader
from worker.ml.images import decoding
from worker.ml.images.apart.pool import Pool
from worker.ml.images.decoding import Ends, Pixels
from worker.ml.images.deep import Deep

HERE: frozenset[ImageFormat] = frozenset({"jpeg", "png", "gif", "bmp"})
"""Formats whose readers are small, and whose pictures come by the hundred a second."""
_POOL = Pool()
atexit.register(_POOL.close)
_all = threading.Event()


def decode(
    data: bytes, header: ImageHeader, *, at_least: int | None, ends: Ends | None = None
) -> Pixels:
    """As `decoding.decode`; image_invalid also for what its decoder does not survive."""
    if _is_here(header):
        return decoding.decode(data, header, at_least=at_least, ends=ends)
    with decoding.turn(header):
        return _POOL.decode(data, header, at_least=at_least, ends=ends)


def deep_samples(data: bytes, header: ImageHeader) -> Deep | None:
    """As `decoding.deep_samples`, in the same way."""
    if _is_here(header):
        return decoding.deep_samples(data, header)
    with decoding.turn(header):
        return _POOL.deep_samples(data, header)


@contextmanager
def everything(wanted: bool) -> Iterator[None]:
    """Decode pictures of every format apart meanwhile, in all threads, if that is `wanted`."""
    if wanted:
        _all.set()
    try:
        yield
    finally:
        _all.clear()


def _is_here(header: ImageHeader) -> bool:
    return header.format in HERE and not _all.is_set()
