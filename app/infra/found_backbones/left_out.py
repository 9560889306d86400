"""What an image of the app has in place of packaged weights, which its workers alone read.

`python -m app.infra.found_backbones.left_out FOLDER` leaves them out of a copy of the packages.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path
from typing import NamedTuple

_SUFFIX = ".left_out.json"
_LARGE = 2**20
_HEAD = 64
"""Bytes from a file's beginning that are kept: the sizes of a packed encoder are among them."""


class WeightsNote(NamedTuple):
    """What is still known of a file that is not here."""

    sha256: str
    head: bytes


def is_noted(file: Path) -> bool:
    """Whether `file` was here, and its workers' image has it."""
    return _note(file).is_file()


def noted(file: Path) -> WeightsNote | None:
    """What is known of `file` where it was left out."""
    if not is_noted(file):
        return None
    told = json.loads(_note(file).read_text("utf-8"))
    return WeightsNote(sha256=told["sha256"], head=bytes.fromhex(told["head"]))


def leave_out(folder: Path) -> list[Path]:
    """Put a note in place of each file in `folder` above 1 MiB; those files."""
    files = [one for one in sorted(folder.rglob("*")) if one.is_file()]
    large = [one for one in files if one.stat().st_size > _LARGE]
    for file in large:
        data = file.read_bytes()
        told = {"sha256": hashlib.sha256(data).hexdigest(), "head": data[:_HEAD].hex()}
        _note(file).write_text(json.dumps(told), "utf-8")
        file.unlink()
    return large


def _note(file: Path) -> Path:
    return file.with_name(f"{file.name}{_SUFFIX}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Leave weights out of a copy of their packages.")
    parser.add_argument("folder", type=Path)
    leave_out(parser.parse_args().folder)
