"""What makes hooks run and events leave: one scheduler an app process, any number of them at once.

Due work is claimed by the code that trainers claim with, so that of two schedulers one has it; one
that dies loses its lease, and another takes over.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial

import structlog
from sqlalchemy.exc import SQLAlchemyError

from app.core.errors import HeadstartError
from app.core.ids import new_id
from app.hooks import delivery, endings, new_labels, runs
from app.http.dependencies import Services, writing
from app.infra.database import apart, reading, transaction
from app.infra.repositories import work
from app.infra.repositories.retraining import hook_runs, webhooks
from app.infra.repositories.work import Claim, LostClaimError

POLL_SECONDS = 0.25
LOOK_SECONDS = 1.0
AT_ONCE = 4
"""Deliveries that wait for their receivers at the same time."""
OWN_AT_ONCE = 2
"""Of these, an organisation's at most: its slow receivers leave others a way out."""
RUNS_AT_ONCE = 4
"""Runs that begin at the same time, one an organisation: each may first apply much feedback."""
DELIVERY_SECONDS = 30.0
"""A delivery's lease: it ends after 15 seconds."""
_LONGEST_PAUSE = 60.0
_GIVE_UP = 10
log = structlog.get_logger()


class Scheduler:
    """Claims and does what is due, in threads of its own, until it is stopped."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._name = f"scheduler:{new_id('')[-10:]}"
        self._stop = threading.Event()
        self._sending: dict[Future[None], Claim] = {}
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="webhook")
        self._runs = ThreadPoolExecutor(RUNS_AT_ONCE, thread_name_prefix="run")
        self._beginning: dict[Future[None], Claim] = {}
        self._beaten = 0.0
        self._thread = threading.Thread(target=self._run, name="scheduler", daemon=True)
        self._looking = threading.Thread(target=self._look, name="looking", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()
        self._looking.start()

    def stop(self) -> None:
        """End what is under way, and begin nothing more."""
        self._stop.set()
        self._thread.join()
        self._looking.join()
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._runs.shutdown(wait=True, cancel_futures=True)
        with suppress(HeadstartError, SQLAlchemyError):
            self._services.agreement.flush(self._services.sessions)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                busy = self._turn()
            except Exception as error:  # whatever it is, the next turn may be another's
                expected = isinstance(error, HeadstartError | OSError)
                log.warning("the scheduler waits", reason=error, exc_info=not expected)
                busy = False
                self._stop.wait(1.0)
            if not busy:
                self._stop.wait(POLL_SECONDS)

    def _look(self) -> None:
        """What needs a look at data, which may be long: nothing that is due waits for it."""
        while not self._stop.wait(LOOK_SECONDS):
            try:
                self._services.agreement.flush(self._services.sessions)
                new_labels.look(self._services)
            except Exception as error:  # whatever it is, the next look may be at another's
                expected = isinstance(error, HeadstartError | OSError)
                log.warning("new labels wait", reason=error, exc_info=not expected)

    def _turn(self) -> bool:
        """Do what is due once; whether there was anything."""
        self._keep()
        with reading(self._services.sessions) as session:
            due = work.due(session, kinds=[hook_runs.KIND, webhooks.KIND])
        stepped = hook_runs.KIND in due and self._step()
        sent = webhooks.KIND in due and self._deliver()
        return stepped or sent

    def _step(self) -> bool:
        """A hook's next step: a schedule's here and now, a run's in a thread if one is free."""
        if len(self._beginning) >= RUNS_AT_ONCE:
            return False
        claim = self._claim(hook_runs.KIND)
        if claim is None:
            return False
        if "schedule" in claim.payload:
            self._attempt(claim, runs.come_due)
        elif any(one.organisation_id == claim.organisation_id for one in self._beginning.values()):
            with transaction(self._services.sessions) as session:
                work.give_back(session, claim, delay=POLL_SECONDS)
            return False
        else:
            self._beginning[self._runs.submit(self._attempt, claim, runs.begin)] = claim
        return True

    def _keep(self) -> None:
        """Forget the runs that have begun, and keep the claims on those that take longer."""
        self._beginning = {one: claim for one, claim in self._beginning.items() if not one.done()}
        lease = self._services.settings.lease_seconds
        if time.monotonic() - self._beaten < lease / 3:
            return
        self._beaten = time.monotonic()
        for claim in self._beginning.values():
            with suppress(LostClaimError), transaction(self._services.sessions) as session:
                work.heartbeat(session, claim, lease_seconds=lease)

    def _deliver(self) -> bool:
        """The next delivery, in a thread if one is free, of who has not its share of them yet."""
        self._sending = {one: claim for one, claim in self._sending.items() if not one.done()}
        if len(self._sending) >= AT_ONCE:
            return False
        held = Counter(claim.organisation_id for claim in self._sending.values())
        full = [organisation for organisation, n in held.items() if n >= OWN_AT_ONCE]
        claim = self._claim(webhooks.KIND, but=full)
        if claim is None:
            return False
        self._sending[self._pool.submit(self._attempt, claim, delivery.deliver)] = claim
        return True

    def _claim(self, kind: str, but: Sequence[str] = ()) -> Claim | None:
        usual = self._services.settings.lease_seconds
        lease = DELIVERY_SECONDS if kind == webhooks.KIND else usual
        with transaction(self._services.sessions) as session:
            _, spent = work.rescue(session, kinds=[kind])
            for lost in spent:
                apart(session, partial(endings.spent, session, lost), work=lost.id)
            return work.claim(
                session, worker=self._name, kinds=[kind], lease_seconds=lease, but=but
            )

    def _attempt(self, claim: Claim, step: Callable[[Services, Claim], None]) -> None:
        """Do a step; whatever happens to it, it is tried again."""
        try:
            step(self._services, claim)
        except LostClaimError:
            log.info("claim lost, result discarded", work=claim.id)
        except Exception as error:  # a poison row must not end the loop
            expected = isinstance(error, HeadstartError)
            log.warning("step failed", work=claim.id, reason=error, exc_info=not expected)
            self._again(claim, error)

    def _again(self, claim: Claim, error: Exception) -> None:
        """Queue the work once more, after ever longer; a run that keeps failing fails."""
        told = error.message if isinstance(error, HeadstartError) else "an unexpected error"
        errors = claim.errors + 1
        pause = min(_LONGEST_PAUSE, 2.0**errors)
        try:
            with writing(self._services) as session:
                if errors >= _GIVE_UP and "run" in claim.payload:
                    endings.give_up(session, claim, f"it could not begin: {told}")
                    return
                work.give_back(session, claim, delay=pause, errors=errors)
        except (LostClaimError, HeadstartError, SQLAlchemyError) as failure:
            log.warning("a failed step is left to its lease", reason=failure)


@contextmanager
def scheduling(services: Services) -> Iterator[None]:
    """Schedule for as long as the block lasts."""
    scheduler = Scheduler(services)
    scheduler.start()
    try:
        yield
    finally:
        scheduler.stop()
