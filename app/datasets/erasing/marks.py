"""What an upload may not bring back: contents that were erased from its dataset.

Of an erased content nothing is kept but a mark: its hash under a key of the organisation that is
sealed in the database, so that who reads the marks can hold no guess against them.
"""

from __future__ import annotations

import hmac
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from sqlalchemy.orm import Session

from app.core.errors import HeadstartError
from app.core.manifest import Problem, class_counts, usable
from app.datasets.erasing.rewriting import repacked
from app.http.dependencies import Services, writing
from app.infra.database import reading
from app.infra.orm import DatasetRow
from app.infra.repositories import erasing, pseudonyms
from app.infra.vault import Vault
from app.uploads.intake import Built

CODE = "example_erased"


@dataclass(frozen=True)
class Marker:
    """Marks contents of one dataset."""

    key: str
    dataset_id: str

    def of(self, content: str) -> str:
        """The mark of a content: 32 hexadecimal digits."""
        told = f"erased\0{self.dataset_id}\0{content}"
        return hmac.digest(bytes.fromhex(self.key), told.encode(), "sha256").hex()[:32]

    def all_of(self, contents: Iterable[str]) -> list[str]:
        """Their marks, in an order that tells nothing."""
        return sorted(self.of(content) for content in contents)


def marker(services: Services, dataset_id: str, *, organisation_id: str) -> Marker:
    """Raises secret_unreadable, secrets_key_missing."""
    with writing(services) as session:
        return Marker(pseudonyms.key_of(session, services.vault, organisation_id), dataset_id)


def refuse_after(former: int | None, dataset: DatasetRow) -> None:
    """Raises in_flight where more was erased than as an upload was read (None: nothing was)."""
    if former not in (None, dataset.erasures):
        why = "examples were erased meanwhile; send the upload again"
        raise HeadstartError("in_flight", why, retry_after=1)


def without_erased(services: Services, dataset: DatasetRow, built: Built) -> Built:
    """What was built of an upload without the contents that were erased from the dataset, in a
    pack that has no byte of them. Raises example_erased where nothing is left.
    """
    gone = erased_among(services, dataset, {one.content for one in built.examples})
    return _left(built, gone) if gone else built


def erased_among(services: Services, dataset: DatasetRow, contents: Collection[str]) -> set[str]:
    """Those of the contents that were erased from the dataset.

    Raises secret_unreadable, secrets_key_missing where anything ever was.
    """
    if not dataset.erasures:
        return set()
    with reading(services.sessions) as session:
        known = erasing.marks(session, dataset.id, organisation_id=dataset.organisation_id)
    mark = marker(services, dataset.id, organisation_id=dataset.organisation_id)
    return {one for one in contents if mark.of(one) in known}


def erased_since(
    session: Session, vault: Vault, contents: Iterable[str], *, at: float, organisation_id: str
) -> set[str]:
    """Those of the contents that were erased from any dataset of the organisation's from then on.

    Raises secret_unreadable, secrets_key_missing where anything was.
    """
    known = erasing.marks_since(session, at, organisation_id=organisation_id)
    if not known:
        return set()
    key = pseudonyms.key_of(session, vault, organisation_id)
    marked = [(Marker(key, dataset_id), told) for dataset_id, told in known.items()]
    return {one for one in contents if any(mark.of(one) in told for mark, told in marked)}


def _left(built: Built, gone: set[str]) -> Built:
    left = [one for one in built.examples if one.content not in gone]
    ids = {one.id for one in built.examples if one.content in gone}
    if not left:
        why = "all of these examples were erased from this dataset: it does not take them again"
        raise HeadstartError(CODE, why)
    slots = {one.sha256: (one.offset, one.length) for one in left}
    pack = repacked(built.pack_path, slots, built.pack_path.parent)
    assert pack is not None
    built.pack_path.unlink()
    examples = [
        one.model_copy(update={"pack": pack.name, "offset": pack.slots[one.sha256].offset})
        for one in left
    ]
    said = f"{len(ids)} example(s) were erased from this dataset before, and stay out of it"
    problems = [one for one in built.problems if one.example_id not in ids]
    problems.append(Problem(code=CODE, message=said, excluded=True))
    return replace(
        built, pack_path=pack.path, pack_sha256=pack.name, examples=examples, problems=problems,
        classes=class_counts(usable(examples, problems)),
    )  # fmt: skip
