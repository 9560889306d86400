"""Usage on its way into the records: counted in memory, added up in the database now and then."""

from __future__ import annotations

import threading
from collections import Counter

from app.core.messages import Call
from app.infra.database import Sessions, transaction
from app.infra.repositories import usage
from app.infra.repositories.usage import Kind, Whose


class UsageTally:
    """One a process; any thread may count. A killed process loses what it has not flushed."""

    def __init__(self) -> None:
        self._amounts: Counter[Whose] = Counter()
        self._lock = threading.Lock()

    def count(self, organisation_id: str, kind: Kind, subject: str, amount: float) -> None:
        """Add to what is to be written down."""
        with self._lock:
            self._amounts[organisation_id, kind, subject] += amount  # type: ignore[assignment]

    def answered(self, call: Call) -> None:
        """Count a call to the predictor that was answered, for each model that it asked."""
        inputs = len(call.inputs)
        with self._lock:
            for target in (call.target, *call.others):
                self._amounts[call.tenant, "requests", target.model] += 1
                self._amounts[call.tenant, "predictions", target.model] += inputs

    def flush(self, sessions: Sessions) -> int:
        """Write down what was counted since the last time; always 0: nothing is removed.

        What cannot be written now is written the next time.
        """
        with self._lock:
            amounts, self._amounts = self._amounts, Counter()
        try:
            if amounts:
                with transaction(sessions) as session:
                    usage.add(session, amounts)
        except Exception:
            with self._lock:
                self._amounts.update(amounts)
            raise
        return 0
