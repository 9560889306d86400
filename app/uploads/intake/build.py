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

from app.core import manifest
from app.core.errors import HeadstartError
from app.core.manifest import Example, Modality, Problem
from app.core.review import review
from app.infra.storage import scratch, storage_errors
from app.uploads.intake import layout, members, opening, picture_lists, tables
from app.uploads.intake.archive import Archive
from app.uploads.intake.doubts import of_labels
from app.uploads.intake.drafts import Drafts, example
from app.uploads.intake.layout import FileInTree, LabelledFile
from app.uploads.intake.limits import IntakeOptions, Kind, Limits
from app.uploads.intake.names import shown
from app.uploads.intake.pack import PackWriter
from app.uploads.intake.rows import Row, too_long

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
    """One upload on its way in: what it is opened with, and what was found so far."""

    def __init__(self, pack: PackWriter, *, folder: Path, options: IntakeOptions) -> None:
        self.drafts = Drafts(pack, options)
        self.options = options
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
        return self.drafts.modality or modality

    def table(self, path: Path, kind: Kind, *, name: str, asked: Modality | None) -> Modality:
        """Take in a table of texts, or of pictures where its cells hold them."""
        self.drafts.take_rows(self._read(path, kind, name), None)
        found: Modality = self.drafts.modality or asked or "text"
        if asked not in (None, found):
            raise layout.mismatch(asked, found)
        return found

    def _items(
        self, opened: Archive, found: list[FileInTree], modality: Modality
    ) -> list[LabelledFile]:
        """The members that are examples; what is left over becomes problems."""
        listed = layout.metadata(found)
        written = [] if listed or modality != "image" else picture_lists.lists(found)
        if listed or written:
            found = [one for one in found if one not in written]
            rows = self._listed(opened, listed or written, written and found)
            paths = [entry.path for entry in opened.entries]
            items = layout.by_rows(found, rows, paths=paths, limits=self._limits)
            self.drafts.problems += layout.unlisted(found, items, modality)
        else:
            items, unlabelled = layout.by_folder(found, modality)
            self.drafts.problems += unlabelled
        if modality == "text" and not items:
            self._take_tables(opened, found)
        self.drafts.problems += layout.ignored(found, self._used(modality, items))
        return items

    def _anything(
        self, opened: Archive, found: list[FileInTree], modality: Modality
    ) -> list[LabelledFile]:
        """The members that can be read, wherever they lie."""
        items = layout.anywhere(found, modality, paths=[entry.path for entry in opened.entries])
        if modality == "text" and not items:
            self._take_tables(opened, found)
        self.drafts.problems += layout.ignored(found, self._used(modality, items))
        return items

    def _listed(
        self, opened: Archive, listed: list[FileInTree], near: list[FileInTree]
    ) -> Iterator[tuple[FileInTree, Row]]:
        """The rows of the files that say which picture is what, or which of those `near`."""
        nearest = picture_lists.Nearest(near)
        for table in listed:
            for row in self._rows(opened, table, paths=True):
                yield nearest.located(table, row) if near else (table, row)

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
            self.drafts.reject(Problem(code=error.code, message=error.message, path=item.path))
            return
        if data:
            self.drafts.add(data, item.path, item, modality=modality)
        else:
            self.drafts.reject(members.empty(item.path))

    def _take_tables(self, opened: Archive, found: list[FileInTree]) -> None:
        for member, split in layout.tables(found):
            self.drafts.take_rows(self._rows(opened, member), split)

    def _rows(self, opened: Archive, member: FileInTree, *, paths: bool = False) -> Iterator[Row]:
        """The rows of a table inside the archive, by way of a file of our own."""
        target = self._folder / f"table-{member.index}"
        with target.open("wb") as out:
            for data in opened.chunks(opened.entries[member.index]):
                out.write(data)
        kind = opening.table_kind(member.path)
        yield from self._read(target, kind, member.path, paths=paths)
        target.unlink()

    def _read(self, path: Path, kind: Kind, name: str, *, paths: bool = False) -> Iterator[Row]:
        """The rows of a table, or of what lists an archive's pictures."""
        table = tables.TableFile(
            path=path,
            kind=kind,
            name=shown(name),
            limits=self._limits,
            labelled=self.options.labelled,
            paths=paths,
            columns=self.options.columns,
            encoding=self.options.encoding,
            tell=self.drafts.tell,
        )
        listing = paths and picture_lists.is_list(name)
        return picture_lists.rows(table) if listing else tables.read(table)


def _finish(intake: _Intake, modality: Modality) -> Built:
    """Close the pack, hold out what is to be held out, and review the whole."""
    drafts, options = intake.drafts, intake.options
    if not drafts.listed:
        raise _nothing(drafts.problems, labelled=options.labelled)
    pack = drafts.pack.finish()
    if not options.labelled:
        return _unlabelled(drafts, modality, pack)
    examples, doubts = review(
        example(draft, split, pack)
        for draft, split in zip(drafts.listed, drafts.splits(), strict=True)
    )
    problems = drafts.problems + doubts
    usable = manifest.usable(examples, problems)
    problems += of_labels([example.label for example in usable])
    _check_classes(usable, options.minimum_classes)
    return Built(
        drafts.pack.path, pack, examples, problems, modality, manifest.class_counts(usable)
    )


def _nothing(problems: list[Problem], *, labelled: bool) -> HeadstartError:
    """There is no example; a table that has none says so itself."""
    empty = next((one for one in problems if one.code == "empty_dataset"), None)
    if empty is not None:
        return HeadstartError(empty.code, empty.message, param=empty.path)
    return layout.nothing(labelled=labelled)


def _unlabelled(drafts: Drafts, modality: Modality, pack: str) -> Built:
    """The inputs as they are: what is doubtful about labels and splits is not asked."""
    examples = [example(draft, "test", pack) for draft in drafts.listed]
    return Built(drafts.pack.path, pack, examples, drafts.problems, modality, [])


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
