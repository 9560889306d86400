"""What becomes of examples whose labels were withdrawn where they were given. All of it blocks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from app.core.errors import HeadstartError
from app.core.manifest import Example, Problem
from app.core.modalities import MODALITIES
from app.datasets import service
from app.datasets.content import Revision
from app.feedback.giving import data_of
from app.http.dependencies import Services
from app.infra.database import reading
from app.infra.orm import FeedbackRow
from app.infra.repositories import datasets
from app.infra.repositories.live import feedback as rows
from app.uploads import blobs

_MADE = ("feedback/", "feedback-")
"""How the paths of examples begin that feedback has made."""


def withdraw(services: Services, gone: Sequence[FeedbackRow], *, organisation_id: str) -> int:
    """Have datasets' next versions leave out the examples that this feedback made; how many.

    Those stay that an upload has brought, whose label is another by now, or of whose input other
    feedback says the same. Raises in_flight, storage_unavailable and their like.
    """
    by_dataset: dict[str, list[FeedbackRow]] = defaultdict(list)
    for row in gone:
        for dataset_id in _datasets(row):
            by_dataset[dataset_id].append(row)
    return sum(
        _left_out(services, dataset_id, some, organisation_id=organisation_id)
        for dataset_id, some in by_dataset.items()
    )


def _datasets(row: FeedbackRow) -> set[str]:
    """Those that have a version with what the feedback said."""
    told = row.applied or {}
    held = {told["dataset"]} if told.get("version") is not None else set()
    return held | set(told.get("also", {}))


def _left_out(
    services: Services, dataset_id: str, gone: Sequence[FeedbackRow], *, organisation_id: str
) -> int:
    try:
        with reading(services.sessions) as session:
            base = datasets.get(session, dataset_id, organisation_id=organisation_id)
            said = rows.said_otherwise(session, gone, organisation_id=organisation_id)
    except HeadstartError as error:
        if error.code != "not_found":
            raise
        return 0
    words = _words(services, base.dataset.modality, [one for one in gone if one.sha256 not in said])
    known = blobs.load_manifest(services, base.version)
    wanted = {one.id: one.path for one in known if _is_of(one, words)}
    if wanted:
        service.revise(services, base, _revision(wanted))
    return len(wanted)


def _words(
    services: Services, modality: str, gone: Sequence[FeedbackRow]
) -> dict[str, tuple[str, ...]]:
    """The labels that feedback gave, by its inputs' hashes and by what examples of them are known
    by."""
    identity = MODALITIES[modality].identity
    words: dict[str, tuple[str, ...]] = {}
    for row in gone:
        label = tuple(row.labels) if row.labels is not None else (row.label or "",)
        data = data_of(services, row)
        content = identity(data) if data is not None else None
        words |= dict.fromkeys([row.sha256, *([content] if content else [])], label)
    return words


def _is_of(one: Example, words: Mapping[str, tuple[str, ...]]) -> bool:
    """Whether feedback has made the example, and it has the label that was said."""
    said = words.get(one.content, words.get(one.sha256))
    return said is not None and one.path.startswith(_MADE) and sorted(one.names) == sorted(said)


def _revision(wanted: Mapping[str, str]) -> Revision:
    """Everything but these examples (id: path), and why they are left out."""
    first = min(wanted.values())
    why = Problem(
        code="unlabelled",
        message=f"{len(wanted)} example(s), such as {first}, are left out: their annotations "
        "were withdrawn (deleted, or skipped) in the tool that they came from",
        path=first,
        excluded=True,
    )

    def revise(known: list[Example]) -> tuple[list[Example], Sequence[Problem]]:
        return [one for one in known if one.id not in wanted], [why]

    return Revision(revise=revise, drops=frozenset(wanted), minimum_classes=1)
