"""The trainer: claim → embed → fit → evaluate → register, until it is told to stop.

`python -m worker.trainer` is the embedded footing's process; the Celery worker runs the same loop
in a thread. The parent never imports torch: tensor work happens in its one warm child.
"""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from app.core.errors import HeadstartError
from app.infra.database import apart, reading, transaction
from app.infra.migrate import check_schema
from app.infra.repositories import work
from app.infra.repositories.work import Claim, LostClaimError
from app.infra.settings import settings_or_exit
from app.infra.storage import storage_errors
from app.infra.telemetry import tracing
from app.infra.telemetry.logs import configure_logs
from worker.trainer import endings
from worker.trainer.attempt import Attempt
from worker.trainer.context import Context, DrainedError, MadeWayError, open_context
from worker.trainer.idle.chores import Chores
from worker.trainer.kinds import KINDS, kind_of
from worker.trainer.lease import Lease
from worker.trainer.tensor_process import ChildCrashedError, ChildExceptionError

_OVERDUE_EVERY = 4
"""One claim in so many lets bulk that has waited long pass: urgent work without end must not stop
it, nor may a batch that takes hours hold up the jobs of its own organisation."""

_METER_SECONDS = 5.0

log = structlog.get_logger(__name__)


class Trainer:
    """One loop over one context; `run` returns after a request to stop."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self._chores = Chores(context)
        self._claims = 0
        self._metered = self._worked = time.monotonic()

    @property
    def idled(self) -> bool:
        """Whether there has been no work for as long as a trainer of these settings waits."""
        limit = self.context.settings.idle_exit_seconds
        return 0 < limit <= time.monotonic() - self._worked

    def run(self) -> None:
        """Warm up, then work until the stop; the context is closed afterwards."""
        try:
            self._warm()
            self._await_schema()
            self._worked = time.monotonic()  # a slow start is no idleness
            log.info("trainer ready", worker=self.context.name)
            while not (self.context.stop.requested or self.idled):
                self.context.bell.arm()
                self._meter()
                if not self._turn():
                    self.context.bell.wait(self._idle_seconds())
            if not self.context.stop.requested:
                log.info("trainer idle", seconds=self.context.settings.idle_exit_seconds)
        finally:
            self._meter(last=True)
            self.context.close()
            log.info("trainer stopped", worker=self.context.name)

    def _warm(self) -> None:
        """Have the child begin to load. Raises precision_unavailable before anything is claimed."""
        settings = self.context.settings
        if not self.context.stop.requested:
            self.context.child.warm(settings.default_backbone_image)
            if settings.precision == "bf16":
                self._check_units(settings.default_backbone_image)

    def _await_schema(self) -> None:
        """Claim nothing before the database has what this release writes: it may have been started
        before the migrations of its release were run.
        """
        waits = True
        while waits and not self.context.stop.requested:
            self.context.pulse.beat()
            try:
                with reading(self.context.sessions) as session:
                    check_schema(session.connection())
                waits = False
            except HeadstartError as error:
                log.warning("no claim", reason=error)
                self.context.stop.wait(1.0)

    def _check_units(self, backbone: str) -> None:
        """Raises precision_unavailable; whatever else is wrong is told to who needs it."""
        try:
            self.context.child.engine(backbone, self.context.stop.check)
        except HeadstartError as error:
            if error.code == "precision_unavailable":
                log.error("the trainer cannot start", code=error.code, message=error.message)
                raise
        except (ChildCrashedError, ChildExceptionError, DrainedError) as error:
            log.warning("units not checked", reason=error)

    def _turn(self) -> bool:
        """Rescue, claim and work once; whether there was anything to do."""
        try:
            claim, begun = self._claim()
        except (HeadstartError, SQLAlchemyError) as error:
            expected = isinstance(error, HeadstartError)
            log.warning("no claim", reason=error, exc_info=not expected)
            self.context.stop.wait(1.0)
            return True
        self.context.pulse.beat()
        if claim is None:
            return self._chores.turn()
        if begun:
            self.attempt(claim)
        self._chores.turn(busy=True)
        self._worked = time.monotonic()
        return True

    def _claim(self) -> tuple[Claim | None, bool]:
        """The next work, and whether it has begun; one transaction with the rescue."""
        settings = self.context.settings
        with transaction(self.context.sessions) as session:
            endings.rescue(session)
            claim = work.claim(
                session,
                worker=self.context.name,
                kinds=settings.lanes.among(KINDS),
                lease_seconds=settings.lease_seconds,
                overdue=self._claims % _OVERDUE_EVERY == _OVERDUE_EVERY - 1,
                lanes=settings.lanes,
            )
            begun = claim is not None and _begun(session, claim, alone=settings.embedded)
            more = set() if settings.embedded else work.waiting(session, settings.lanes)
        self._claims += claim is not None
        self.context.doorbell.ring(more)
        return claim, begun

    def _meter(self, *, last: bool = False) -> None:
        """Write down what was used, every few seconds and at the end."""
        if not last and time.monotonic() - self._metered < _METER_SECONDS:
            return
        self._metered = time.monotonic()
        try:
            self.context.usage.flush(self.context.sessions)
        except (HeadstartError, SQLAlchemyError) as error:
            log.warning("usage is written down later", reason=error)

    def _idle_seconds(self) -> float:
        """Until the next lease runs out or postponed work is due, at most the poll's period."""
        settings = self.context.settings
        longest = min(settings.poll_seconds, settings.idle_exit_seconds or math.inf)
        try:
            with reading(self.context.sessions) as session:
                due = work.seconds_to_next(session)
        except (HeadstartError, SQLAlchemyError):
            return min(1.0, longest)
        return longest if due is None else min(longest, due + 0.01)

    def attempt(self, claim: Claim) -> None:
        """Try a claim once and write down how it ended, whatever happens."""
        bound = {"work": claim.id, "kind": claim.kind, "job": claim.job_id, "fence": claim.fence}
        told = {"headstart.work.id": claim.id, "headstart.job.id": claim.job_id or ""}
        context, began = self.context, time.monotonic()
        named = tracing.span(f"work {claim.kind}", kind="consumer", **told)
        with tracing.following(claim.origin, **bound), named as current:
            self._try(claim, current)
        seconds = time.monotonic() - began
        context.usage.count(claim.organisation_id, "worker_seconds", claim.kind, seconds)
        self._announce()
        self._warm()

    def _announce(self) -> None:
        """Ring wherever work waits: what has ended may have been what it waited for."""
        if self.context.settings.embedded:
            return
        try:
            with reading(self.context.sessions) as session:
                more = work.waiting(session, self.context.settings.lanes)
        except (HeadstartError, SQLAlchemyError) as error:
            log.warning("doorbells not rung", reason=error)
            return
        self.context.doorbell.ring(more)

    def _try(self, claim: Claim, current: tracing.TraceSpan) -> None:
        context = self.context
        held = Lease(context.sessions, claim, context.settings, context.pulse.beat)
        kind = kind_of(claim)
        may_pass = context.settings.lanes.among(KINDS) if kind.makes_way else ()
        attempt = Attempt(context, claim, held, makes_way_to=may_pass)
        try:
            with held, storage_errors():
                kind.run(attempt)
        except LostClaimError:
            log.info("claim lost, result discarded")
        except (DrainedError, MadeWayError) as error:  # it goes on later: nothing is wrong
            log.info("attempt put off", reason=repr(error))
            self._record(claim, error)
        except Exception as error:  # a poison row must not end the loop
            expected = isinstance(error, (HeadstartError, ChildCrashedError))
            log.warning("attempt failed", reason=error, exc_info=not expected)
            current.fail(error)
            self._record(claim, error)
        else:
            return
        attempt.outbox.take_back(context.sessions)

    def _record(self, claim: Claim, error: Exception) -> None:
        """Write down how a try ended; while that is impossible, wait. What cannot be written down
        for another reason is left to its lease: it must not end the loop, and with it all others'
        work.
        """
        alone = self.context.settings.embedded
        try:
            self.context.commit_failure(
                lambda session: endings.conclude(session, claim, error, alone=alone)
            )
        except LostClaimError:
            log.info("claim lost before its failure was written")
        except (HeadstartError, SQLAlchemyError, DrainedError) as failure:
            expected = not isinstance(failure, SQLAlchemyError)
            log.warning("a failed try is left to its lease", reason=failure, exc_info=not expected)


