"""The parent's side of the decoders: as many as there are cores, one picture each at a time."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from pydantic_core import from_json, to_json

from app.core.errors import HeadstartError
from app.core.image_header import ImageHeader
from worker.ml.images.decoding import Ends, Pixels
from worker.ml.images.deep import Deep

OUT_OF_MEMORY = 3
"""The status of a decoder that could not even refuse."""
MEMORY = 4 * 2**30
"""Bytes of addresses of a decoder: the largest picture that is taken, in 64-bit floats, thrice."""
SECONDS = 60
"""Of processor time for one picture; the largest takes some ten."""
_KEPT = ("PATH", "LD_LIBRARY_PATH", "LANG", "TMPDIR")
"""Of the environment: a decoder knows no password."""
_NOT_SURVIVED = "its decoder does not survive it: it takes too much memory or time, or is damaged"
_LINE = 10_000
_MOST = 2 * 2**30
"""Bytes of an array that is believed."""
Arrays = list[NDArray[Any]]


class Pool:
    """Starts decoders as they are needed; one that a picture has killed is not missed."""

    def __init__(
        self,
        *,
        memory: int = MEMORY,
        seconds: int = SECONDS,
        module: str = "worker.ml.images.apart.decoder",
    ) -> None:
        self._command = ["-m", module, str(memory), str(seconds)]
        self._turns = threading.BoundedSemaphore(len(os.sched_getaffinity(0)))
        self._idle: list[subprocess.Popen[bytes]] = []

    def decode(
        self, data: bytes, header: ImageHeader, *, at_least: int | None, ends: Ends | None
    ) -> Pixels:
        """`decoding.decode` in a decoder. Raises its errors, and image_invalid where it dies."""
        _, (pixels,) = self._ask({"op": "decode", "at_least": at_least, "ends": ends}, data, header)
        return pixels

    def deep_samples(self, data: bytes, header: ImageHeader) -> Deep | None:
        """`decoding.deep_samples` in a decoder, with the same errors."""
        told, arrays = self._ask({"op": "deep_samples"}, data, header)
        if not arrays:
            return None
        ends = told["ends"] and (told["ends"][0], told["ends"][1])
        alpha = arrays[1] if len(arrays) > 1 else None
        return Deep(arrays[0], alpha=alpha, orientation=told["orientation"], ends=ends)

    @property
    def pids(self) -> list[int]:
        """Of the decoders that wait for a picture."""
        return [decoder.pid for decoder in self._idle]

    def close(self) -> None:
        """End the decoders that are idle; they end by themselves with this process."""
        while self._idle:
            _end(self._idle.pop())

    def _ask(
        self, asked: dict[str, Any], data: bytes, header: ImageHeader
    ) -> tuple[dict[str, Any], Arrays]:
        facts = [header.format, header.width, header.height, header.frames]
        head = to_json({**asked, "length": len(data), "header": facts})
        try:
            with self._decoder() as decoder:
                told, arrays = _exchanged(decoder, head + b"\n", data)
        except EOFError:  # whose fault that was, a decoder that has read nothing else shows
            with self._decoder(fresh=True) as decoder:
                told, arrays = _judged(decoder, head + b"\n", data)
        if "code" in told:
            raise HeadstartError(told["code"], told["message"])
        return told, arrays

    @contextmanager
    def _decoder(self, *, fresh: bool = False) -> Iterator[subprocess.Popen[bytes]]:
        """One for the caller alone; it is kept if the exchange was whole."""
        with self._turns:
            decoder = self._started() if fresh else self._taken()
            try:
                yield decoder
            except BaseException:
                _end(decoder)
                raise
            self._idle.append(decoder)

    def _taken(self) -> subprocess.Popen[bytes]:
        try:
            return self._idle.pop()
        except IndexError:
            return self._started()

    def _started(self) -> subprocess.Popen[bytes]:
        """It needs no leash, which would end it with the thread that starts it: it ends with its
        standard input, of which nobody else has the other end.
        """
        root = str(Path(__file__).resolve().parents[4])
        path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        single = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}
        return subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [sys.executable, *self._command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=kept | single | {"PYTHONPATH": path},
        )


def _exchanged(
    decoder: subprocess.Popen[bytes], head: bytes, data: bytes
) -> tuple[dict[str, Any], Arrays]:
    """What the decoder answers. Raises EOFError where it dies."""
    try:
        _of(decoder.stdin).write(head + data)
        _of(decoder.stdin).flush()
    except BrokenPipeError as error:
        raise EOFError from error
    line = _of(decoder.stdout).readline(_LINE)
    if not line:
        raise EOFError
    told: dict[str, Any] = from_json(line)
    return told, [_array(_of(decoder.stdout), *one) for one in told["arrays"]]


def _judged(
    decoder: subprocess.Popen[bytes], head: bytes, data: bytes
) -> tuple[dict[str, Any], Arrays]:
    """The same; its death is the picture's fault. Raises image_invalid, RuntimeError for ours."""
    try:
        return _exchanged(decoder, head, data)
    except EOFError as error:
        status = decoder.wait()
        if status > 0 and status != OUT_OF_MEMORY:
            why = f"a decoder failed with status {status}; standard error says why"
            raise RuntimeError(why) from error
        raise HeadstartError("image_invalid", _NOT_SURVIVED) from error


def _array(source: IO[bytes], dtype: str, shape: list[int]) -> NDArray[Any]:
    """One array of the answer, of numbers: who has taken a decoder over could send pointers.

    Raises EOFError, RuntimeError.
    """
    kind = np.dtype(dtype)
    if kind.kind not in "buif" or kind.itemsize * prod(shape) > _MOST:
        raise RuntimeError(f"a decoder answered with {dtype} of {shape}")
    array: NDArray[Any] = np.empty(shape, kind)
    view = memoryview(array.data).cast("B") if array.size else memoryview(b"")
    read = 0
    while read < len(view):
        count = source.readinto(view[read:])  # type: ignore[attr-defined]
        if not count:
            raise EOFError
        read += count
    return array


def _of(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None
    return pipe


def _end(decoder: subprocess.Popen[bytes]) -> None:
    decoder.kill()
    decoder.wait()
    for pipe in (decoder.stdin, decoder.stdout):
        with suppress(BrokenPipeError):  # what was not sent is nobody's
            _of(pipe).close()
