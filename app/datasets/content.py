"""What a version holds, and how one follows from another. Pure, but for the manifest's own file."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from app.core import manifest
from app.core.errors import HeadstartError
from app.core.manifest import Example, LabelMode, Problem, least_classes
from app.core.review import review, says_unlabelled
from app.core.texts import TRUTHS, truth_spelled, visible
from app.datasets import appending, crops
from app.infra.repositories.datasets import NewVersion
from app.infra.storage import storage_errors
from app.uploads.intake.labels.intervals import may_be_list
from app.uploads.intake.layout import across
from app.uploads.printed import single

_DOUBTS = frozenset(
    {
        "label_conflict",
        "duplicate_example",
        appending.CORRECTED,
        "duplicate_across_splits",
        "label_collision",
        "labels_doubtful",
        "truncated",
        "text_unread",
        "insufficient_classes",
    }
)
"""What is said anew of every version, by its review or as it is embedded; others are facts."""

_SAID = ("label", "labels")
"""What is no longer confirmed once it is another."""

Change = Callable[[list[Example]], list[Example]]
Revise = Callable[[list[Example]], tuple[list[Example], Sequence[Problem]]]
"""The examples afterwards, and what is said of the change."""


def _silent(change: Change) -> Revise:
    return lambda known: (change(known), ())


@dataclass(frozen=True)
class Content:
    """A version's examples and its problems, reviewed as a whole."""

    examples: Sequence[Example]
    problems: Sequence[Problem]
    declared: Sequence[str] = ()
    """Classes whether they have examples or not."""

    def version(self, *, manifest_sha256: str, backbone: str) -> NewVersion:
        """The version that holds this."""
        usable = manifest.usable(self.examples, self.problems)
        return NewVersion(
            manifest_sha256=manifest_sha256,
            packs=sorted({example.pack for example in self.examples}),
            backbone=backbone,
            entries=len(self.examples),
            num_examples=len(usable),
            classes=manifest.class_counts(usable, self.declared),
            problems=self.problems,
            negatives=manifest.negatives(usable),
            declared=self.declared,
        )

    def check_declared(self, mode: LabelMode) -> None:
        """Raises label_mode_mismatch, insufficient_classes where classes are declared."""
        if not self.declared:
            return
        if mode == "multi_label":
            why = "classes: heads against the rest need examples of each; leave it out"
            raise HeadstartError("label_mode_mismatch", why, param="classes")
        labels = {one.label for one in self.examples} | set(self.declared)
        if len(labels) < least_classes(mode):
            why = "classes: name two at least"
            raise HeadstartError("insufficient_classes", why, param="classes")

    def write(self, folder: Path) -> Path:
        """A manifest of its own, as a file in `folder` that is named by its sha256."""
        data = manifest.once(manifest.dump(self.examples))
        path = folder / hashlib.sha256(data).hexdigest()
        with storage_errors():
            path.write_bytes(data)
        return path


@dataclass(frozen=True, kw_only=True)
class Revision:
    """A change of the examples, and the examples that it drops."""

    revise: Revise
    drops: frozenset[str] = frozenset()
    minimum_classes: int = 2
    of_upload: bool = False
    """Whether an upload is read for it: how earlier ones were read is told with their versions."""

    def of(self, base: Content) -> Content:
        """What the next version holds: nothing that could not be decoded, every rejection so far.

        Raises not_found or insufficient_classes.
        """
        facts = [fact for fact in facts_of(base.problems) if fact.example_id not in self.drops]
        if self.of_upload:
            facts = [fact for fact in facts if fact.excluded or fact.example_id is not None]
        undecodable = {fact.example_id for fact in facts if fact.excluded}
        revised, said = self.revise(list(base.examples))
        if self.of_upload:
            said = [*said, *_of_other_labels(base, revised)]
        examples, doubts = review(one for one in revised if one.id not in undecodable)
        content = Content(examples, [*facts, *said, *doubts], base.declared)
        _check_classes(content, self.minimum_classes)
        return content


def _of_other_labels(base: Content, revised: Sequence[Example]) -> list[Problem]:
    """Whether an upload adds examples none of which has a label that was there: it may be read by
    another column, or spelled otherwise."""
    known = {one.id for one in base.examples}
    old = {name for one in base.examples for name in one.names}.union(base.declared)
    new = {name for one in revised if one.id not in known for name in one.names}
    if not old or not new or not old.isdisjoint(new):
        return []
    said = f"none of the labels that were added was there: {_some(new)}, beside {_some(old)}"
    if all(map(str.isdecimal, new)) and not any(map(str.isdecimal, old)):
        said += "; they are numbers, as classes are counted by: say the names, or say them beside "
        said += "the numbers in a column label_text"
    return [Problem(code="labels_new", message=said)]


def _some(labels: Iterable[str]) -> str:
    listed = [repr(visible(label[:40])) for label in sorted(labels)]
    return ", ".join(listed[:5]) + (", …" if listed[5:] else "")


def relabelled(wanted: Mapping[str, dict[str, object]], *, minimum_classes: int = 2) -> Revision:
    """Examples with other values, `wanted` by their ids. Raises not_found if one is missing."""
    return Revision(revise=_silent(relabelling(wanted)), minimum_classes=minimum_classes)


