"""How a figure is written down: what, how, on which machine, with which versions."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

RESULTS = Path(__file__).parent / "results"
_PACKAGES = ("torch", "torchvision", "openvino", "timm", "numpy", "fastapi", "uvicorn", "pillow")


def record(name: str, *, figure: str, method: str, results: Mapping[str, Any]) -> Path:
    """Write `results` to benchmarks/results/<name>.json and print them; answers the path."""
    document = {
        "figure": figure,
        "method": method,
        "measured": datetime.now(UTC).date().isoformat(),
        "commit": commit(),
        "machine": machine(),
        "versions": versions(),
        "results": results,
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    print(json.dumps({name: results}, indent=2, ensure_ascii=False))
    return path


def machine() -> dict[str, Any]:
    """Processor, cores, memory in GiB, system."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": platform.system() + " " + platform.machine(),
        "python": platform.python_version(),
    }


def versions() -> dict[str, str]:
    """Versions of the libraries that a figure depends on."""
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def spread(values: Sequence[float]) -> dict[str, float]:
    """Minimum, median and maximum, as one quotes them."""
    return {
        "min": round(min(values), 4),
        "median": round(median(values), 4),
        "max": round(max(values), 4),
    }


def shared_data() -> Path:
    """The folder of real development data. Raises SystemExit where there is none."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        raise SystemExit(f"this figure needs the development data in {folder}")
    return folder


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


def commit() -> str:
    """The commit that is checked out, short."""
    git = shutil.which("git")
    if git is None:
        return ""
    done = subprocess.run(
        [git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    return done.stdout.strip()
