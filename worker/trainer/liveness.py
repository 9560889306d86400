"""Proof of consumption: a trainer is alive while it keeps claiming or keeps its claim.

`python -m worker.trainer.liveness` is a container's health check. A process that exists but no
longer gets through to the work table, or a consumer gone deaf, does not pass.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from pathlib import Path

from app.core.times import STALE_SECONDS
from app.infra.settings import settings_or_exit


class Pulse:
    """A file whose age says when this process last looked for work or kept its claim."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / f"trainer-{socket.gethostname()}-{os.getpid()}.alive"

    def beat(self) -> None:
        """Now."""
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._file.touch()
        except OSError:
            return  # a full disk: the file grows old, which is what it is for

    def end(self) -> None:
        """This process stops on purpose."""
        self._file.unlink(missing_ok=True)


def ages(folder: Path) -> dict[int, float]:
    """Seconds since the last beat of each trainer on this host, by process id."""
    prefix = f"trainer-{socket.gethostname()}-"
    seconds = {}
    for file in folder.glob(f"{prefix}*.alive"):
        number = file.stem.removeprefix(prefix)
        if number.isdigit():
            seconds[int(number)] = time.time() - file.stat().st_mtime
    return seconds


def main() -> int:
    """0 where a trainer of this host consumes, 1 where none does."""
    youngest = min(ages(settings_or_exit().data_dir / "run").values(), default=None)
    if youngest is None or youngest > STALE_SECONDS:
        print("no trainer consumes work here", file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
