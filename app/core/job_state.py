"""The states of a job, and the only moves between them.

validating_files ─▶ queued ─▶ running ─▶ succeeded
        │              │  ▲       ├────▶ failed
        │              │  └───────┤          (back to queued: the worker was lost or drained)
        └──────────────┴──────────┴────▶ cancelled | failed
        any of these three ◀──▶ paused ─▶ cancelled | failed   (a paused one goes on from its start)
"""

from __future__ import annotations

from typing import Literal, get_args

from app.core.errors import HeadstartError

JobStatus = Literal[
    "validating_files", "queued", "running", "paused", "succeeded", "failed", "cancelled"
]

STATUSES: tuple[JobStatus, ...] = get_args(JobStatus)
TERMINAL: frozenset[JobStatus] = frozenset({"succeeded", "failed", "cancelled"})


def ended(status: object) -> bool:
    """Whether nothing more will happen to a job; None is one that is no more."""
    return status is None or status in TERMINAL


_MOVES: dict[JobStatus, frozenset[JobStatus]] = {
    "validating_files": frozenset({"queued", "paused", "failed", "cancelled"}),
    "queued": frozenset({"running", "paused", "failed", "cancelled"}),
    "running": frozenset({"queued", "paused", "succeeded", "failed", "cancelled"}),
    "paused": frozenset({"validating_files", "failed", "cancelled"}),
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
