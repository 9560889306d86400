"""A program: decodes pictures within limits on its memory and its processor time.

Usage: decoder MEMORY SECONDS. It reads requests `{"op", "length", "header", …}`, a line each, and
after it that many bytes of a picture; it answers `{"arrays": [[dtype, shape]…], …}` and the arrays'
bytes, or `{"arrays": [], "code", "message"}`. It ends with its standard input.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from app.core.errors import HeadstartError
from app.core.image_header import ImageHeader
from worker.ml.images import decoding
from worker.ml.images.apart.pool import OUT_OF_MEMORY


def main(memory: int, seconds: int) -> int:
    """Answer requests until there are none; what is imported by then is not counted."""
    Image.init()  # a reader that is loaded for its first picture would count as that one's
    resource.setrlimit(resource.RLIMIT_AS, (_addresses() + memory,) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    source, out = sys.stdin.buffer, _answers()
    while line := source.readline():
        _allow(seconds)
        asked = json.loads(line)
        told, arrays = _answered(asked, source.read(asked["length"]))
        said = [[one.dtype.str, one.shape] for one in arrays]
        out.write(json.dumps({"arrays": said, **told}).encode() + b"\n")
        for one in arrays:
            out.write(memoryview(one).cast("B") if one.size else b"")
        out.flush()
    return 0


def _answers() -> BinaryIO:
    """Where answers go: what a library prints, goes to standard error."""
    kept = os.dup(1)
    os.dup2(2, 1)
    return os.fdopen(kept, "wb")


def _allow(seconds: int) -> None:
    """So many seconds of processor time from now on; it is killed at their end."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    most = int(used.ru_utime + used.ru_stime) + seconds
    resource.setrlimit(resource.RLIMIT_CPU, (most, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def _addresses() -> int:
    """Bytes of addresses that the process has by now; 0 where nobody tells."""
    try:
        with open("/proc/self/statm") as told:  # noqa: PTH123 - as little as needed
            return int(told.read().split()[0]) * resource.getpagesize()
    except OSError:
        return 0


def _answered(asked: dict[str, Any], data: bytes) -> tuple[dict[str, Any], list[Any]]:
    try:
        return _done(asked, data)
    except HeadstartError as error:
        return {"code": error.code, "message": error.message}, []
    except MemoryError:
        return _bad("to decode it takes too much memory"), []
    except Exception as error:  # noqa: BLE001 - hostile bytes in a library
        return _bad(f"it cannot be decoded: {type(error).__name__}"), []


def _bad(why: str) -> dict[str, Any]:
    return {"code": "image_invalid", "message": why}


def _done(asked: dict[str, Any], data: bytes) -> tuple[dict[str, Any], list[Any]]:
    """What the parent wants to know, and arrays that lie in memory as they are sent."""
    header = ImageHeader(*asked["header"])
    if asked["op"] == "decode":
        ends = asked["ends"] and tuple(asked["ends"])
        return {}, [decoding.decode(data, header, at_least=asked["at_least"], ends=ends)]
    deep = decoding.deep_samples(data, header)
    if deep is None:
        return {}, []
    arrays = [deep.values] if deep.alpha is None else [deep.values, deep.alpha]
    facts = {"orientation": deep.orientation, "ends": deep.ends}
    return facts, [np.ascontiguousarray(one) for one in arrays]


def run() -> None:
    """What `python -m` does."""
    try:
        sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))
    except MemoryError:
        os._exit(OUT_OF_MEMORY)


if __name__ == "__main__":
    run()
