"""How often a shadow says what the model says: counted in memory, written down every second."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.infra.database import Sessions, now, transaction
from app.infra.orm import AliasRow, ShadowAgreementRow
from app.infra.repositories.upserts import found_or_added, locked

Whose = tuple[str, str, str, str]
"""Organisation, alias, the model that it means, and the shadow."""
Differences = tuple[tuple[str | None, str | None], ...]
"""Of one input, the model's label and its shadow's; of several labels each that only one of them
answers, beside None. Empty where they agree.
"""
MOST_PAIRS = 200
"""Different disagreements that are told apart."""


class ShadowTally:
    """One a process; any thread may count."""

    def __init__(self) -> None:
        self._pairs: dict[Whose, Counter[Differences]] = {}
        self._lock = threading.Lock()

    def count(self, whose: Whose, said: Sequence[Differences]) -> None:
        """Add what both have said of some inputs."""
        with self._lock:
            self._pairs.setdefault(whose, Counter()).update(said)

    def flush(self, sessions: Sessions) -> int:
        """Write down what was counted since the last time; of how many aliases."""
        with self._lock:
            pairs, self._pairs = self._pairs, {}
        if not pairs:
            return 0
        try:
            with transaction(sessions) as session:
                for whose, counts in sorted(pairs.items()):
                    _add(session, whose, counts)
        except Exception:
            for whose, counts in pairs.items():
                self.count(whose, list(counts.elements()))
            raise
        return len(pairs)


def _add(session: Session, whose: Whose, counts: Counter[Differences]) -> None:
    at, of = now(session), ShadowAgreementRow
    organisation_id, alias, model_id, shadow_id = whose
    meant = select(AliasRow.name).where(
        AliasRow.organisation_id == organisation_id,
        AliasRow.name == alias,
        AliasRow.model_id == model_id,
        AliasRow.shadow == shadow_id,
    )
    if session.scalars(meant.with_for_update(read=True)).one_or_none() is None:
        return  # the alias, or its shadow, has gone since
    mine = select(ShadowAgreementRow).where(
        of.organisation_id == organisation_id,
        of.alias == alias,
        of.model_id == model_id,
        of.shadow_id == shadow_id,
    )
    row, _ = found_or_added(
        session,
        lambda: locked(session, mine),
        lambda: ShadowAgreementRow(
            organisation_id=organisation_id, alias=alias, model_id=model_id, shadow_id=shadow_id,
            compared=0, agreed=0, differences=[], created_at=at, updated_at=at,
        ),
    )  # fmt: skip
    row.compared += counts.total()
    row.agreed += counts[()]
    row.differences = _merged(row.differences, counts)
    row.updated_at = at


def _merged(known: Sequence[Sequence[Any]], counts: Counter[Differences]) -> list[list[Any]]:
    pairs = Counter({(one, other): int(number) for one, other, number in known})
    for pairs_of_one, number in counts.items():
        for pair in pairs_of_one:
            if pair in pairs or len(pairs) < MOST_PAIRS:
                pairs[pair] += number
    return [[*pair, number] for pair, number in pairs.most_common()]


def find(
    session: Session, *, organisation_id: str, alias: str, model_id: str, shadow_id: str
) -> ShadowAgreementRow | None:
    """What is known of a shadow beside a model."""
    return session.get(ShadowAgreementRow, (organisation_id, alias, model_id, shadow_id))
