"""From an upload to the examples of a version: open, lay out, check and pack, review.

Reads every byte as hostile. What is wrong with the container or with a header rejects the whole
upload and leaves nothing behind; what is doubtful about an example becomes a problem.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.core import manifest, splits, texts
from app.core.errors import HeadstartError
from app.core.manifest import Example, Modality, Problem, Split
from app.core.review import review
from app.infra.storage import scratch, storage_errors
from app.uploads.intake import images, layout, members, opening, tables
from app.uploads.intake.archive import Archive
from app.uploads.intake.layout import FileInTree, LabelledFile
from app.uploads.intake.limits import IntakeOptions, Kind, Limits
from app.uploads.intake.names import shown
from app.uploads.intake.pack import PackWriter, Slot
from app.uploads.intake.rows import Row, TextRow, text_row, too_long

EXAMPLE_FIELDS = set(Example.model_fields)
"""One set for all of them: each its own would be a third of a large upload's memory."""
MODALITIES: dict[str, Modality] = {"image": "image", "text": "text"}


@dataclass(frozen=True, slots=True)
class Built:
    """What an upload became. `pack_path` lies in the staging folder, for storage to take over;
    `classes` counts the usable examples of each label."""

    pack_path: Path
    pack_sha256: str
    examples: list[Example]
    problems: list[Problem]
    modality: Modality
    classes: list[dict[str, str | int]]


@dataclass(frozen=True, slots=True)
class Draft:
    """An example before the pack is complete."""

    slot: Slot
    path: str
    label: str
    group: str | None
    split: Split | None
    identity: str | None = None


def build(
    upload: Path,
    *,
    filename: str,
    staging: Path,
    modality: str | None = None,
    options: IntakeOptions | None = None,
) -> Built:
    """The examples of `upload`, packed. Blocking, and heavy: run it in a thread.

    Raises HeadstartError with the codes of bad inputs, and then leaves nothing in `staging`.
    """
    asked = _asked(modality)
    options = options or IntakeOptions()
    with storage_errors(), scratch(staging) as folder, _new_pack(staging) as pack:
        path, kind, name = opening.settle(
            upload, filename=filename, folder=folder, limits=options.limits
        )
        intake = _Intake(pack, folder=folder, options=options)
        if kind in ("zip", "tar"):
            found = intake.archive(path, kind, asked)
        else:
            found = intake.table(path, kind, name=name, asked=asked)
        return _finish(intake, found)


class _Intake:
    """One upload on its way in: the pack it is written to and what was found so far."""

    def __init__(self, pack: PackWriter, *, folder: Path, options: IntakeOptions) -> None:
        self.pack = pack
        self.options = options
        self.drafts: list[Draft] = []
        self.problems: list[Problem] = []
        self._folder = folder
        self._limits = options.limits

    def archive(self, path: Path, kind: Kind, asked: Modality | None) -> Modality:
        """Take in a zip or a tar."""
        with path.open("rb") as file:
            opened = opening.open_archive(file, kind, self._limits)
            paths = [entry.path for entry in opened.entries]
            found = layout.members(paths, asked)
            modality = layout.modality(found, asked)
            if self.options.labelled:
                items = self._items(opened, found, modality)
                _check_labels(items, self._limits)
            else:
                items = self._anything(opened, found, modality)
            for item in items:
                self._take(opened, item, modality)
        return modality

    def table(self, path: Path, kind: Kind, *, name: str, asked: Modality | None) -> Modality:
        """Take in a table of texts."""
        if asked == "image":
            raise layout.mismatch(asked, "text")
        self._take_rows(self._read(path, kind, name), None)
        return "text"

    def _items(
        self, opened: Archive, found: list[FileInTree], modality: Modality
    ) -> list[LabelledFile]:
        """The members that are examples; what is left over becomes problems."""
        listed = layout.metadata(found)
        if listed:
            rows = ((table, row) for table in listed for row in self._rows(opened, table))
            paths = [entry.path for entry in opened.entries]
            items = layout.by_rows(found, rows, paths=paths, limits=self._limits)
            self.problems += layout.unlisted(found, items, modality)
        else:
            items, unlabelled = layout.by_folder(found, modality)
            self.problems += unlabelled
        if modality == "text" and not items:
            self._take_tables(opened, found)
        self.problems += layout.ignored(found, self._used(modality, items))
        return items

    def _anything(
        self, opened: Archive, found: list[FileInTree], modality: Modality
    ) -> list[LabelledFile]:
        """The members that can be read, wherever they lie."""
        items = layout.anywhere(found, modality, paths=[entry.path for entry in opened.entries])
        if modality == "text" and not items:
            self._take_tables(opened, found)
        self.problems += layout.ignored(found, self._used(modality, items))
        return items

    @staticmethod
    def _used(modality: Modality, items: list[LabelledFile]) -> tuple[layout.Role, ...]:
        return (modality,) if modality == "image" or items else ("text", "table")

    def _take(self, opened: Archive, item: LabelledFile, modality: Modality) -> None:
        """Check one member and pack it. Raises the code of what is wrong with it."""
        try:
            data = members.content(opened, opened.entries[item.index], modality, self._limits)
        except HeadstartError as error:
            if self.options.labelled or error.code not in members.OF_ONE:
                raise
            self._reject(Problem(code=error.code, message=error.message, path=item.path))
            return
        if data:
            identity = texts.identity(data) if modality == "text" else None
            self._draft(data, item.path, item, identity=identity)
        else:
            self._reject(members.empty(item.path))

    def _reject(self, problem: Problem) -> None:
        """An example that is none: what is only to be predicted keeps its place, empty."""
        update: dict[str, Any] = {"excluded": True}
        if not self.options.labelled:
            slot = self.pack.add(b"")
            self.drafts.append(Draft(slot, str(problem.path), "", None, None))
            where = manifest.example_id(sha256=slot.sha256, path=str(problem.path))
            update["example_id"] = where
        self.problems.append(problem.model_copy(update=update))

    def _take_tables(self, opened: Archive, found: list[FileInTree]) -> None:
        for member, split in layout.tables(found):
            self._take_rows(self._rows(opened, member), split)

    def _take_rows(self, rows: Iterator[Row], split: Split | None) -> None:
        for row in rows:
            told = text_row(row, self._limits, labelled=self.options.labelled)
            if told.text:
                data = told.text.encode()
                self._draft(data, row.where, told, split, identity=texts.identity(data))
            else:
                self._reject(members.empty(row.where))

    def _rows(self, opened: Archive, member: FileInTree) -> Iterator[Row]:
        """The rows of a table inside the archive, by way of a file of our own."""
        target = self._folder / f"table-{member.index}"
        with target.open("wb") as out:
            for data in opened.chunks(opened.entries[member.index]):
                out.write(data)
        kind = layout.TABLES[images.extension(member.path)]
        yield from self._read(target, kind, member.path)
        target.unlink()

    def _read(self, path: Path, kind: Kind, name: str) -> Iterator[Row]:
        needed = "label" if self.options.labelled else "text"
        return tables.read(path, kind, name=name, limits=self._limits, needed=needed)

    def _draft(
        self,
        data: bytes,
        path: str,
        told: LabelledFile | TextRow,
        split: Split | None = None,
        *,
        identity: str | None,
    ) -> None:
        slot = self.pack.add(data)
        chosen = told.split or split
        self.drafts.append(Draft(slot, path, told.label, told.group, chosen, identity))


