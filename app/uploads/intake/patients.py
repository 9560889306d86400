"""Whose pictures belong together, without keeping whose they are.

A patient's id becomes a keyed hash of it: the same in every upload of an organisation, so that one
patient's pictures are one group, and nothing that could be turned back without the key.
"""

from __future__ import annotations

import hmac
from collections import Counter
from collections.abc import Callable
from functools import cached_property

from app.core.manifest import Problem


class Pseudonyms:
    """The groups' names of one upload's patients."""

    def __init__(self, key: Callable[[], str]) -> None:
        self._draw = key
        self._counts: Counter[str] = Counter()

    @cached_property
    def _key(self) -> bytes:
        return self._draw().encode()

    def of(self, patient: str | None) -> str | None:
        """The name of the patient's group; None of nobody."""
        if patient is None:
            return None
        name = "patient:" + hmac.digest(self._key, patient.encode(), "sha256").hex()[:20]
        self._counts[name] += 1
        return name

    def only(self) -> str | None:
        """The one group that all are in, which tells no two pictures apart."""
        return next(iter(self._counts)) if len(self._counts) == 1 else None

    def told(self) -> list[Problem]:
        """That pictures were grouped, where some were."""
        if not self._counts:
            return []
        message = (
            f"{self._counts.total()} DICOM pictures of {len(self._counts)} patients are grouped by "
            "a keyed hash of the patient's id, and count as one where accuracy is estimated; the "
            "id and all else that names a patient is not kept; a metadata.csv with the column "
            "group says otherwise"
        )
        return [Problem(code="group_assumed", message=message)]
