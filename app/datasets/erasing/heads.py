"""What models keep of single examples, and models without it. It blocks.

Weights are made of all examples together. Of single ones a head keeps the embeddings of a few in
each class (`exemplars`), by which it tells what is unknown and names neighbours; one of attention
keeps its whole support. Beside it lie answers to the examples that judged it; advice names some.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.core import exports
from app.core.calibration import head_files
from app.core.errors import HeadstartError
from app.core.held_out import FILE
from app.core.ids import new_id
from app.datasets.erasing.selecting import Found
from app.http.dependencies import Services
from app.infra import storage_keys
from app.infra.orm import DatasetVersionRow, ModelRow
from app.infra.storage import Storage, storage_errors
from app.infra.storage_keys import CARD, HEAD

_ROWS = ("exemplars", "exemplar_labels", "exemplar_marks")
"""Tensors that have a row for each of a head's exemplars."""
_SUPPORT = "support"
"""The tensor of a head of attention: a row an example, which no id names."""
_ALSO = "also_learned_from"


@dataclass(frozen=True, kw_only=True)
class Revised:
    """A model's files without what they had of single examples."""

    prefix: str
    sha256: str
    size: int
    card: dict[str, Any]
    files: Mapping[str, Path]


@dataclass(frozen=True, kw_only=True)
class Learned:
    """A model that was made of erased examples, or judged on them."""

    row: ModelRow
    trained_on: int
    judged_on: int
    holds: bool
    """Whether its head keeps them itself, so that it cannot stay."""

    def told(self, *, kept: bool) -> dict[str, Any]:
        """As a receipt has it."""
        counts = {"trained_on": self.trained_on, "judged_on": self.judged_on}
        return {"model": self.row.id, **counts, "kept": kept}

    @property
    def former_files(self) -> list[str]:
        """What is to go once the row names other files: the folder, and the bundles made of it."""
        bundles = [exports.key_of(self.row.artifact, form) for form in exports.FORMATS]
        return [f"{self.row.artifact}/", *bundles]


def learned(
    rows: Sequence[tuple[ModelRow, str | None, str | None]],
    versions: Sequence[DatasetVersionRow],
    found: Found,
) -> list[Learned]:
    """The models that have learned from an erased example or were judged on one; each is told
    with the versions that it was made of and judged on.
    """
    numbers = {(one.dataset_id, one.number): one.id for one in versions}
    told = []
    for row, made_of, judged in rows:
        own = found.usable.get(made_of or "", [])
        trained = sum(one.split == "train" for one in own)
        asked = found.usable.get(judged, []) if judged else [o for o in own if o.split != "train"]
        others = [numbers.get((str(o["id"]), int(o["version"]))) for o in row.card.get(_ALSO, [])]
        further = [one for version in others for one in found.usable.get(version or "", [])]
        also = sum(one.split == "train" for one in further)
        if trained or asked or also:
            tensors = row.card.get("head", {}).get("tensors", {})
            holds = bool(trained) and _SUPPORT in tensors
            one = Learned(row=row, trained_on=trained + also, judged_on=len(asked), holds=holds)
            told.append(one)
    return told


def revised(
    services: Services, row: ModelRow, ids: Collection[str], parent: Path
) -> Revised | None:
    """The model's files without these examples; None where they have nothing of them.

    Raises model_corrupt, storage_full.
    """
    head = _read(services.storage, row, HEAD)
    answers, left = _answers(services.storage, row, ids)
    names = row.card.get("config", {}).get("exemplar_ids", [])
    places = [at for at, name in enumerate(names) if name in ids]
    card = without(row.card, ids)
    if not places and answers == left and card == row.card:
        return None
    shapes = head_files.shapes(head)
    shorter = head_files.without_rows(head, [one for one in _ROWS if one in shapes], places)
    return _Drawn(row, shorter, card, left).written(parent)


@dataclass(frozen=True)
class _Drawn:
    row: ModelRow
    head: bytes
    card: dict[str, Any]
    answers: bytes | None
    prefix: str = field(default_factory=lambda: new_id("rev-"))

    def written(self, parent: Path) -> Revised:
        card = dict(self.card)
        if self.answers is not None and "held_out" in card:
            digest = hashlib.sha256(self.answers).hexdigest()
            card["held_out"] = {**card["held_out"], "sha256": digest}
        hashed = {head_files.CONFIG_SHA256: head_files.config_sha256(card)}
        told = {**head_files.metadata(self.head), **hashed}
        head = head_files.with_metadata(self.head, told)
        sha256 = hashlib.sha256(head).hexdigest()
        card["head"] = self._described(head, sha256)
        prefix = storage_keys.revision(self.row.artifact, self.prefix)
        files = {HEAD: head, CARD: _text(card), FILE: self.answers}
        folder = parent / self.prefix
        with storage_errors():
            folder.mkdir()
            for name, data in files.items():
                if data is not None:
                    (folder / name).write_bytes(data)
        there = {f"{prefix}/{one}": folder / one for one in files if files[one] is not None}
        return Revised(prefix=prefix, sha256=sha256, size=len(head), card=card, files=there)

    def _described(self, head: bytes, sha256: str) -> dict[str, Any]:
        shapes, before = head_files.shapes(head), self.card["head"]
        tensors = {name: {**one, "shape": shapes[name]} for name, one in before["tensors"].items()}
        return {**before, "sha256": sha256, "bytes": len(head), "tensors": tensors}


def _text(card: Mapping[str, Any]) -> bytes:
    text = json.dumps(card, indent=2, allow_nan=False, ensure_ascii=False)
    return f"{text}\n".encode()


def _read(storage: Storage, row: ModelRow, name: str) -> bytes:
    try:
        data = storage.fetch(f"{row.artifact}/{name}").read_bytes()
    except FileNotFoundError as error:
        raise _corrupt(row, name) from error
    if name == HEAD and hashlib.sha256(data).hexdigest() != row.sha256:
        raise _corrupt(row, name)
    return data


def _corrupt(row: ModelRow, name: str) -> HeadstartError:
    why = f"the stored model {row.id} is damaged: {name} is not what was stored; delete it"
    return HeadstartError("model_corrupt", why, retry_after=60)


def _answers(
    storage: Storage, row: ModelRow, ids: Collection[str]
) -> tuple[bytes | None, bytes | None]:
    """The held-out answers as they are, and without these examples; None where there are none."""
    try:
        data = storage.fetch(f"{row.artifact}/{FILE}").read_bytes()
    except FileNotFoundError:
        return None, None
    lines = data.splitlines(keepends=True)
    kept = [line for line in lines if json.loads(line).get("example_id") not in ids]
    return data, b"".join(kept)


def without(told: Any, ids: Collection[str]) -> Any:
    """JSON without the items of lists that name one of these examples."""
    if isinstance(told, Mapping):
        return {name: without(value, ids) for name, value in told.items()}
    if isinstance(told, list):
        return [without(one, ids) for one in told if not _names(one, ids)]
    return told


def _names(told: Any, ids: Collection[str]) -> bool:
    if isinstance(told, Mapping):
        return any(_names(value, ids) for value in told.values())
    if isinstance(told, list):
        return any(_names(one, ids) for one in told)
    return isinstance(told, str) and told in ids
