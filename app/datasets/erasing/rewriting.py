"""Packs and manifests written anew, without what is erased. It blocks."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.core import manifest
from app.core.errors import TITLES
from app.core.ids import new_id
from app.core.manifest import Example, Problem
from app.core.texts import visible
from app.datasets.content import Content
from app.datasets.erasing.selecting import Found, Slots
from app.http.dependencies import Services
from app.infra.orm import DatasetVersionRow
from app.infra.repositories import versions as version_rows
from app.infra.repositories.datasets import NewVersion
from app.infra.storage import storage_errors
from app.uploads import blobs
from app.uploads.intake.pack import Slot, new_pack


@dataclass(frozen=True)
class NewPack:
    """A pack with what stays of another, and where each content lies in it."""

    name: str
    path: Path
    slots: Mapping[str, Slot]


def repacked(source: Path, slots: Slots, folder: Path) -> NewPack | None:
    """A pack of these contents of the pack at `source`; None of no content.

    Raises dataset_corrupt, storage_full.
    """
    if not slots:
        return None
    with storage_errors(), new_pack(folder) as pack, source.open("rb") as file:
        placed: dict[str, Slot] = {}
        for sha256, (offset, length) in sorted(slots.items(), key=lambda item: item[1]):
            file.seek(offset)
            placed[sha256] = pack.add(manifest.checked(file.read(length), sha256), sha256)
        return NewPack(pack.finish(), pack.path, placed)


def placed(example: Example, packs: Mapping[str, NewPack | None]) -> Example:
    """The example where it lies now."""
    pack = packs.get(example.pack)
    if pack is None:
        return example
    slot = pack.slots[example.sha256]
    return example.model_copy(update={"pack": pack.name, "offset": slot.offset})


@dataclass(frozen=True, kw_only=True)
class Shrunk:
    """A version without what is erased: what its row says then, and its manifest's file."""

    version_id: str
    new: NewVersion
    listing: Path
    near_duplicates: dict[str, Any] | None
    gone: int


def shrunk(
    services: Services,
    version: DatasetVersionRow,
    found: Found,
    packs: Mapping[str, NewPack | None],
    folder: Path,
) -> Shrunk | None:
    """None where nothing of the version changes."""
    if version.id not in found.gone and packs.keys().isdisjoint(version.packs):
        return None
    known = blobs.load_manifest(services, version)
    left = [placed(one, packs) for one in known if one.content not in found.contents]
    problems = scrubbed(version_rows.problems_of(version), found)
    content = Content(left, problems, version.declared or ())
    listing = content.write(folder)
    return Shrunk(
        version_id=version.id,
        new=content.version(manifest_sha256=listing.name, backbone=version.backbone),
        listing=listing,
        near_duplicates=_apart(version.near_duplicates, found.ids),
        gone=len(known) - len(left),
    )


def scrubbed(problems: Sequence[Problem], found: Found) -> list[Problem]:
    """Without those of erased examples; others do not name one any more."""
    names = {name for path in found.paths for name in (path, visible(path)) if name}
    return [
        _nameless(one, names)
        for one in problems
        if one.example_id not in found.ids and not (one.example_id is None and one.path in names)
    ]


def _nameless(problem: Problem, names: Collection[str]) -> Problem:
    if not any(name in problem.message for name in names):
        return problem
    return problem.model_copy(update={"message": TITLES.get(problem.code, problem.code)})


def _apart(told: dict[str, Any] | None, ids: Collection[str]) -> dict[str, Any] | None:
    """Groups of examples that are almost the same, as far as two are left of them."""
    if told is None:
        return None
    groups = [[one for one in group if one not in ids] for group in told.get("groups", [])]
    return {**told, "groups": [group for group in groups if len(group) > 1]}


def listed(sha256s: Iterable[str], folder: Path) -> Path:
    """A manifest of hashes alone, under a name that none has had."""
    salt = json.dumps({"salt": new_id("era_")})
    lines = [json.dumps({"sha256": one}, separators=(",", ":")) for one in sorted(sha256s)]
    data = "\n".join([*lines, salt, ""]).encode()
    path = folder / hashlib.sha256(data).hexdigest()
    with storage_errors():
        path.write_bytes(data)
    return path