def _begun(session: Session, claim: Claim, *, alone: bool) -> bool:
    """Whether there is anything left to run. Where a work cannot so much as begin, that is how its
    try ended; the claims of all others are another matter.
    """
    begun: list[bool] = []
    told = {"work": claim.id, "kind": claim.kind}
    error = apart(session, lambda: begun.append(_begin(session, claim)), **told)
    if error is not None:
        apart(session, lambda: endings.conclude(session, claim, error, alone=alone), **told)
    return any(begun)


def _begin(session: Session, claim: Claim) -> bool:
    """Whether there is anything left to run; work that nobody needs any more ends here."""
    begun = kind_of(claim).begin(session, claim)
    if not begun and work.held(session, claim):
        work.finish(session, claim, "cancelled")
    return begun


def main(child: str = "worker.tensors") -> int:
    """Run until SIGTERM or SIGINT; the handler only sets a flag, since it may run anywhere."""
    settings = settings_or_exit(with_folder=True)
    configure_logs(settings.log_level)
    tracing.collect(settings.otlp_endpoint, "trainer")
    signals: list[int] = []

    def on_signal(number: int, _frame: FrameType | None) -> None:
        signals.append(number)

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    context = open_context(settings, child=child)
    return run_until(context, lambda: bool(signals))


def run_until(context: Context, stopped: Callable[[], bool]) -> int:
    """Run a trainer in a thread until `stopped`; 0 if it ended so or for want of work, else 1."""
    loop = Trainer(context)
    thread = threading.Thread(target=loop.run, name="trainer")
    thread.start()
    while thread.is_alive():
        thread.join(0.1)
        if stopped():
            context.stop.request()
            context.bell.ring()
    return 0 if context.stop.requested or loop.idled else 1
