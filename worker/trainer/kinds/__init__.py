"""One module a kind of work, and one line below: nothing else asks which kinds there are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sqlalchemy.orm import Session

from app.core.errors import HeadstartError
from app.infra.repositories import work
from app.infra.repositories.openai import request_batches
from app.infra.repositories.work import Claim
from worker.trainer.attempt import Attempt
from worker.trainer.kinds import batch, drift, embed, export, fine_tune, promote, requests


def _nothing_to_note(_session: Session, _claim: Claim) -> bool:
    return True


def _nobody_to_tell(_session: Session, _claim: Claim, _why: str, *, quiet: bool) -> None:
    """An export does not say that it waits again."""


def _no_way_on(_session: Session, _claim: Claim, _why: object) -> bool:
    return False


def _always(_session: Session, _claim: Claim, _why: object) -> bool:
    return True


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What the trainer does with one kind of work; all but `run` within the caller's transaction.

    `makes_way`: it stops between two batches, or two calls, for what is urgent and, after its turn,
    for others' work; what is done by then is kept. A fit has a bound of its own instead.
    `begin(session, claim)` notes that it runs; False where there is nothing left to run.
    `on_requeue(session, claim, why, quiet=)` says that it waits again, unless that was said.
    `on_crash(session, claim, why)` is asked when its inputs may have killed the tensor process;
    True where that has already decided how to go on.
    `on_failure(session, claim, error)` ends the work for good, and all that cannot go on without.
    `given_up` is the error's code after too many unexpected ones.
    `waits_for_room(session, claim, error)`: whether a full disk is waited for, as what is away is:
    hours of answers would be lost, or an upload.
    """

    run: Callable[[Attempt], None]
    makes_way: bool = False
    begin: Callable[[Session, Claim], bool] = _nothing_to_note
    on_requeue: Callable[..., None] = _nobody_to_tell
    on_crash: Callable[[Session, Claim, str], bool] = _no_way_on
    on_failure: Callable[[Session, Claim, HeadstartError], None] = work.fail
    given_up: str = "internal"
    waits_for_room: Callable[[Session, Claim, HeadstartError], bool] = _no_way_on


KINDS: Mapping[str, Kind] = {
    "embed": Kind(
        run=embed.run,
        makes_way=True,
        on_requeue=embed.say_queued,
        on_failure=embed.fail,
        waits_for_room=embed.waits_for_room,
    ),
    "fine_tune": Kind(
        run=fine_tune.run,
        makes_way=True,
        begin=fine_tune.begin,
        on_requeue=fine_tune.say_queued,
        on_failure=fine_tune.fail,
        given_up="training_failed",
    ),
    "batch": Kind(
        run=batch.run,
        makes_way=True,
        begin=batch.begin,
        on_crash=batch.isolate,
        on_failure=batch.fail,
        waits_for_room=_always,
    ),
    "drift": Kind(run=drift.run, makes_way=True),
    "export": Kind(run=export.run),
    "requests": Kind(
        run=requests.run,
        makes_way=True,
        begin=request_batches.begin,
        on_failure=requests.fail,
        waits_for_room=_always,
    ),
    "promote": Kind(run=promote.run, makes_way=True, begin=promote.begin, on_failure=promote.fail),
}


def _unknown(attempt: Attempt) -> None:
    raise HeadstartError("internal", f"no worker here does {attempt.claim.kind}")


_UNKNOWN = Kind(run=_unknown)


def kind_of(claim: Claim) -> Kind:
    """The kind of a claim; one that only newer workers know may be rescued here, but never run."""
    return KINDS.get(claim.kind, _UNKNOWN)
