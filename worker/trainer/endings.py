"""How an attempt ends when it does not succeed: the three budgets, and what each error costs.

A domain error ends the work at once, but for what another worker may know: while a release is
rolled out, the app may take what trainers of the former one never heard of. An unexpected error may
happen three times, a crash of the child under a live parent three times, the loss of a whole worker
group twenty times; what has kept a state since then has them anew. What the store has lost or
damaged is looked for ten times. Being drained is free.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from sqlalchemy.orm import Session

from app.core.errors import DATABASE_AWAY, HeadstartError
from app.infra.database import apart
from app.infra.lanes import APP_KINDS
from app.infra.repositories import work
from app.infra.repositories.work import MAX_CRASHES, MAX_ERRORS, PASSED, Claim
from app.infra.storage import lasting, lost_key
from worker.trainer.context import DrainedError, MadeWayError
from worker.trainer.kinds import KINDS, kind_of
from worker.trainer.tensor_process import ChildCrashedError, EngineCrashedError

_DELAY_SECONDS = 1.0
_LONGEST_SECONDS = 60.0
_REPORT = "try again, and if it fails again, the trainer's log has the reason under this id"
_TRANSIENT = (
    *DATABASE_AWAY,
    "storage_unavailable",
    "predictor_unavailable",
    "overloaded",
    "deadline_exceeded",
)
_KNOWN_ELSEWHERE = ("unknown_backbone", "unknown_method")
"""The app has taken these: a worker that does not know them is of another release."""
_TRIES_ELSEWHERE = 60
"""Most of them a minute apart: for an hour."""
_TRIES_FOR_ROOM = 24 * 60
"""So for a day, which is what a batch has."""
_TRIES_LOST = 10
"""So often in a row it is looked for what the store has lost or damaged: for six minutes, in which
a slip passes, or somebody puts it back."""


def conclude(session: Session, claim: Claim, error: Exception, *, alone: bool = False) -> None:
    """What an exception means for the work: again, at what cost, or the end of it.

    `alone`: there is no other worker that could know more.
    """
    lost = lost_key(error)
    if isinstance(error, DrainedError):
        _retry(session, claim, "its worker was stopped")
    elif isinstance(error, MadeWayError):
        _let_pass(session, claim, error.noted)
    elif lost is not None:
        _miss(session, claim, lost)
    elif isinstance(error, ChildCrashedError):
        crashed(session, claim, str(error), blames_inputs=not isinstance(error, EngineCrashedError))
    elif isinstance(error, HeadstartError) and _passes(session, claim, error, alone=alone):
        _postpone(session, claim, error)
    elif isinstance(error, HeadstartError):
        kind_of(claim).on_failure(session, claim, error)
    else:
        _erred(session, claim)


def _passes(session: Session, claim: Claim, error: HeadstartError, *, alone: bool) -> bool:
    """Whether it may go better later, or elsewhere."""
    times = int((claim.error or {}).get("times", 0))
    if error.code in _KNOWN_ELSEWHERE:
        return not alone and times < _TRIES_ELSEWHERE
    if error.code == "storage_full":
        waits = times < _TRIES_FOR_ROOM
        return waits and kind_of(claim).waits_for_room(session, claim, error)
    return error.code in _TRANSIENT


def _retry(session: Session, claim: Claim, why: str, *, delay: float = 0.0, **spent: int) -> None:
    """Queue the work again after `delay` seconds, at the cost of `errors=` or `crashes=`."""
    work.give_back(session, claim, delay=delay, **spent)
    kind_of(claim).on_requeue(session, claim, why, quiet=False)


def _let_pass(session: Session, claim: Claim, noted: Mapping[str, Any]) -> None:
    """Queue the work again behind others'; that it is passed is told once."""
    told = bool(claim.payload.get(PASSED))
    work.give_back(session, claim, payload={**claim.payload, **noted, PASSED: True})
    kind_of(claim).on_requeue(session, claim, "others' work is to pass", quiet=told)


def _miss(session: Session, claim: Claim, key: str) -> None:
    """Look again, and ever later, for what the store does not have as it was put; then give up."""
    lost = int((claim.error or {}).get("lost", 0)) + 1
    if lost >= _TRIES_LOST:
        kind_of(claim).on_failure(session, claim, lasting(key))
        return
    why = "a part of what it needs is gone from the storage, or is not what was stored"
    told = f"{why}; it is looked for {_TRIES_LOST} times, and then given up"
    _postpone(session, claim, HeadstartError("storage_unavailable", told), lost=lost)


def _postpone(session: Session, claim: Claim, error: HeadstartError, **noted: int) -> None:
    """Try again later, and ever later, what is away; each reason is told once."""
    last = claim.error or {}
    times = int(last.get("times", 0)) + 1
    work.give_back(
        session,
        claim,
        delay=min(_LONGEST_SECONDS, 2.0 ** min(times, 10)),
        error={**error.stored(), "times": times, **noted},
    )
    told = last.get("message") == error.message
    kind_of(claim).on_requeue(session, claim, error.message, quiet=told)


def crashed(session: Session, claim: Claim, why: str, *, blames_inputs: bool = True) -> None:
    """The child died under us: try again, or give the work up as a poison."""
    crashes = work.cost(session, claim)[1] + 1
    if blames_inputs and kind_of(claim).on_crash(session, claim, why):
        return
    if crashes < MAX_CRASHES:
        _retry(session, claim, why, delay=_DELAY_SECONDS, crashes=crashes)
        return
    told = f"{why}, {crashes} times in a row; its memory may not suffice. If not, {_REPORT}"
    _give_up(session, claim, "worker_lost", told)


def _erred(session: Session, claim: Claim) -> None:
    """Something unexpected was raised, which the log tells: try again, or give up."""
    why = "an unexpected error"
    errors = work.cost(session, claim)[0] + 1
    if errors < MAX_ERRORS:
        _retry(session, claim, why, delay=_DELAY_SECONDS, errors=errors)
        return
    told = f"{why}, {errors} times in a row; {_REPORT}"
    _give_up(session, claim, kind_of(claim).given_up, told)


def _give_up(session: Session, claim: Claim, code: str, why: str) -> None:
    kind_of(claim).on_failure(session, claim, HeadstartError(code, why))


def rescue(session: Session) -> int:
    """Take back what lost workers held; the number of works that are queued again or ended.

    Each apart: one that cannot be ended waits for its lease again, and holds nobody else's up. What
    only others know, they end: of the app's own kinds it must be told that nothing comes of it.
    """
    queued, spent = work.rescue(session, but=APP_KINDS)
    known = [claim for claim in spent if claim.kind in KINDS]
    for ended, end in [(queued, _tell_lost), (known, _spend)]:
        for claim in ended:
            apart(session, partial(end, session, claim), work=claim.id, kind=claim.kind)
    return len(queued) + len(known)


def _tell_lost(session: Session, claim: Claim) -> None:
    kind_of(claim).on_requeue(session, claim, "its worker was lost", quiet=False)


def _spend(session: Session, claim: Claim) -> None:
    told = f"its worker was lost {claim.losses} times; see that trainers run, then try again"
    _give_up(session, claim, "worker_lost", told)
