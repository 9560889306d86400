"""A child's leash: it ends the moment its parent has ended, however that came about.

On Linux the kernel sees to it (`PR_SET_PDEATHSIG`, prctl(2)); elsewhere a thread looks twice a
second. And what any process does while it imports. Standard library only: children that may import
nothing else of ours run this file, too.
"""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

_PARENT = "HEADSTART_LEASH"
_PR_SET_PDEATHSIG = 1
_LOOK_SECONDS = 0.5


def leashed(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of a child that is to call `obey` first of all."""
    return {**environment, _PARENT: str(os.getpid())}


def obey() -> None:
    """End with the parent that asked for it, at once if it has ended already; else do nothing."""
    parent = int(os.environ.pop(_PARENT, "0"))
    if not parent:
        return
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    else:
        threading.Thread(target=_watch, args=(parent,), daemon=True).start()
    _end_without(parent)


@contextmanager
def importing() -> Iterator[None]:
    """Collect no garbage meanwhile, and never look at what is there by then.

    Imports make hundreds of thousands of objects that stay: to look through them again and again is
    a fifth of an import's time, and later the longest pause of a process.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _watch(parent: int) -> None:
    while True:
        time.sleep(_LOOK_SECONDS)
        _end_without(parent)


def _end_without(parent: int) -> None:
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)