def _finish(intake: _Intake, modality: Modality) -> Built:
    """Close the pack, hold out what is to be held out, and review the whole."""
    if not intake.drafts:
        raise layout.nothing(labelled=intake.options.labelled)
    pack = intake.pack.finish()
    if not intake.options.labelled:
        return _unlabelled(intake, modality, pack)
    chosen = _splits(intake.drafts, intake.options)
    examples, doubts = review(
        _example(draft, split, pack) for draft, split in zip(intake.drafts, chosen, strict=True)
    )
    problems = intake.problems + doubts
    usable = manifest.usable(examples, problems)
    _check_classes(usable, intake.options.minimum_classes)
    return Built(
        intake.pack.path, pack, examples, problems, modality, manifest.class_counts(usable)
    )


def _unlabelled(intake: _Intake, modality: Modality, pack: str) -> Built:
    """The inputs as they are: what is doubtful about labels and splits is not asked."""
    examples = [_example(draft, "test", pack) for draft in intake.drafts]
    return Built(intake.pack.path, pack, examples, intake.problems, modality, [])


def _splits(drafts: list[Draft], options: IntakeOptions) -> list[Split]:
    """The splits that the upload names, or drawn ones where it names none and some are asked."""
    named = any(draft.split for draft in drafts)
    if named or not (options.val_fraction or options.test_fraction):
        return [draft.split or "train" for draft in drafts]
    return splits.split(
        [draft.label for draft in drafts],
        keys=[draft.identity or draft.slot.sha256 for draft in drafts],
        groups=[draft.group for draft in drafts],
        val=options.val_fraction,
        test=options.test_fraction,
        seed=options.seed,
    )


def _example(draft: Draft, split: Split, pack: str) -> Example:
    return Example.model_construct(
        EXAMPLE_FIELDS,
        id=manifest.example_id(sha256=draft.slot.sha256, path=draft.path),
        sha256=draft.slot.sha256,
        label=draft.label,
        group=draft.group,
        split=split,
        path=draft.path,
        pack=pack,
        offset=draft.slot.offset,
        length=draft.slot.length,
        identity=draft.identity,
    )


def _check_labels(items: list[LabelledFile], limits: Limits) -> None:
    """What folders' names may not be, before a byte is unpacked for them."""
    for item in items:
        if len(item.label) > limits.label_characters:
            why = too_long(item.label, limits)
            raise HeadstartError("label_too_long", why, param=shown(item.path))
        if not item.label.strip():
            why = f"the folder of {shown(item.path)} has no name to be a label"
            raise HeadstartError("invalid_value", why, param=shown(item.path))


def _check_classes(usable: list[Example], minimum: int) -> None:
    if not usable:
        raise HeadstartError("empty_dataset", "no example is left: each has a contradicting copy")
    labels = {example.label for example in usable if example.split == "train"}
    if len(labels) < minimum > 1:
        found = ", ".join(shown(label, 40) for label in sorted(labels)) or "none"
        raise HeadstartError(
            "insufficient_classes",
            f"at least {minimum} classes need an example to train on; found: {found}",
        )


def _asked(modality: str | None) -> Modality | None:
    if modality is None:
        return None
    if modality not in MODALITIES:
        raise HeadstartError("invalid_value", "modality is image or text", param="modality")
    return MODALITIES[modality]


def _new_pack(staging: Path) -> PackWriter:
    handle, path = tempfile.mkstemp(prefix="pack-", dir=staging)
    os.close(handle)
    return PackWriter(Path(path))
