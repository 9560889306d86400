"""Run a command beside a bounded artificial load: `python -m tests.under_load 9 -- command …`.

The load is so many processes that each keep a core busy. They end with the command, however it
ends, and by themselves once this process is gone.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from multiprocessing import get_context

MOST = 12


def burn(parent: int) -> None:
    """Keep a core busy while the parent lives."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while os.getppid() == parent:
        sum(range(100_000))


def main() -> int:
    """The command's exit status."""
    count, separator, *command = sys.argv[1:]
    if separator != "--" or not command or not 0 < int(count) <= MOST:
        raise SystemExit(f"usage: python -m tests.under_load COUNT(1-{MOST}) -- COMMAND…")
    spawn = get_context("spawn")
    burners = [
        spawn.Process(target=burn, args=(os.getpid(),), daemon=True) for _ in range(int(count))
    ]
    for burner in burners:
        burner.start()
    try:
        return subprocess.run(command, check=False).returncode
    finally:
        for burner in burners:
            burner.kill()
        load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
        print(f"load averages at the end: {load}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
