"""What a dataset's own changes say of an input after feedback did: the last word by time holds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from app.core.manifest import Example
from app.http.dependencies import Services
from app.infra.database import reading
from app.infra.orm import DatasetVersionRow, FeedbackRow
from app.infra.repositories.datasets import DatasetSnapshot
from app.infra.repositories.live import feedback as rows
from app.uploads import blobs

DELETED = "its example was deleted from the dataset since"
CORRECTED = "its example was corrected in the dataset since"
_State = tuple[tuple[object, ...], ...]


@dataclass(frozen=True, kw_only=True)
class Word:
    """When something was said of an input, and the sha256 of the input's bytes."""

    sha256: str
    at: float


def newer_words(
    services: Services, base: DatasetSnapshot, words: Mapping[str, Word]
) -> dict[str, str]:
    """Why what was said of a content, of `words` by content, is no longer the last word on it.

    Feedback that a version was made of counts from when it was given.
    """
    if not words:
        return {}
    oldest = min(word.at for word in words.values())
    with reading(services.sessions) as session:
        since = rows.versions_since(session, base.version, oldest)
        given = rows.given_in(
            session,
            base.dataset.id,
            sha256s={word.sha256 for word in words.values()},
            organisation_id=base.dataset.organisation_id,
        )
    found: dict[str, str] = {}
    for version, content, there in _changes(services, since, words):
        word = words[content]
        if given.get((word.sha256, version.number), version.created_at) > word.at:
            found[content] = CORRECTED if there else DELETED
    return found


def _changes(
    services: Services, since: Iterable[DatasetVersionRow], words: Mapping[str, Word]
) -> Iterator[tuple[DatasetVersionRow, str, bool]]:
    """Which version changed which content's labels, and whether it has the content still.

    That a content came is no change: an uploaded file's labels may be of any age.
    """
    before: dict[str, _State] = {}
    for version in since:
        after = _states(blobs.load_manifest(services, version), words)
        for content, state in before.items():
            if after.get(content) != state:
                yield version, content, content in after
        before = after


def _states(examples: Iterable[Example], words: Mapping[str, Word]) -> dict[str, _State]:
    found: dict[str, _State] = {}
    for one in examples:
        if one.content in words:
            said = (one.id, one.label, one.labels, one.confirmed)
            found[one.content] = (*found.get(one.content, ()), said)
    return {content: tuple(sorted(state, key=repr)) for content, state in found.items()}


def is_settled(row: FeedbackRow, dataset_id: str) -> bool:
    """Whether a version of the dataset has what the feedback says now, or a newer word on it."""
    told = row.applied or {}
    if told.get("dataset") == dataset_id:
        return told["version"] is not None or told.get("reason") in rows.SETTLED
    return dataset_id in told.get("also", ())
