"""Parquet of a version, which a child process writes: its library stays over there."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO

from pydantic_core import to_json

from app.core.errors import HeadstartError
from app.core.manifest import Example, Modality, mode_of
from app.datasets.export import OpenPack, told
from app.infra.processes.leash import leashed
from app.infra.storage import storage_errors

CHILD = Path(__file__).with_name("parquet_child.py")
SECONDS = 300
MEMORY = 2**31
_STEP = 1 << 20


def written(
    examples: Sequence[Example], open_pack: OpenPack, modality: Modality, *, staging: Path
) -> Iterator[bytes]:
    """The file's bytes; it is whole before the first of them, and gone after the last.

    Raises unsupported_media_type, storage_full or export_failed.
    """
    with storage_errors(), TemporaryDirectory(prefix="parquet-", dir=staging) as name:
        folder = Path(name)
        listed, target = folder / "rows.jsonl", folder / "out.parquet"
        with listed.open("wb") as out:
            for example in examples:
                place = (str(open_pack(example.pack)), example.offset, example.length)
                out.write(to_json({"place": place, "id": example.id, **told(example)}) + b"\n")
        _run(listed, target, modality, several=mode_of(examples) == "multi_label")
        file = target.open("rb")
    return _pieces(file)


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    with file:
        while data := file.read(_STEP):
            yield data


def _run(listed: Path, target: Path, modality: Modality, *, several: bool) -> None:
    told = {"seconds": SECONDS, "memory": MEMORY, "modality": modality, "several": several}
    bounds = json.dumps(told)
    command = [sys.executable, "-I", str(CHILD), str(listed), str(target), bounds]
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter and script
            command,
            capture_output=True,
            check=False,
            timeout=2 * SECONDS,
            env=leashed({"MALLOC_ARENA_MAX": "1", "ARROW_DEFAULT_MEMORY_POOL": "system"}),
        )
    except subprocess.TimeoutExpired as error:
        raise HeadstartError("export_failed", "the file takes too long to write") from error
    if done.returncode == 3:
        raise HeadstartError(
            "unsupported_media_type", "Parquet is written only where pyarrow is installed"
        )
    if done.returncode:
        raise HeadstartError("export_failed", f"the file was not written: {done.stderr[-200:]!r}")
