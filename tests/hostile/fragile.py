"""Programs whose decoder dies of a marked picture, as of a hole in a library.

`python -m tests.hostile.fragile DESCRIPTOR` is a tensor process, and with MEMORY SECONDS a decoder.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from app.infra.processes import leash

MARK = b"a picture that nothing survives"
NAME = "tests.hostile.fragile"


def weaken() -> None:
    """Die of marked pictures from now on."""
    from worker.ml.images import decoding

    strong = decoding._decoded

    def fragile(data: bytes, *rest: Any) -> Any:
        if MARK in data:
            os.abort()
        return strong(data, *rest)

    decoding._decoded = fragile


def tensors() -> None:
    leash.obey()
    from worker.ml.images import apart
    from worker.tensors import process

    apart._POOL = apart.Pool(module=NAME)
    process.serve(int(sys.argv[1]), process.tensors)


if __name__ == "__main__":
    weaken()
    if len(sys.argv) == 2:
        tensors()
    else:
        from worker.ml.images.apart import decoder

        decoder.run()
