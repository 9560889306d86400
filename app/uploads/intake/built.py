"""What an upload became: its examples, held out and reviewed, and its pack."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from app.core import manifest
from app.core.manifest import Example, LabelMode, Modality, Problem
from app.core.review import review
from app.uploads.intake import checks
from app.uploads.intake.crops import grouping
from app.uploads.intake.drafts import Drafts, example


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
    notes: list[str] = field(default_factory=list)
    """In words, what was assumed of the upload's names and folders."""
    names_splits: bool = False
    """Whether the upload itself says which split its examples are in."""
    names_groups: bool = False
    """Whether it says of a file which group it is in, so that names say nothing of the others."""
    assumed: Mapping[str, str] = field(default_factory=dict)
    """By the form's field, the one column that its tables were read by, as it is called so."""
    marks: frozenset[str] = frozenset()
    """The columns that were taken for a class each."""
    denied: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """By content, the labels that its rows say an example has not."""

    @property
    def label_mode(self) -> LabelMode:
        """Whether its examples may have several labels."""
        return manifest.mode_of(self.examples)


def finished(drafts: Drafts, modality: Modality) -> Built:
    """Close the pack, hold out what is to be held out, and review the whole."""
    if not drafts.listed:
        raise checks.nothing(drafts.problems, labelled=drafts.options.labelled)
    if drafts.options.labelled:
        drafts.problems += checks.intervals(drafts.listed, drafts.options)
    drafts.settle_patients()
    drafts.listed, told = grouping.settled(drafts.listed)
    drafts.problems += told
    drafts.check_negative()
    pack = drafts.pack.finish()
    if drafts.rules.several and drafts.options.labelled:
        drafts.unite()
    if not drafts.options.labelled:
        return _unlabelled(drafts, modality, pack)
    examples, found = review(
        example(draft, split, pack)
        for draft, split in zip(drafts.listed, drafts.splits(), strict=True)
    )
    problems = drafts.problems + found
    checks.separator(examples, drafts.rules)
    names = {name for one in examples for name in one.names}
    problems += checks.joined_labels(names, drafts.rules)
    problems += checks.like_the_negative(names, drafts.rules)
    problems += checks.nameless_groups(examples)
    usable = manifest.usable(examples, problems)
    checks.classes(usable, drafts.options.minimum_classes, problems)
    classes = manifest.class_counts(usable)
    named = any(draft.split for draft in drafts.listed)
    path, notes = drafts.pack.path, drafts.notes
    return Built(
        path,
        pack,
        examples,
        problems,
        modality,
        classes,
        notes,
        names_splits=named,
        names_groups=drafts.names_groups,
        assumed=drafts.assumed.by_field,
        marks=drafts.assumed.marks,
        denied={one.content: one.denied for one in drafts.listed if one.denied},
    )


def _unlabelled(drafts: Drafts, modality: Modality, pack: str) -> Built:
    """The inputs as they are: what is doubtful about labels and splits is not asked."""
    examples = [example(draft, "test", pack) for draft in drafts.listed]
    return Built(drafts.pack.path, pack, examples, drafts.problems, modality, [], drafts.notes)
