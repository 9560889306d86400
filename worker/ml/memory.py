"""How much memory is left to a process: the machine's, or its container's if that is less."""

from __future__ import annotations

import ctypes
from pathlib import Path

_MEMINFO = Path("/proc/meminfo")
_STATUS = Path("/proc/self/status")
_CGROUP = Path("/sys/fs/cgroup")
TRAINER_SHARE, PREDICTOR_SHARE = 0.4, 0.5
"""Of a GPU's memory: the predictor, which somebody waits for, has more of it. What is left is for
what CUDA itself holds in either process.
"""
UNKNOWN = 2**63
"""Where the system does not say."""


def available() -> int:
    """Bytes that can be had without swapping."""
    return min(_of_machine(), _of_container())


def own() -> int:
    """Bytes in memory that are this process's alone, those of files left out; 0 where the system
    does not say.
    """
    try:
        lines = _STATUS.read_text().splitlines()
    except OSError:
        return 0
    said = dict(line.split(":", 1) for line in lines if ":" in line)
    return int(said["RssAnon"].split()[0]) * 1024 if "RssAnon" in said else 0


def give_back() -> None:
    """Let the system have what this process has freed, where its allocator keeps that: of threads
    that have computed large tensors it keeps hundreds of megabytes. Takes milliseconds.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def keep_to(share: float) -> None:
    """Let torch have no more than a share of the GPU in this process, where there is a GPU."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.set_per_process_memory_fraction(share)


def available_on_gpu(share: float) -> int:
    """Bytes that a process which keeps to `share` can still have there."""
    import torch

    free, total = torch.cuda.mem_get_info()
    unused = torch.cuda.memory_reserved() - torch.cuda.memory_allocated()
    return max(0, min(free + unused, int(share * total) - torch.cuda.memory_allocated()))


def _of_machine() -> int:
    try:
        lines = _MEMINFO.read_text().splitlines()
    except OSError:
        return UNKNOWN
    said = dict(line.split(":", 1) for line in lines if ":" in line)
    return int(said["MemAvailable"].split()[0]) * 1024 if "MemAvailable" in said else UNKNOWN


def _of_container() -> int:
    """By cgroup v2; file pages can be dropped."""
    try:
        most = (_CGROUP / "memory.max").read_text().strip()
        used = int((_CGROUP / "memory.current").read_text())
        told = (_CGROUP / "memory.stat").read_text().split()
    except (OSError, ValueError):
        return UNKNOWN
    dropped = dict(zip(told[::2], told[1::2], strict=False)).get("inactive_file", "0")
    return UNKNOWN if most == "max" else max(0, int(most) - used + int(dropped))
