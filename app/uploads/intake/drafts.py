"""The examples of an upload as they are found, before its pack is complete."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from app.core import manifest, splits
from app.core.errors import HeadstartError
from app.core.manifest import Example, Modality, Problem, Split
from app.core.modalities import MODALITIES
from app.uploads.intake import images, members, standing
from app.uploads.intake.damage import Damaged
from app.uploads.intake.layout import OF_ROW, FileInTree, LabelledFile, doubts, together
from app.uploads.intake.limits import IntakeOptions
from app.uploads.intake.names import shown
from app.uploads.intake.pack import Draft, PackWriter, Slot
from app.uploads.intake.patients import Pseudonyms
from app.uploads.intake.refusals import Refusals
from app.uploads.intake.rows import (
    DENIED,
    SET_ASIDE,
    InlinePicture,
    PictureCell,
    Row,
    TextRow,
    denied_by,
    is_unlabelled,
    picture_row,
    text_row,
)
from app.uploads.intake.standing import numbers
from app.uploads.intake.standing.numbers import Head
from app.uploads.intake.tables.consensus import VOTE, Consensus, Vote
from app.uploads.intake.tables.source import AssumedColumns
from app.uploads.printed import listed

Told = TypeVar("Told")
EXAMPLE_FIELDS = set(Example.model_fields)
"""One set for all of them: each its own would be a third of a large upload's memory."""


