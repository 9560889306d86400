"""Files that hold several inputs, some of them erased: results of batches, the prediction log."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic_core import from_json, to_json

from app.core.ids import new_id
from app.infra import storage_keys
from app.infra.orm import BatchPartRow
from app.infra.repositories.live.erased import Slice, Written
from app.infra.storage import Storage, storage_errors

_ERASED = {"code": "example_erased", "message": "the example was erased from its dataset"}


@dataclass(frozen=True, kw_only=True)
class Redrawn:
    """A file of a batch's results in which erased inputs are errors that name nothing."""

    batch_id: str
    start: int
    former: str
    key: str
    path: Path
    size: int
    sha256: str
    failed: int
    """How many of them had a prediction."""


def redrawn(
    storage: Storage,
    organisation_id: str,
    parts: Sequence[tuple[str, BatchPartRow]],
    ids: Collection[str],
    folder: Path,
) -> list[Redrawn]:
    """Those of the files that name one of these examples. Raises storage_full."""
    made = []
    for batch_id, part in parts:
        try:
            lines = storage.fetch(part.key).read_bytes().splitlines()
        except FileNotFoundError:  # lost before; nothing is left of it to be erased
            continue
        items = {at: from_json(line) for at, line in enumerate(lines)}
        gone = {at: item for at, item in items.items() if item.get("id") in ids}
        if not gone:
            continue
        for at, item in gone.items():
            lines[at] = to_json({"index": item["index"], "error": _ERASED})
        name = new_id("erased_")
        path = folder / name
        data = b"".join(line + b"\n" for line in lines)
        with storage_errors():
            path.write_bytes(data)
        key = storage_keys.result(organisation_id, batch_id, start=part.start, fence=name)
        one = Redrawn(
            batch_id=batch_id, start=part.start, former=part.key, key=key, path=path,
            size=len(data), sha256=hashlib.sha256(data).hexdigest(),
            failed=sum("error" not in item for item in gone.values()),
        )  # fmt: skip
        made.append(one)
    return made


@dataclass(frozen=True)
class Copied:
    """What stays of a file of the log, in another one."""

    key: str
    path: Path
    slices: list[Slice]


def copied(
    storage: Storage, organisation_id: str, found: Written, folder: Path
) -> Mapping[str, Copied]:
    """By the former file's key. Raises storage_full."""
    made = {}
    for former, slices in found.beside.items():
        try:
            data = storage.fetch(former).read_bytes()
        except FileNotFoundError:
            continue
        name, at, placed = new_id("log-"), 0, list[Slice]()
        path = folder / name
        with storage_errors(), path.open("wb") as out:
            for one in slices:
                out.write(data[one.start : one.start + one.length])
                placed.append(Slice(one.id, at, one.length))
                at += one.length
        made[former] = Copied(storage_keys.live(organisation_id, name), path, placed)
    return made
