"""How much memory is left to a process: the machine's, or its container's if that is less."""

from __future__ import annotations

from pathlib import Path

_MEMINFO = Path("/proc/meminfo")
_CGROUP = Path("/sys/fs/cgroup")
UNKNOWN = 2**63
"""Where the system does not say."""


def available() -> int:
    """Bytes that can be had without swapping."""
    return min(_of_machine(), _of_container())


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
