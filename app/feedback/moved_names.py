"""Names of labels that others have now: where two changed places, or one took what another left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from app.core.manifest import Example
from app.feedback import fitness
from app.http.dependencies import Services
from app.infra.database import reading
from app.infra.orm import DatasetVersionRow, FeedbackRow
from app.infra.repositories.datasets import DatasetSnapshot
from app.infra.repositories.live import feedback as rows
from app.uploads import blobs

FEWEST = 2
"""Examples that tell a name that was taken over: one alone may have been corrected."""


def moved_names(
    services: Services,
    base: DatasetSnapshot,
    examples: Sequence[Example],
    said: Sequence[FeedbackRow],
) -> dict[str, dict[str, str]]:
    """By feedback, what those of its labels are called now that were other classes' names when it
    was given, or when the model was fitted that it agrees with."""
    if not said:
        return {}
    with reading(services.sessions) as session:
        meant = rows.meant_at(session, said, organisation_id=base.dataset.organisation_id)
        every = rows.versions_since(session, base.version, min(meant.values()))
    now = {one.content: one for one in examples}
    if not _moved(services, every[0], now):
        return {}
    found: dict[str, dict[str, str]] = {}
    known: dict[str, dict[str, str]] = {}
    for row in said:
        version = _latest(every, meant[row.id])
        if version.id not in known:
            known[version.id] = _moved(services, version, now)
        mine = {one: known[version.id].get(one) for one in fitness.said(row)}
        told = {one: name for one, name in mine.items() if name is not None}
        found |= {row.id: told} if told else {}
    return found


def _latest(every: Sequence[DatasetVersionRow], at: float) -> DatasetVersionRow:
    """The version that was the latest at a time, the first where none was."""
    return next((one for one in reversed(every) if one.created_at <= at), every[0])


def _moved(
    services: Services, version: DatasetVersionRow, now: Mapping[str, Example]
) -> dict[str, str]:
    """What the labels of a version are called now whose names others have now."""
    before = blobs.load_manifest(services, version)
    counts = Counter(name for one in before for name in one.names)
    still = {name for one in now.values() for name in one.names} & counts.keys()
    names = {label: called(label, before, now) for label in still}
    left = {label: name for label, name in names.items() if name is not None}
    return {
        label: name
        for label, name in left.items()
        if name in left or (name not in counts and counts[label] >= FEWEST)
    }


def called(label: str, before: Iterable[Example], now: Mapping[str, Example]) -> str | None:
    """The one label that examples have in the place of theirs; None where they have several, or
    fewer than half of them are there."""
    had = [one for one in before if label in one.names]
    there = [(one, now[one.content]) for one in had if one.content in now]
    instead = Counter(frozenset(after.names) - {*one.names} for one, after in there)
    gained = [name for names in instead for name in names]
    if len(instead) != 1 or len(gained) != 1 or 2 * len(there) < len(had):
        return None
    return gained[0]
