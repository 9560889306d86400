"""Bundles are run where their owners have them: in a process that knows nothing of the service."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SCRIPT = """
import json, runpy, sys, traceback
from pathlib import Path

for line in sys.stdin:
    asked = json.loads(line)
    try:
        classify = runpy.run_path(asked["script"])["Classifier"](Path(asked["script"]).parent)
        rows = classify([Path(path).read_bytes() for path in asked["files"]])
        told = {"labels": classify.labels, "rows": rows.tolist()}
    except Exception:
        told = {"failed": traceback.format_exc()}
    told["ours"] = sorted({name.split(".")[0] for name in sys.modules} & {"app", "worker"})
    print(json.dumps(told), flush=True)
"""


@dataclass(frozen=True)
class Bundles:
    """One process for many bundles: what they import is imported once."""

    process: subprocess.Popen[str]
    folder: Path

    def rows(self, bundle: Path, pictures: Mapping[str, bytes]) -> tuple[list[str], Any]:
        """The labels [k] of the bundle unpacked at `bundle`, and its rows [n, k] of pictures."""
        files = []
        for path, data in pictures.items():
            files.append(str(self.folder / path.replace("/", "_")))
            Path(files[-1]).write_bytes(data)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"script": f"{bundle}/run.py", "files": files}) + "\n")
        self.process.stdin.flush()
        told = json.loads(self.process.stdout.readline())
        assert "failed" not in told, told["failed"]
        assert told["ours"] == [], "a bundle needs nothing of the service"
        return told["labels"], told["rows"]


@contextmanager
def running(folder: Path) -> Iterator[Bundles]:
    """A process that ends with the block."""
    command = [sys.executable, "-I", "-W", "ignore", "-c", SCRIPT]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=folder
    ) as process:
        yield Bundles(process, folder)
