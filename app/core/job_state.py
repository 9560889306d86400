"""The states of a job, and the only moves between them.

validating_files ─▶ queued ─▶ running ─▶ succeeded
        │              │  ▲       ├────▶ failed
        │              │  └───────┤          (back to queued: the worker was lost or drained)
        └──────────────┴──────────┴────▶ cancelled | failed
"""

from __future__ import annotations

from typing import Literal, get_args

from app.core.errors import HeadstartError

JobStatus = Literal["validating_files", "queued", "running", "succeeded", "failed", "cancelled"]

STATUSES: tuple[JobStatus, ...] = get_args(JobStatus)
TERMINAL: frozenset[JobStatus] = frozenset({"succeeded", "failed", "cancelled"})


def ended(status: object) -> bool:
    """Whether nothing more will happen to a job; None is one that is no more."""
    return status is None or status in TERMINAL


_MOVES: dict[JobStatus, frozenset[JobStatus]] = {
    "validating_files": frozenset({"queued", "failed", "cancelled"}),
    "queued": frozenset({"running", "failed", "cancelled"}),
    "running": frozenset({"queued", "succeeded", "failed", "cancelled"}),
    "succeeded": frozenset(),
    "failed": frozenset(),
    "cancelled": frozenset(),
}


def advance(current: JobStatus, to: JobStatus, *, what: str = "job") -> JobStatus:
    """`to`, if a job may go there from `current`; otherwise `invalid_transition`."""
    if to not in _MOVES[current]:
        why = f"a {what} that is {current} cannot become {to}"
        raise HeadstartError("invalid_transition", why, param="status")
    return to
