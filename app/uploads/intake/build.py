"""From an upload to the examples of a version: open, lay out, check and pack, review.

Reads every byte as hostile. What is wrong with the container or with a header rejects the whole
upload and leaves nothing behind; what is doubtful about an example becomes a problem.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from app.core import manifest
from app.core.errors import HeadstartError
from app.core.manifest import Modality, Split
from app.core.modalities import MODALITIES
from app.infra.storage import scratch, storage_errors
from app.uploads.intake import checks, code_pages, layout, lists, members, opening, tables
from app.uploads.intake.archive import Archive
from app.uploads.intake.built import Built, finished
from app.uploads.intake.containers.ahead import read_ahead
from app.uploads.intake.crops.cutter import Cutter, name_of
from app.uploads.intake.crops.masks import MaskLook
from app.uploads.intake.drafts import Drafts
from app.uploads.intake.layout import FileInTree, LabelledFile, doubts
from app.uploads.intake.limits import IntakeOptions, Kind
from app.uploads.intake.lists.reading import ListReading
from app.uploads.intake.lists.sources import Sources
from app.uploads.intake.lists.split_lists import SplitLists
from app.uploads.intake.members import MemberContent
from app.uploads.intake.pack import new_pack
from app.uploads.intake.refusals import codes_of, without_boxes
from app.uploads.intake.rows import Row
from app.uploads.intake.tables import consensus
from app.uploads.intake.tables.turns import by_turns

OF_TOO_LITTLE = frozenset({"empty_dataset", "insufficient_classes", "ambiguous_layout"})
"""Refusals that what was left out explains."""


def build(
    upload: Path,
    *,
    filename: str,
    staging: Path,
    modality: str | None = None,
    options: IntakeOptions | None = None,
) -> Built:
    """The examples of `upload`, packed. Blocking, and heavy: run it in a thread.

    Raises HeadstartError with the codes of bad inputs, all that was found wrong in its member
    `errors`, and then leaves nothing in `staging`.
    """
    asked = checks.asked(modality)
    options = options or IntakeOptions()
    take = partial(_build, upload, filename=filename, staging=staging, asked=asked)
    try:
        return take(options=options)
    except HeadstartError as error:
        if options.label_mode is not None or "several_labels" not in codes_of(error):
            raise
    return take(options=replace(options, label_mode="multi_label"))


def _build(
    upload: Path, *, filename: str, staging: Path, asked: Modality | None, options: IntakeOptions
) -> Built:
    """In the mode of `options`, where it is not said that of one label an example."""
    with storage_errors(), scratch(staging) as folder, new_pack(staging) as pack:
        drafts = Drafts(pack, options)
        try:
            modality = _Intake(drafts, folder).take(upload, filename, asked)
            return finished(drafts, modality)
        except HeadstartError as error:
            drafts.refuse_damaged()
            too_little = drafts.problems if error.code in OF_TOO_LITTLE else []
            raise drafts.refusals.closing(error, too_little) from error


class _Intake:
    """One upload on its way in: what it is opened with, and where its examples go."""

    def __init__(self, drafts: Drafts, folder: Path) -> None:
        self._drafts = drafts
        self._options = drafts.options
        self._limits = drafts.options.limits
        self._refusals = drafts.refusals
        self._folder = folder
        self._junk: list[FileInTree] = []
        self._cutter = Cutter(self._limits)
        self._facts = layout.Facts(asked=self._options.asked)
        self._drawn = layout.Drawn()

    def take(self, upload: Path, filename: str, asked: Modality | None) -> Modality:
        """Take in whatever the upload is."""
        path, kind, name = opening.settle(
            upload, filename=filename, folder=self._folder, limits=self._limits
        )
        with self._cutter:
            if kind in ("zip", "tar"):
                modality = self._archive(path, kind, asked)
            else:
                modality = self._table(path, kind, name=name, asked=asked)
        if self._options.crops_wanted and not self._cutter.boxes:
            raise without_boxes(self._drafts.problems)
        self._drafts.settle_votes()
        self._drafts.settle_unlabelled()
        self._drafts.settle_damaged()
        self._refusals.check()
        return modality

    def _archive(self, path: Path, kind: Kind, asked: Modality | None) -> Modality:
        with path.open("rb") as file:
            opened = opening.open_archive(file, kind, self._options, self._refusals)
            self._say_page(opened)
            peek, paths = partial(members.head, opened), [entry.path for entry in opened.entries]
            every = members.with_tables(layout.members(paths, asked, peek, self._refusals), peek)
            self._refusals.check()
            members.refuse_foreign(every, peek)
            found = self._without_junk(every)
            modality = layout.modality(found, asked)
            if self._options.labelled:
                items = self._items(opened, found, modality)
                checks.labels(items, self._limits, self._refusals)
            else:
                items = self._anything(opened, found, modality)
            self._take_all(opened, items, modality)
        return self._drafts.modality or modality

    def _table(self, path: Path, kind: Kind, *, name: str, asked: Modality | None) -> Modality:
        self._drafts.take_rows(self._read(path, kind, name), None)
        found: Modality = self._drafts.modality or asked or "text"
        if asked not in (None, found):
            raise layout.mismatch(asked, found)
        return found

    def _without_junk(self, every: list[FileInTree]) -> list[FileInTree]:
        self._junk = [one for one in every if one.role == "junk"]
        self._drafts.problems += layout.ignored(self._junk, used=())
        return [one for one in every if one.role != "junk"]

    def _say_page(self, opened: Archive) -> None:
        """A code page that no name states is told: labels are names."""
        if opened.page.assumed:
            problem = code_pages.assumption(opened.page, [one.path for one in opened.entries])
            self._drafts.tell(problem)
            self._drafts.notes.append(problem.message)

    def _items(
        self, opened: Archive, found: list[FileInTree], modality: Modality
    ) -> list[LabelledFile]:
        """The members that are examples; what is left over becomes problems."""
        in_tables = MODALITIES[modality].in_tables
        named = [one for one in found if not in_tables and lists.is_list(one.path)]
        tree, wrapper = layout.unwrapped(found, modality, named)
        listing = layout.metadata(tree) or (lists.lists(tree) if named else [])
        items = self._listed(opened, listing, tree) if listing else None
        if items is None:
            tree, wrapper = layout.unwrapped(found, modality)
            items, listing = self._beside(opened, tree) if not in_tables else (None, listing)
        if items is None:
            items, told = self._facts.given(self._placed(opened, found, modality), self._limits)
            self._drafts.problems += told
        else:
            self._drafts.problems += layout.unlisted(tree, items, modality, self._drawn)
        if MODALITIES[modality].in_tables and not items:
            self._take_tables(opened, found)
            return []
        self._drafts.notes += doubts.looked_through(wrapper)
        used = {one.index for one in listing} | {x.index for x in tree if x.role == modality}
        self._drafts.problems += layout.ignored(tree, used)
        return self._drafts.together(items)

    def _listed(
        self, opened: Archive, listing: list[FileInTree], tree: list[FileInTree]
    ) -> list[LabelledFile] | None:
        """The members that metadata files name, or what labelling tools write; None where one of
        the latter is something else by its content, and folders can say the labels."""
        sure = any(layout.is_metadata(one.path) for one in listing)
        pictures = lists.NamedPictures([one for one in tree if one.role == "image"])
        splits = SplitLists.of(tree, self._list_reading(opened), pictures)
        rows = (
            (table, row) if sure else lists.located(pictures, table, row)
            for table in listing
            for row in self._rows(opened, table, paths=True)
        )
        try:
            located = splits.located(rows, pictures, self._drafts.tell)
            items = self._by_rows(opened, located, tree)
        except HeadstartError as error:
            if sure and error.code == "schema_mismatch" and not self._refusals:
                return self._named_otherwise(opened, tree, error)
            in_folders = any(one.role == "image" and len(one.parts) > 1 for one in tree)
            if (
                sure
                or self._options.crops_wanted
                or error.code != "schema_mismatch"
                or self._refusals
                or not in_folders
            ):
                raise
            self._drafts.problems.append(doubts.no_list(listing[0].path, error.message))
            return None
        self._refusals.check()
        listing += splits.members if splits.hold_out else []
        return items

    def _named_otherwise(
        self, opened: Archive, tree: list[FileInTree], error: HeadstartError
    ) -> list[LabelledFile] | None:
        """The members that metadata names in a column that its cells tell; None where it says
        groups or splits alone, and folders the labels. Raises `error`."""
        notes, problems = len(self._drafts.notes), len(self._drafts.problems)
        try:
            items, _ = self._beside(opened, tree)
            if items is not None:
                return items
            if self._facts.members.intersection(one.index for one in layout.metadata(tree)):
                del self._drafts.notes[notes:], self._drafts.problems[problems:]
                return None
        except HeadstartError as other:
            if "`path`" in error.message and ", row " in other.message:
                raise  # a column names the pictures, and something is wrong with a row
        raise error

    def _list_reading(self, opened: Archive) -> ListReading:
        return ListReading(partial(members.start, opened), partial(self._naming, opened))

    def _by_rows(
        self,
        opened: Archive,
        rows: Iterable[tuple[FileInTree, Row]],
        tree: Sequence[FileInTree],
    ) -> list[LabelledFile]:
        layout.check_files(self._options.asked)
        items = layout.by_rows(
            consensus.settled(
                self._drafts.labelled(rows), self._drafts.tell, several=self._options.rules.several
            ),
            layout.Places(tree, [entry.path for entry in opened.entries]),
            limits=self._limits,
            refusals=self._refusals,
            rules=self._options.rules,
        )
        return layout.in_split_folders(items, self._drafts.tell)

    def _beside(
        self, opened: Archive, tree: list[FileInTree]
    ) -> tuple[list[LabelledFile] | None, list[FileInTree]]:
        """The members that tables beside the pictures name, and those tables; None where there
        are no such tables, or folders say the labels."""
        pictures = [one for one in tree if one.role == "image"]
        self._drawn = layout.Drawn(pictures, MaskLook(opened, self._cutter, self._options).anywhere)
        sources = Sources(tree, self._list_reading(opened), self._drawn)
        tables = list(sources.every())
        decision = layout.decide(tables, self._drawn.without(pictures))
        self._drafts.notes += decision.notes
        self._drafts.problems += [*decision.problems, *sources.unread]
        if not decision.rows:
            self._facts.take(decision.beside, tables, sources.splits)
            used = sources.said_splits | self._facts.members
            return None, [one for one in tree if one.index in used]
        layout.check_tables(self._options.asked, decision.read, tables)
        for one in decision.read:
            self._drafts.assumed.note(one.assumed)
        items = self._by_rows(opened, decision.rows, tree)
        self._refusals.check()
        return items, [one for one in tree if one.index in decision.used]

    @contextmanager
    def _naming(self, opened: Archive, member: FileInTree) -> Iterator[tables.TableFile]:
        with self._copied(opened, member) as path:
            yield self._table_file(path, members.kind(opened, member), member.path, paths=True)

    def _placed(
        self, opened: Archive, found: list[FileInTree], modality: Modality
    ) -> list[LabelledFile]:
        """The members that lie in class folders; none of texts where tables say more."""
        tree, wrapper = layout.unwrapped(found, modality)
        with_tables = MODALITIES[modality].in_tables and any(one.role == "table" for one in found)
        try:
            look = MaskLook(opened, self._cutter, self._options)
            masks, completed = (look, self._options.known, look.beside), self._facts.completed
            placed = layout.by_folder(tree, modality, *masks, elsewhere=completed, above=wrapper)
        except HeadstartError:
            if with_tables:
                return []
            raise
        if with_tables and len({one.label for one in placed.items}) < 2:
            return []
        self._drafts.notes += placed.notes
        self._drafts.problems += placed.problems
        self._drafts.problems += layout.empty_classes(
            opened.folders, [*found, *self._junk], wrapper=wrapper, parents=placed.parents
        )
        return placed.items

    def _anything(
        self, opened: Archive, found: list[FileInTree], modality: Modality
    ) -> list[LabelledFile]:
        """The members that can be read, wherever they lie."""
        items = layout.anywhere(found, modality)
        if MODALITIES[modality].in_tables and not items:
            self._take_tables(opened, found)
        else:
            listed = layout.metadata(found)
            used = {one.index for one in found if one in listed or one.role == modality}
            self._drafts.problems += layout.ignored(found, used)
        return items

    def _take_all(self, opened: Archive, items: Sequence[LabelledFile], modality: Modality) -> None:
        """Check the members, a few ahead of the one that is packed."""

        def read(item: LabelledFile) -> MemberContent:
            return members.content(opened, opened.entries[item.index], modality, self._options)

        with closing(read_ahead(read, items, lambda one: opened.entries[one.index].size)) as ahead:
            for item, content in ahead:
                self._take(item, content, modality)

    def _take(
        self, item: LabelledFile, content: Callable[[], MemberContent], modality: Modality
    ) -> None:
        """Pack one member, or a part of it, if it can be an example."""
        box = item.box
        if box is not None:
            item = replace(item, path=name_of(item.path, box))
        try:
            held = content()
            if box is not None:
                item = replace(item, source=held.sha256)
                held = MemberContent(self._cutter.cut(held, box, item.path))
        except HeadstartError as error:
            self._drafts.refuse(error, item.path, item)
            return
        if not held.data:
            self._drafts.reject(members.empty(item.path))
            return
        if held.patient and not item.group:
            item = replace(item, group=self._drafts.patients.of(held.patient))
        slot = self._drafts.add(held.data, item.path, item, modality=modality, sha256=held.sha256)
        if held.frames > 1:
            named = manifest.example_id(sha256=slot.sha256, path=item.path)
            self._drafts.problems.append(members.further_frames(held, named, item.path))

    def _take_tables(self, opened: Archive, found: list[FileInTree]) -> None:
        """Take in the tables, each with the split that its name says."""
        tree, _ = layout.unwrapped(found, "table")
        chosen = layout.tables(tree)
        self._drafts.problems += layout.folds_told(chosen, labelled=self._options.labelled)
        named = any(split for _, split in chosen)
        for (member, split), taken in by_turns(chosen, partial(self._take_table, opened, named)):
            if taken and named and split is None and self._options.labelled:
                self._drafts.problems.append(doubts.trained_on(member.path))
        used = self._drafts.name_numbers(found, partial(members.start, opened))
        used |= {member.index for member, _ in chosen}
        self._drafts.problems += layout.ignored(tree, used, labels=self._drafts.labels)

    def _take_table(
        self, opened: Archive, named: bool, table: tuple[FileInTree, Split | None], may_wait: bool
    ) -> bool | None:
        """Take in one table; one that is held out (some are `named` so), as Kaggle's are, may have
        no labels at all. None where it is not read, and others after it may tell how."""
        member, split = table
        before, told = len(self._drafts.listed), len(self._drafts.problems)
        try:
            self._drafts.take_rows(self._rows(opened, member), split)
        except HeadstartError as error:
            if error.code != "schema_mismatch" or len(self._drafts.listed) > before:
                raise
            if may_wait and not self._drafts.assumed.header:
                del self._drafts.problems[told:]
                return None
            if not named or split == "train":
                raise
            self._drafts.problems.append(doubts.left_out(member.path, error))
        return len(self._drafts.listed) > before

    def _rows(self, opened: Archive, member: FileInTree, *, paths: bool = False) -> Iterator[Row]:
        with self._copied(opened, member) as path:
            yield from self._read(path, members.kind(opened, member), member.path, paths=paths)

    @contextmanager
    def _copied(self, opened: Archive, member: FileInTree) -> Iterator[Path]:
        target = self._folder / f"table-{member.index}"
        with target.open("wb") as out:
            out.writelines(opened.chunks(opened.entries[member.index]))
        yield target
        target.unlink()

    def _read(self, path: Path, kind: Kind, name: str, *, paths: bool = False) -> Iterator[Row]:
        table = self._table_file(path, kind, name, paths=paths)
        return lists.rows(table) if paths and lists.is_list(name) else tables.read(table)

    def _table_file(self, path: Path, kind: Kind, name: str, *, paths: bool) -> tables.TableFile:
        tell, assumed = self._drafts.tell, self._drafts.assumed
        asked = tables.TableFile.asked
        return asked(path, kind, name, self._options, assumed=assumed, paths=paths, tell=tell)
