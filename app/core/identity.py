"""Who calls, and what their key may do."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal, get_args

from app.core.errors import HeadstartError

Scope = Literal["read", "write", "predict", "admin", "operator"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
ORGANISATION = r"^[a-z0-9][a-z0-9_-]{0,63}$"
"""Of what an organisation's name is made: it is a part of models' ids and of storage's keys."""


@dataclass(frozen=True)
class Identity:
    """Who calls: the organisation, the key, and what the key may do.

    `requests_per_minute` that predict are the organisation's bound; 0 is none.
    """

    organisation_id: str
    key_id: str
    scopes: frozenset[str]
    requests_per_minute: int = 0

    def require(self, scope: Scope) -> None:
        """Raise `forbidden` unless the key has `scope`; `admin` includes all but `operator`."""
        if scope in self.scopes or ("admin" in self.scopes and scope != "operator"):
            return
        raise HeadstartError("forbidden", f"this key lacks the scope {scope!r}")


def key_digest(key: str) -> str:
    """What is stored of a key: its SHA-256, in hex."""
    return hashlib.sha256(key.encode()).hexdigest()
