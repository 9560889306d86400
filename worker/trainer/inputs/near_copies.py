"""Examples of a version that show one picture: told, and not judged by where one is trained on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from app.core.manifest import Example, Problem
from app.core.modalities import MODALITIES
from app.core.splits import ORDER
from app.infra.orm import DatasetVersionRow
from app.infra.repositories import versions
from worker.trainer.attempt import Attempt
from worker.trainer.inputs.embed_missing import items
from worker.trainer.inputs.features import gather
from worker.trainer.tensor_process import EngineFacts

MOST = 6000
"""Examples that are looked at, held-out ones before those that are trained on."""
_SHOWN = 100
"""Groups that are kept."""


@dataclass(frozen=True)
class NearCopies:
    """Groups of examples that are almost the same, of so many that were looked at."""

    groups: Sequence[Sequence[Example]]
    looked_at: int

    @property
    def problems(self) -> list[Problem]:
        """One for each held-out example that another split shows, too: it is not judged by."""
        return [told for group in self.groups for told in _leaks(group)]

    def note(self, version: DatasetVersionRow) -> None:
        """Keep them with a locked version."""
        versions.add_problems(version, self.problems)
        groups = sorted(self.groups, key=len, reverse=True)[:_SHOWN]
        told = [[example.id for example in group] for group in groups]
        version.near_duplicates = {"looked_at": self.looked_at, "groups": told}


def look(
    attempt: Attempt, facts: EngineFacts, view: str, examples: Sequence[Example]
) -> NearCopies | None:
    """Look for near copies among embedded examples; None where they are of no kind that has any."""
    if not MODALITIES[facts.modality].copied:
        return None
    order = sorted(examples, key=lambda one: -ORDER.index(one.split))
    some = list({example.sha256: example for example in order}.values())[:MOST]
    rows = gather(attempt, facts, view, some) if len(some) > 1 else None
    if rows is None:
        return None
    said = attempt.ask(
        {
            "op": "near_copies",
            "backbone": facts.backbone,
            "fitted": facts.precision,
            "pixel_scale": facts.pixel_scale,
            "rows": rows.rows(some),
            "items": items(attempt, attempt.claim.organisation_id, some),
        }
    )
    return NearCopies(_groups(some, said["pairs"]), looked_at=len(some))


def _groups(examples: Sequence[Example], pairs: Sequence[Sequence[int]]) -> list[list[Example]]:
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


def _leaks(group: Sequence[Example]) -> list[Problem]:
    first = min(group, key=lambda one: ORDER.index(one.split))
    return [
        Problem(
            code="duplicate_across_splits",
            message=f"{one.path}: almost the same picture as {first.path}, which is in "
            f"{first.split}",
            path=one.path,
            example_id=one.id,
            excluded=True,
        )
        for one in group
        if one.split != first.split
    ]
