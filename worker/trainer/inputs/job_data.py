"""What a job is fitted on: the examples of its versions, split, labelled and grouped."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy.orm import Session

from app.core import manifest
from app.core.augmented.judging import copies_among
from app.core.errors import HeadstartError
from app.core.manifest import Example, LabelMode, Modality
from app.core.modalities import MODALITIES
from app.core.texts import few
from app.infra.orm import DatasetRow, DatasetVersionRow, JobRow
from app.infra.repositories import versions
from app.infra.repositories.work import LostClaimError
from worker.trainer.attempt import Attempt
from worker.trainer.inputs.near_copies import FLIPPED

_NONE: Mapping[str, int] = {}


@dataclass(frozen=True, kw_only=True)
class JobRows:
    """The rows of one job."""

    job: JobRow
    dataset: DatasetRow
    version: DatasetVersionRow
    validation: DatasetVersionRow | None

    @property
    def one_dataset(self) -> bool:
        """Whether what is held out is of the dataset trained on, so that group names agree."""
        return self.validation is None or self.validation.dataset_id == self.version.dataset_id


@dataclass(frozen=True, kw_only=True)
class JobData:
    """The examples of one job; `classes` are the labels of `train` and those
    that the dataset declares, sorted.

    `validation` are those of `held_out` that can judge.
    """

    rows: JobRows
    train: list[Example]
    held_out: list[Example]
    validation: list[Example]
    classes: list[str]
    warnings: list[str] = field(default_factory=list)
    copies: Mapping[str, int] = field(default_factory=dict)
    """By content, a number that near copies share; other contents have none."""
    augmented: frozenset[str] = frozenset()
    """The ids of those of `train` that are augmented copies, and not judged."""

    @property
    def modality(self) -> Modality:
        """image or text."""
        return MODALITIES[self.rows.dataset.modality].name

    @property
    def label_mode(self) -> LabelMode:
        """Whether an example may have several labels."""
        return manifest.mode_of(self.train)

    @property
    def examples(self) -> list[Example]:
        """Everything that must be embedded."""
        return [*self.train, *self.validation]

    def without(self, contents: set[str]) -> JobData:
        """The same without examples whose content (sha256) turned out not to be usable."""
        return assemble(
            self.rows,
            [example for example in self.train if example.sha256 not in contents],
            [example for example in self.held_out if example.sha256 not in contents],
        )

    def without_copies(self, groups: Sequence[Sequence[Example]]) -> JobData:
        """The same where `groups` are near copies: held-out ones of what is trained on are left
        out, and said."""
        numbers = {one.content: number for number, group in enumerate(groups) for one in group}

        def answer(example: Example) -> tuple[object, ...]:
            names = example.names if self.modality in FLIPPED else ()
            return numbers.get(example.content, example.content), names

        taught = set(map(answer, self.train))
        judged, copies = _parted(self.validation, lambda example: answer(example) in taught)
        return replace(
            self,
            validation=judged,
            warnings=[*self.warnings, *_warnings(near=copies, left=len(judged))],
            copies=numbers,
        )


def load(attempt: Attempt) -> JobData:
    """Read the rows and manifests. Raises LostClaimError or dataset_failed where they are gone."""
    rows = attempt.read(lambda session: _rows(session, attempt))
    usable = _usable(attempt, rows.version)
    held_out = (
        _usable(attempt, rows.validation)
        if rows.validation is not None
        else _split(usable, "val") or _split(usable, "test")
    )
    return assemble(rows, _split(usable, "train"), held_out)


def _rows(session: Session, attempt: Attempt) -> JobRows:
    job = session.get(JobRow, attempt.claim.job_id)
    if job is None:
        raise LostClaimError(attempt.claim.id)
    version = _version(session, job.version_id)
    dataset = session.get_one(DatasetRow, version.dataset_id)
    held_out = job.validation_version_id
    validation = _version(session, held_out) if held_out is not None else None
    return JobRows(job=job, dataset=dataset, version=version, validation=validation)


def _version(session: Session, version_id: str) -> DatasetVersionRow:
    version = session.get(DatasetVersionRow, version_id)
    if version is None:
        raise HeadstartError("dataset_failed", "the dataset was deleted")
    return version


def _usable(attempt: Attempt, version: DatasetVersionRow) -> list[Example]:
    return manifest.usable(attempt.examples(version), versions.problems_of(version))


def _split(examples: Sequence[Example], split: str) -> list[Example]:
    return [example for example in examples if example.split == split]


def assemble(rows: JobRows, train: list[Example], held_out: Sequence[Example]) -> JobData:
    """Leave out held-out examples learned from or that nothing could get right, and say so.

    Raises invalid_value for a validation file of other labels: figures would be of something else.
    """
    contents = {example.content for example in train}
    groups = {example.group for example in train} - {None} if rows.one_dataset else set()
    shown = {name for example in train for name in example.names}
    classes = shown.union(rows.version.declared or ())
    new, copies = _parted(held_out, lambda example: example.content in contents)
    alone, grouped = _parted(new, lambda example: example.group in groups)
    made = copies_among(alone)
    apart, altered = _parted(alone, lambda example: example.id in made)
    augmented = copies_among(train)
    judged, unknown = _parted(apart, lambda example: not classes.issuperset(example.names))
    if rows.validation is not None and apart:
        _check_known(apart, classes)
    several = [example for example in unknown if example.labels is not None]
    validation = judged if not several else apart
    return JobData(
        rows=rows,
        train=train,
        held_out=list(held_out),
        validation=validation,
        classes=sorted(classes),
        warnings=[
            *_augmented(len(augmented), len(train)),
            *_warnings(
                copies, grouped, [] if several else unknown, altered=altered, left=len(validation)
            ),
            *_beyond(several, classes),
            *_shared_groups(train, validation),
            *_nameless(classes - shown),
        ],
        augmented=augmented,
    )


def _parted(
    examples: Sequence[Example], named: Callable[[Example], bool]
) -> tuple[list[Example], list[Example]]:
    """The other examples, and those that `named` names."""
    parts: tuple[list[Example], list[Example]] = ([], [])
    for example in examples:
        parts[named(example)].append(example)
    return parts


def shared_groups(train: Sequence[Example], held_out: Sequence[Example]) -> int:
    """How many held-out examples are in groups that are called as those of training examples. Those
    of one dataset were left out; another's are others, as far as anybody knows."""
    names = {example.group for example in train} - {None}
    return sum(example.group in names for example in held_out)