class Drafts:
    """What was found in one upload so far: examples, in `pack` and listed, and problems.

    `refusals` collects what ends the upload; `notes` says in words how it was read.
    """

    def __init__(self, pack: PackWriter, options: IntakeOptions) -> None:
        self.pack = pack
        self.options = options
        self.listed: list[Draft] = []
        self.problems: list[Problem] = []
        self.notes: list[str] = []
        self.rules = options.rules
        self.assumed = AssumedColumns()
        self.names_groups = False
        """Whether the upload says of a file which group it is in."""
        self._placed: set[str] = set()
        """Paths of examples whose label is their folder's name."""
        self._single: set[str] = set()
        """Those of texts whose row names one label where there may be several."""
        self.refusals = Refusals()
        self._damaged = Damaged()
        self._without_label: list[Problem] = []
        self._further_without = 0
        self._votes: dict[int, Vote] = {}
        """Whose answers drafts are, by their place in `listed`."""
        self.patients = Pseudonyms(options.pseudonym_key)
        self.modality: Modality | None = None
        """What the rows of tables turned out to be."""

    def tell(self, problem: Problem) -> None:
        """A problem that is not of one example; several tables may have the same."""
        if problem not in self.problems:
            self.problems.append(problem)

    def together(self, files: Sequence[LabelledFile]) -> list[LabelledFile]:
        """The files, versions and copies of one picture in one group, which is told."""
        self.names_groups = any(file.group for file in files)
        grouped, told = together(files)
        self.problems += told
        return grouped

    def add(
        self,
        data: bytes,
        path: str,
        told: LabelledFile | TextRow,
        split: Split | None = None,
        *,
        modality: Modality,
        sha256: str | None = None,
    ) -> Slot:
        """An example with the bytes `data`; `split` is that of the table that it is in."""
        slot = self.pack.add(data, sha256)
        identity = MODALITIES[modality].identity(data)
        labels = self._labels(told)
        if told.labels is None and labels is not None:
            self._placed.add(path)
        label = told.label if labels is None else ""
        draft = Draft(slot, path, label, told.group, told.split or split, identity, labels)
        if isinstance(told, LabelledFile):
            draft = replace(draft, denied=told.denied, source=told.source)
        self.listed.append(draft)
        return slot

    def _labels(self, told: LabelledFile | TextRow) -> tuple[str, ...] | None:
        """All labels where there may be several; a folder's name is one, or says there is none."""
        if told.labels is not None or not (self.rules.several and self.options.labelled):
            return told.labels
        return () if told.label == self.rules.negative else (told.label,)

    def reject(self, problem: Problem) -> None:
        """An example that is none: what is only to be predicted keeps its place, empty."""
        update: dict[str, Any] = {"excluded": True}
        if not self.options.labelled:
            slot = self.pack.add(b"")
            self.listed.append(Draft(slot, str(problem.path), "", None, None))
            where = manifest.example_id(sha256=slot.sha256, path=str(problem.path))
            update["example_id"] = where
        self.problems.append(problem.model_copy(update=update))

    def refuse(self, error: HeadstartError, path: str, told: LabelledFile | TextRow) -> None:
        """What is wrong with one example lets the others be looked at. It is that one's problem
        where it is only to be predicted, or claims to be nothing that is read; else all that is
        damaged decides together. Raises what is wrong with all."""
        if error.code not in members.OF_ONE:
            raise error
        unread = error.code == "unsupported_image_format" and images.is_foreign(path)
        if not self.options.labelled or unread:
            self.reject(Problem(code=error.code, message=error.message, path=path))
        elif error.code in members.ENDS_ALL:
            self.refusals.add(error)
        else:
            self._damaged.add(error, path, self._labels(told) or (told.label,))

    def settle_damaged(self) -> None:
        """Leave out the few examples that cannot be read, and say so; many end the upload, and
        so do few beside what ends it anyway."""
        if not self.refusals and not self._damaged.are_many(len(self.listed)):
            self.problems += self._damaged.taken().problems(self.labels)
        self.refuse_damaged()

    def refuse_damaged(self) -> None:
        """Count what cannot be read, and is not left out, among what ends the upload."""
        self.refusals.extend(self._damaged.taken().errors())

    def settle_patients(self) -> None:
        """Tell of the groups that are patients. Of a new dataset's only one nothing is made: every
        picture would be in one group, as where ids were taken out."""
        if not self.options.labelled:
            return
        only = self.patients.only()
        if only is None or self.options.minimum_classes < 2:
            self.problems += self.patients.told()
            return
        self.listed = [
            replace(draft, group=None) if draft.group == only else draft for draft in self.listed
        ]

    def check_negative(self) -> None:
        """Raise invalid_value where a label was said to be none, and a new dataset has no such
        example: it may be spelled otherwise."""
        negative = self.rules.negative
        asked = negative is not None and self.options.minimum_classes > 1
        if asked and all(draft.names for draft in self.listed):
            some = ", ".join(shown(name, 40) for name in sorted(self.labels)[:10])
            said = f"negative_label is {shown(str(negative), 60)!r}, which no example has"
            why = f"{said}; the labels are: {some}"
            raise HeadstartError("invalid_value", why, param="negative_label")

    def take_rows(self, rows: Iterator[Row], split: Split | None) -> None:
        """The examples that the rows of a table are; what is wrong with a row is collected, but
        for the first, as where it has no label none will. Raises the codes of bad rows."""
        before = self._seen
        for row in rows:
            first = self._seen == before
            with self.refusals.collecting(OF_ROW - {"schema_mismatch"} if first else OF_ROW):
                self._take_row(row, split)

    @property
    def _seen(self) -> int:
        return len(self.listed) + len(self.problems) + len(self._without_label)

    def _take_row(self, row: Row, split: Split | None) -> None:
        if self._is_left_out(row):
            return
        picture = row.values.get("image")
        if isinstance(picture, PictureCell | InlinePicture):
            self._settle("image", row)
            self._take_picture(row, picture, split)
        else:
            self._settle("text", row)
            self._take_text(row, split)

    def labelled(self, rows: Iterable[tuple[Told, Row]]) -> Iterator[tuple[Told, Row]]:
        """The rows that have a label; the others are told at the end."""
        return ((told, row) for told, row in rows if not self._is_left_out(row))

    def _is_left_out(self, row: Row) -> bool:
        left_out = self.options.labelled and is_unlabelled(row, self.rules)
        if SET_ASIDE in row.values:
            return left_out  # which its table tells
        if left_out and len(self._without_label) < doubts.SINGLY:
            self._without_label.append(_unlabelled(row))
        elif left_out:
            self._further_without += 1
        return left_out

    def settle_votes(self) -> None:
        """Of the texts that several people have labelled, keep the answer that holds."""
        groups: dict[tuple[str, str, Split | None], list[int]] = defaultdict(list)
        for at, vote in self._votes.items():
            draft = self.listed[at]
            groups[vote.item, draft.content, draft.split].append(at)
        consensus, dropped = Consensus(self.tell), set[int]()
        for every in groups.values():
            places = self._of_voters(every) if self.rules.several else every
            dropped |= set(every) - set(places)
            if len({self._votes[at].voter for at in places}) > 1:
                answers = [(self.listed[at].names, self._votes[at]) for at in places]
                held = consensus.taken(answers, self.listed[places[0]].path)
                dropped |= set(places) - ({places[held]} if held is not None else set())
        consensus.settle()
        self.listed = [one for at, one in enumerate(self.listed) if at not in dropped]
        self._votes = {}

    def _of_voters(self, places: Sequence[int]) -> list[int]:
        """The places of each person's answers, where rows of one label each are one answer with
        all of them."""
        first: dict[str | None, int] = {}
        kept: list[int] = []
        for at in places:
            to = first.setdefault(self._votes[at].voter, at)
            one, other = self.listed[to], self.listed[at]
            if to == at or self._united_as(one, other) is None:
                kept.append(at)
                continue
            self.listed[to] = one.joined(other)
            self._votes[to] = max(self._votes[to], self._votes[at], key=lambda vote: vote.when)
        return kept

    @property
    def labels(self) -> set[str]:
        """All labels so far."""
        return {name for draft in self.listed for name in draft.names}

    def settle_unlabelled(self) -> None:
        """Tell of the rows without a label, of very many the last in one; a class that one table
        has no example of may have some in another."""
        if self.options.labelled:
            known = self.options.former.labels
            self.listed, told = standing.settled(self.listed, self.rules, known)
            for one in told:
                self.tell(one)
        if self._further_without:
            last = self._without_label[-1]
            message = f"{last.message} (and so are {self._further_without:,} more rows)"
            self._without_label[-1] = last.model_copy(update={"message": message})
        self.problems += self._without_label
        names, empty = self.labels, "empty_class"
        self.problems = [p for p in self.problems if p.code != empty or p.path not in names]
        self._without_label, self._further_without = [], 0

    def name_numbers(self, found: Sequence[FileInTree], head: Head) -> set[int]:
        """Give classes that are numbers the names that a file beside the tables has, which is told;
        the members that do."""
        known = self.options.former.labels
        self.listed, told, used = numbers.named(self.listed, found, head, known)
        self.problems += told
        return used

    def _settle(self, modality: Modality, row: Row) -> None:
        if self.modality not in (None, modality):
            raise row.error("modality_mismatch", f"it is {modality}, rows before are not")
        self.modality = modality

    def _take_text(self, row: Row, split: Split | None) -> None:
        told = text_row(row, self.options.limits, labelled=self.options.labelled, rules=self.rules)
        if told.text:
            vote = row.values.get(VOTE)
            if isinstance(vote, Vote):
                self._votes[len(self.listed)] = vote
            denied = denied_by(row, self.options.limits)
            if told.labels and self.rules.says_one(row.values.get("label")):
                self._single.add(row.where)
            self.add(told.text.encode(), row.where, told, split, modality="text")
            if denied:
                self._single.add(row.where)
                self.listed[-1] = replace(self.listed[-1], denied=denied)
        else:
            self.reject(members.empty(row.where))

    def _take_picture(
        self, row: Row, picture: PictureCell | InlinePicture, split: Split | None
    ) -> None:
        told = picture_row(
            row, self.options.limits, labelled=self.options.labelled, rules=self.rules
        )
        try:
            if picture.length > self.options.limits.member_bytes:
                raise HeadstartError("image_too_large", "it has too many bytes", param=row.where)
            data = picture.read()
            taken = images.take(data, row.where)
        except HeadstartError as error:
            self.refuse(error, row.where, told)
            return
        if taken.patient and not told.group:
            told = replace(told, group=self.patients.of(taken.patient))
        self.add(taken.data, row.where, told, split, modality="image")

    def unite(self) -> None:
        """Make one example of equal contents in several class folders, or in several rows with one
        label each, with all their labels; say what belongs to no class.
        """
        first: dict[tuple[str, Split | None], int] = {}
        united: list[Draft] = []
        merged = Counter[str]()
        for draft in self.listed:
            at = first.setdefault((draft.content, draft.split), len(united))
            how = self._united_as(united[at], draft) if at < len(united) else None
            if how is None:
                united.append(draft)
                continue
            united[at] = united[at].joined(draft)
            merged[how] += 1
        self.listed = united
        self.notes += [
            f"{count} {how}: each has the labels of all" for how, count in merged.items()
        ]
        none = sum(not draft.names for draft in united)
        if none:
            self.notes.append(f"{none} example(s) have no label, and belong to no class")

    def _united_as(self, one: Draft, other: Draft) -> str | None:
        """What equal contents are that are one example; None where they are not."""
        paths = {one.path, other.path}
        if one.contradicts(other):
            return None
        if paths <= self._placed:
            return "file(s) lie in several class folders"
        return "row(s) have a text that another has" if paths <= self._single else None

    def splits(self) -> list[Split]:
        """The splits that the upload names, or drawn ones where it names none and some are due."""
        named = any(draft.split for draft in self.listed)
        if named or not (self.options.val_fraction or self.options.test_fraction):
            return [draft.split or "train" for draft in self.listed]
        return splits.split(
            [draft.names for draft in self.listed],
            keys=[draft.content for draft in self.listed],
            groups=[draft.group for draft in self.listed],
            val=self.options.val_fraction,
            test=self.options.test_fraction,
            seed=self.options.seed,
        )


def example(draft: Draft, split: Split, pack: str) -> Example:
    """The example that a draft becomes."""
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
        labels=draft.labels,
        source=draft.source,
    )


def _unlabelled(row: Row) -> Problem:
    why = "says that its label is not there" if DENIED in row.values else "has no label"
    said = f"{row.table}, row {row.number} {why}, and is left out"
    label = row.values.get("label")
    if label == [] or (isinstance(label, str) and listed(label) == []):
        said += "; with label_mode=multi_label an empty list says that it belongs to no class"
    return Problem(code="unlabelled", message=said, path=row.where, excluded=True)
