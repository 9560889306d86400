"""What labels are called now that a dataset had when feedback was given, or a model was fitted."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from app.core.manifest import Example
from app.core.texts import alike, by_word
from app.feedback import fitness
from app.feedback.moved_names import called, moved_names
from app.http.dependencies import Services
from app.infra.database import reading
from app.infra.orm import DatasetVersionRow, FeedbackRow
from app.infra.repositories.datasets import DatasetSnapshot
from app.infra.repositories.live import feedback as rows
from app.uploads import blobs

CODE = "label_dropped"


@dataclass(frozen=True, slots=True)
class FormerLabels:
    """Labels that a dataset has no more: `names` says what they are called, `dropped` has the
    others, and when they went."""

    names: Mapping[str, str] = field(default_factory=dict)
    dropped: Mapping[str, float] = field(default_factory=dict)
    moved: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """By feedback, what labels are called now whose names others have since."""

    @property
    def renamed(self) -> dict[str, str]:
        """What labels that were said are called now; of those in whose place others are, too."""
        found = dict(self.names)
        for told in self.moved.values():
            found |= told
        return found

    def names_for(self, row: FeedbackRow) -> Mapping[str, str]:
        """What the labels that a row says are called now."""
        return {**self.names, **self.moved.get(row.id, {})}

    def why_not(self, row: FeedbackRow) -> str | None:
        """Why a dataset is not to have what was said; None where nothing speaks against it.

        A label that went is a new class where somebody says it since, and no model did.
        """
        for label in fitness.said(row):
            went = self.dropped.get(label)
            if went is not None and (row.correct or row.updated_at < went):
                return (
                    f"the dataset had the label {label!r} and has it no more, nor another in its "
                    "place for all that had it: give feedback anew, with a label that it has"
                )
        return None


def former_labels(
    services: Services,
    base: DatasetSnapshot,
    examples: Sequence[Example],
    said: Iterable[FeedbackRow],
) -> FormerLabels:
    """Of the labels that feedback says those that a version of the dataset had, and its latest
    `examples` have not, have for others (where names changed places), or spell otherwise."""
    said = list(said)
    known = {name for one in examples for name in one.names} | {*(base.version.declared or ())}
    words = by_word(known)
    strange = {label for row in said for label in fitness.said(row)} - known
    moved = moved_names(services, base, examples, said)
    names = {label: words[alike(label)] for label in strange if alike(label) in words}
    if not (strange := strange - names.keys()):
        return FormerLabels(names, moved=moved)
    dropped: dict[str, float] = {}
    now = {one.content: one for one in examples}
    for had, since, labels in _last_had(services, base, strange):
        before = blobs.load_manifest(services, had)
        for label in labels:
            name = called(label, before, now)
            if name is None:
                dropped[label] = since.created_at
            else:
                names[label] = name
    return FormerLabels(names, dropped, moved)


def _last_had(
    services: Services, base: DatasetSnapshot, labels: Collection[str]
) -> list[tuple[DatasetVersionRow, DatasetVersionRow, list[str]]]:
    """The versions that had any of the labels last, and those after them."""
    with reading(services.sessions) as session:
        every = rows.versions_since(session, base.version, 0.0)
    found: dict[int, list[str]] = {}
    for at, version in enumerate(every[:-1]):
        had = {one["label"] for one in version.classes}
        for label in had.intersection(labels):
            found = {place: [one for one in some if one != label] for place, some in found.items()}
            found.setdefault(at, []).append(label)
    return [(every[at], every[at + 1], some) for at, some in found.items() if some]
