"""Examples of a version that are almost the same: told, and not judged by if one is trained on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.core.manifest import Example, Modality, Problem
from app.core.modalities import MODALITIES
from app.core.splits import ORDER
from app.infra.orm import DatasetVersionRow
from app.infra.repositories import versions
from worker.trainer.attempt import Attempt
from worker.trainer.inputs.embed_missing import items
from worker.trainer.tensor_process import EngineFacts

MOST: Mapping[Modality, int] = {"image": 6000, "text": 100_000}
"""Examples that are looked at, held-out ones before those that are trained on."""
_NAMED = 20
"""Groups of several labels that are told one by one."""
_SHOWN = 100
"""Groups that are kept."""
_NOUNS: Mapping[Modality, str] = {"image": "picture", "text": "text"}
FLIPPED: frozenset[Modality] = frozenset({"text"})
"""Of what a little may make another class's."""
Pairs = Sequence[Sequence[int]]


@dataclass(frozen=True)
class NearCopies:
    """Groups of examples that are almost the same, of so many that were looked at."""

    groups: Sequence[Sequence[Example]]
    looked_at: int
    modality: Modality

    @property
    def problems(self) -> list[Problem]:
        """One for each held-out example that another split shows, too: it is not judged by, but
        where the other one's label is another. And one for each group of which one split says
        several labels, which is what a wrong label looks like.
        """
        leaks = [told for group in self.groups for told in _leaks(group, self.modality)]
        return [*leaks, *_contradictions(self.groups, self.modality)]

    def note(self, version: DatasetVersionRow) -> None:
        """Keep them with a locked version."""
        versions.add_problems(version, self.problems)
        groups = sorted(self.groups, key=len, reverse=True)[:_SHOWN]
        told = [[example.id for example in group] for group in groups]
        version.near_duplicates = {"looked_at": self.looked_at, "groups": told}


def look(attempt: Attempt, facts: EngineFacts, examples: Sequence[Example]) -> NearCopies | None:
    """Look for near copies among embedded examples; None where there are no two to compare."""
    order = sorted(examples, key=lambda one: -ORDER.index(one.split))
    modality = MODALITIES[facts.modality].name
    found = linked(attempt, facts, order)
    return None if found is None else NearCopies(*found, modality)


def linked(
    attempt: Attempt, facts: EngineFacts, examples: Sequence[Example]
) -> tuple[list[list[Example]], int] | None:
    """Groups of examples that are almost the same, and how many contents, from the first on, were
    looked at; None where there are no two."""
    modality = MODALITIES[facts.modality].name
    some = list({one.content: one for one in examples}.values())[: MOST[modality]]
    if len(some) < 2:
        return None
    asked = {
        "op": _LOOK[modality],
        "backbone": "",
        "pixel_scale": facts.pixel_scale,
        "names": [one.content for one in some],
        "items": items(attempt, attempt.claim.organisation_id, some),
    }
    return _groups(some, attempt.ask(asked)["pairs"]), len(some)


_LOOK: Mapping[Modality, str] = {"image": "near_copies", "text": "near_texts"}


def _groups(examples: Sequence[Example], pairs: Pairs) -> list[list[Example]]:
    """Examples that pairs link, directly or not."""
    parent = list(range(len(examples)))

    def root(at: int) -> int:
        while parent[at] != at:
            parent[at] = parent[parent[at]]
            at = parent[at]
        return at

    for one, other in pairs:
        parent[root(other)] = root(one)
    together: dict[int, list[Example]] = defaultdict(list)
    for at, example in enumerate(examples):
        together[root(at)].append(example)
    return [group for group in together.values() if len(group) > 1]


def _leaks(group: Sequence[Example], modality: Modality) -> list[Problem]:
    """Each is told with one of its own label, if an earlier split has one."""
    first = min(group, key=lambda one: ORDER.index(one.split))
    known = {one.names: one for one in reversed(group) if one.split == first.split}
    held_out = [one for one in group if one.split != first.split]
    return [_leak(one, known.get(one.names, first), modality) for one in held_out]


def _contradictions(groups: Sequence[Sequence[Example]], modality: Modality) -> list[Problem]:
    """Of each group that one split labels in several ways the first that differs; many are one."""
    found = [pair for group in groups for pair in _contradicting(group)]
    told = [_contradiction(one, first, modality) for one, first in found[:_NAMED]]
    if further := len(found) - len(told):
        last = told[-1]
        said = f"{last.message} (and so with {further:,} more)"
        told[-1] = last.model_copy(update={"message": said})
    return told


def _contradicting(group: Sequence[Example]) -> list[tuple[Example, Example]]:
    first: dict[str, Example] = {}
    for one in group:
        if one.names != first.setdefault(one.split, one).names:
            return [(one, first[one.split])]
    return []


def _contradiction(example: Example, first: Example, modality: Modality) -> Problem:
    labels = " and ".join(", ".join(one.names) or "none" for one in (first, example))
    said = f"{example.path}: almost the same {_NOUNS[modality]} as {first.path} under another label"
    why = f"{said} ({labels}); both are kept, and judged together: label them alike, or drop one"
    if modality in FLIPPED:
        why += ", unless the little that differs is what tells them apart"
    return Problem(
        code="label_conflict",
        message=why,
        path=example.path,
        example_id=example.id,
        excluded=False,
    )


def _leak(example: Example, first: Example, modality: Modality) -> Problem:
    """Of pictures the same one is meant whatever they are called; a word more in a text may be what
    makes it another class's."""
    differs = modality in FLIPPED and example.names != first.names
    where = f"{_NOUNS[modality]} as {first.path}, which is in {first.split}"
    said = f"{example.path}: almost the same {where}"
    return Problem(
        code="duplicate_across_splits",
        message=f"{said} under another label; it is kept" if differs else said,
        path=example.path,
        example_id=example.id,
        excluded=not differs,
    )