def _shared_groups(train: Sequence[Example], held_out: Sequence[Example]) -> list[str]:
    if not (count := shared_groups(train, held_out)):
        return []
    said = (
        f"{count} of {len(held_out)} held-out examples are in groups of names that are trained on"
    )
    return [f"{said}: if they are the same, accuracy is too good; put both into one dataset"]


def _check_known(held_out: Sequence[Example], classes: set[str]) -> None:
    """Raises invalid_value where no label of the validation file is one of the classes."""
    labels = {name for example in held_out for name in example.names}
    if labels and labels.isdisjoint(classes):
        raise HeadstartError(
            "invalid_value",
            f"validation_file: none of its labels ({_some(labels)}) is a class of the training data"
            f" ({_some(classes)}); write them alike, or leave it out and folds judge",
            param="validation_file",
        )


def _some(labels: Iterable[str]) -> str:
    return few([label[:40] for label in sorted(labels)])


def _warnings(
    copies: Sequence[Example] = (),
    grouped: Sequence[Example] = (),
    unknown: Sequence[Example] = (),
    near: Sequence[Example] = (),
    *,
    altered: Sequence[Example] = (),
    left: int,
) -> list[str]:
    """What of the hold-out is not used, and that folds judge where nothing of it is left."""
    labels = ", ".join(sorted({example.label for example in unknown})[:10])
    reasons = [
        (copies, "have the same content as a training example and are not used"),
        (grouped, "are in a group that is trained on and are not used"),
        (altered, "are augmented copies of others and are not used"),
        (near, "are near copies of a training example and are not used"),
        (unknown, f"are of classes without a training example and are not used: {labels}"),
    ]
    said = [f"{len(some)} held-out examples {why}" for some, why in reasons if some]
    if said and not left:
        said.append("no held-out example is left: training examples are held out in folds instead")
    return said


def _augmented(count: int, of: int) -> list[str]:
    """That copies are trained on alone."""
    if not count:
        return []
    return [f"{count} of {of} examples are augmented copies; they train, and are not judged"]


def _beyond(examples: Sequence[Example], classes: set[str]) -> list[str]:
    """What held-out examples with several labels have that nothing could get right."""
    beyond = sorted({name for example in examples for name in example.names} - classes)
    if not beyond:
        return []
    some = ", ".join(beyond[:10])
    return [f"labels without a training example are not judged, {len(beyond)} of them: {some}"]


def _nameless(empty: set[str]) -> list[str]:
    """That names decide where a class has no example."""
    if not empty:
        return []
    some = ", ".join(sorted(empty)[:10])
    said = f"{len(empty)} classes have no example, so that names alone decide between all"
    return [f"{said}, and examples only judge: {some}"]


def labels(
    examples: Sequence[Example],
    classes: Sequence[str],
    copies: Mapping[str, int] = _NONE,
    augmented: frozenset[str] = frozenset(),
) -> dict[str, Any]:
    """Labels as places in `classes`, of several as lists of places in `marks`; groups as numbers:
    equal contents and named groups belong together, every other example is alone. `copies` and
    `augmented` are as those of `JobData`.
    """
    place = {label: index for index, label in enumerate(classes)}
    groups: dict[str, int] = {}
    names = [
        f"group {e.group}" if e.group is not None else f"content {e.content}" for e in examples
    ]
    told: dict[str, Any] = {
        "ids": [example.id for example in examples],
        "labels": [0 if e.labels is not None else place[e.label] for e in examples],
        "groups": [groups.setdefault(name, len(groups)) for name in names],
        "classes": list(classes),
    }
    if copies:
        contents = [example.content for example in examples]
        alone = {content: len(copies) + at for at, content in enumerate(dict.fromkeys(contents))}
        told["copies"] = [copies.get(content, alone[content]) for content in contents]
    if not augmented.isdisjoint(told["ids"]):
        told["augmented"] = [example.id in augmented for example in examples]
    if manifest.mode_of(examples) == "single_label":
        return told
    marks = [[place[name] for name in one.names if name in place] for one in examples]
    return told | {"marks": marks}