def corrected(wanted: Mapping[str, dict[str, object]], declared: Collection[str] = ()) -> Revision:
    """The same with labels that somebody wrote, read as an upload's are; those that are `declared`
    are classes. Raises invalid_value for what is no label, too."""

    def change(examples: list[Example]) -> list[Example]:
        known = {*declared, *(name for one in examples for name in one.names)}
        read = {name: _read(values, known) for name, values in wanted.items()}
        return relabelling(read)(examples)

    return Revision(revise=_silent(change))


def _read(wanted: Mapping[str, object], known: Collection[str]) -> dict[str, object]:
    read = dict(wanted)
    if isinstance(label := wanted.get("label"), str):
        read["label"] = label_read(label, known)
    if isinstance(labels := wanted.get("labels"), tuple):
        read["labels"] = tuple(sorted({label_read(one, known) for one in labels}))
    return read


def label_read(label: str, known: Collection[str]) -> str:
    """The label that is said of an example beside the `known` ones, as an upload would read it: one
    of those as it stands. Raises invalid_value where an upload would refuse it or leave it out."""
    if label in known or may_be_list(label):
        return label
    if (told := label.strip()) in TRUTHS:
        return truth_spelled(told, known, known)
    try:
        read = single(label)
    except ValueError as error:
        raise HeadstartError("invalid_value", f"{label[:60]!r}: {error}", param="label") from error
    if read not in known and says_unlabelled(read, known):
        why = f"{label!r} says that nobody has labelled it: delete the example in place of that"
        raise HeadstartError("invalid_value", why, param="label")
    return read


def relabelling(wanted: Mapping[str, dict[str, object]]) -> Change:
    """The change that gives examples other values, `wanted` by their ids; it raises not_found.

    What was confirmed was a label: another one is not.
    """

    def change(examples: list[Example]) -> list[Example]:
        missing = wanted.keys() - {example.id for example in examples}
        if missing:
            raise _missing()
        return [_changed(example, wanted.get(example.id)) for example in examples]

    return change


def _changed(example: Example, wanted: dict[str, object] | None) -> Example:
    if wanted is None:
        return example
    same = all(getattr(example, name) == wanted.get(name, getattr(example, name)) for name in _SAID)
    doubted = {} if same else {"confirmed": False}
    return example.model_copy(update={**doubted, **wanted})


def dropped(*example_ids: str, minimum_classes: int = 2) -> Revision:
    """Everything but these examples."""
    wanted = frozenset(example_ids)

    def change(examples: list[Example]) -> list[Example]:
        if wanted - {example.id for example in examples}:
            raise _missing()
        return [example for example in examples if example.id not in wanted]

    return Revision(revise=_silent(change), drops=wanted, minimum_classes=minimum_classes)


def appended(
    examples: Sequence[Example],
    problems: Sequence[Problem],
    *,
    minimum_classes: int = 2,
    first: Change = list,
    splits: bool = True,
    groups: bool = False,
    denied: appending.Denied = appending.NOTHING,
    marks: Collection[str] = (),
) -> Revision:
    """More examples, after `first` has changed those there are; of one that is there already the
    newer label holds. `splits`: as `appending.merged` has it; `groups`: whether they say theirs
    themselves, so that names are not asked for copies of what is there. `denied`: by content, the
    labels that they say are not there; `marks`: the columns of 0 and 1 that were theirs.
    """

    def revise(known: list[Example]) -> tuple[list[Example], Sequence[Problem]]:
        there, sent, placed = crops.grouped(first(known), examples, splits=splits)
        made = appending.merged(there, sent, problems, splits=splits, denied=denied)
        found, grouped = (made.examples, []) if groups else across(made.examples, made.added)
        further = _without_columns(known, examples, marks) + crops.doubts(known, made.examples)
        return found, [*_said_of_upload(problems), *made.told(), *placed, *grouped, *further]

    return Revision(revise=revise, minimum_classes=minimum_classes, of_upload=True)


def _without_columns(
    known: Sequence[Example], added: Sequence[Example], marks: Collection[str]
) -> list[Problem]:
    """A warning of labels that are there and have no column in what was added, which is taken to be
    without them."""
    labels = {name for one in known for name in one.names}
    lacking = labels - set(marks) - {name for one in added for name in one.names}
    if labels.isdisjoint(marks) or not lacking:
        return []
    said = (
        f"what was added has no column of 0 and 1 for {_some(lacking)}: its rows are taken to be "
    )
    said += "without; add the column, or leave out of the dataset what nobody was asked about"
    return [Problem(code="labels_doubtful", message=said)]


def _said_of_upload(problems: Iterable[Problem]) -> list[Problem]:
    """The problems of an upload that no review says anew: of conflicts those that are of no
    example, as several people's answers are made one before there are any."""
    return [
        one
        for one in problems
        if one.code not in _DOUBTS or (one.code == "label_conflict" and one.example_id is None)
    ]


def facts_of(problems: Iterable[Problem]) -> list[Problem]:
    """The problems that no review says anew."""
    return [problem for problem in problems if problem.code not in _DOUBTS]


def _check_classes(content: Content, minimum: int) -> None:
    usable = manifest.usable(content.examples, content.problems)
    mode = manifest.mode_of(content.examples)
    labels = manifest.told_apart([one for one in usable if one.split == "train"])
    labels |= set(content.declared)
    if len(labels) < min(minimum, manifest.least_classes(mode)):
        why = {
            "single_label": "fewer than two classes with examples to train on",
            "multi_label": "no label that some examples to train on have and others have not",
        }[mode]
        raise HeadstartError("insufficient_classes", f"the next version would have {why}")


def _missing() -> HeadstartError:
    return HeadstartError("not_found", "the dataset's latest version has no such example")
