"""One try at one claim: what its steps may ask, and when they must let go."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy.orm import Session

from app.core import manifest
from app.core.backbones import JOINT
from app.core.errors import HeadstartError
from app.core.manifest import Example
from app.infra import weights
from app.infra.orm import DatasetVersionRow
from app.infra.repositories import work
from app.infra.repositories.picking import IDLE
from app.infra.repositories.work import Claim
from app.infra.storage import fetch_manifest, staging
from worker.formats.channel import Message
from worker.trainer.context import Context, DrainedError
from worker.trainer.lease import Lease
from worker.trainer.outbox import Outbox
from worker.trainer.tensor_process import EngineFacts

T = TypeVar("T")

_LOOK_SECONDS = 0.1
_TURN_SECONDS = 5.0
"""After which others' work that is as urgent may pass: how long an organisation's goes on by itself
must not hang on how much it is. What embeds has as long again as it took to get there.
"""
_GRACE_SECONDS = 60.0
_DEAF_SECONDS = 1.0
"""A look that took longer has waited for the database: nothing was heard meanwhile."""
_MOST_TOGETHER = 64
"""Inputs after which an embedding says how far it is, at the latest."""
_SHA256 = re.compile(rb"[0-9a-f]{64}")


class Attempt:
    """A claim, its lease and the context; `makes_way_to` are the kinds of work that may pass it."""

    def __init__(
        self, context: Context, claim: Claim, lease: Lease, *, makes_way_to: Collection[str] = ()
    ) -> None:
        self.context = context
        self.claim = claim
        self.outbox = Outbox(context.storage)
        """Where files go that a commit of this try will name."""
        self.versions_read: set[str] = set()
        """The versions whose examples this try has looked at."""
        self._lease = lease
        self._makes_way_to = tuple(makes_way_to)
        self._makes_way = False
        self._looked = 0.0
        self._began = time.monotonic()
        self._lead: float | None = None
        """Seconds until it began to embed; None before."""

    @property
    def staging(self) -> Path:
        """Where scratch folders of this try are made."""
        return staging(self.context.settings)

    def guard(self) -> None:
        """Raises LostClaimError or DrainedError; ends a request early where it must make way."""
        self._hold()
        if self.is_passed():
            self.context.child.stop_request()

    def _hold(self) -> None:
        self._lease.check()
        self.context.stop.check()
        if self.context.stop.requested and self.claim.priority > 0:
            raise DrainedError

    def is_passed(self) -> bool:
        """Whether to stop where one can go on later: others' work is to pass, or the trainer stops.

        It stays so: what is seen while a request is under way counts after it, too.
        """
        if self._makes_way_to and not self._makes_way:
            self._makes_way = self._must_make_way()
        return self._makes_way

    def _must_make_way(self) -> bool:
        """Whether to stop after this batch; what is embedded by then is kept."""
        if self.context.stop.requested:
            return True
        now = time.monotonic()
        if not self._may_be_passed(now) or now - self._looked < self._patience():
            return False
        self._looked = now
        return self.context.read(lambda session: self._others_wait(session, now))

    def _may_be_passed(self, now: float) -> bool:
        return self.claim.priority > 0 or self._has_had_its_turn(now)

    def _has_had_its_turn(self, now: float) -> bool:
        lead = self._lead or 0.0
        return now - self._began > lead + max(_TURN_SECONDS, lead)

    def _begin_to_embed(self) -> None:
        """What is kept begins here: to read a large dataset again must not be all of each turn."""
        if self._lead is None:
            self._lead = time.monotonic() - self._began
            self._makes_way = self._makes_way and self.claim.priority > 0

    def _others_wait(self, session: Session, now: float) -> bool:
        """Whether something more urgent waits or, once the turn is over, others' of the same."""
        own, lanes = self.claim.priority, self.context.settings.lanes
        if work.urgent(session, kinds=self._makes_way_to, before=own, lanes=lanes):
            return True
        if own >= IDLE or not self._has_had_its_turn(now):
            return False
        but = self.claim.organisation_id
        return work.urgent(session, kinds=self._makes_way_to, before=own + 1, lanes=lanes, but=but)

    def _patience(self) -> float:
        """Seconds between two looks: none where a commit has just been seen."""
        if self.context.bell.changed():
            self.context.bell.arm()
            return 0.0
        return _LOOK_SECONDS if self.context.engine.dialect.name != "sqlite" else 1.0

    def engine(self, backbone: str, *, fitted: str = "") -> EngineFacts:
        """What the tensor process says of a backbone, as the engine `fitted` computes if it can.

        Of several backbones `a+b` it says it of each. Raises backbone_unavailable.
        """
        names = [backbone]
        if JOINT in backbone:
            spec = weights.get(backbone, self.context.settings.weights_dir)
            names = [one.name for one in spec.parts]
        child = self.context.child
        facts = [child.engine(name, self.guard, fitted=fitted) for name in names]
        return facts[0] if len(facts) == 1 else EngineFacts.combined(facts)

    def ask(
        self, request: Message, on_message: Callable[[Message], None] | None = None
    ) -> dict[str, Any]:
        """A request to the tensor process, given up when the claim is lost.

        Where a try of the same work has ended the process, a picture may have: all are decoded
        apart, so that one that does it again is a problem of its own.
        """
        told = {**request, "apart": True} if self.claim.crashes else request
        return self.context.child.ask(told, guard=self.guard, on_message=on_message)

    def fit(
        self,
        request: Message,
        on_message: Callable[[Message], None],
        *,
        spent: float = 0.0,
        gives_way: Callable[[], bool] = lambda: False,
    ) -> dict[str, Any]:
        """The same, given up too when it takes longer than others are to wait for the worker, what
        former tries have `spent` included. It is asked to end early once it `gives_way`.

        Raises fit_too_long.
        """
        most = self.context.settings.fit_seconds
        until = time.monotonic() + most - spent

        def guard() -> None:
            self._hold()
            if gives_way():
                self.context.child.stop_request()
            if time.monotonic() > until:
                told = f"the fit took more than {most:g} s, which is HEADSTART_FIT_SECONDS"
                raise HeadstartError(
                    "fit_too_long", f"{told}: ask for fewer steps or epochs, or give fewer examples"
                )

        return self.context.child.ask(request, guard=guard, on_message=on_message)

    def embed(self, request: Message, on_message: Callable[[Message], None]) -> dict[str, Any]:
        """As `ask`, given up when the network says nothing for longer than its inputs may take.

        That it does once it has read what it reads at once; of several networks, once the first has
        read all. The child, which may be in a loop without end, is killed. Raises weights_invalid.
        """
        self._begin_to_embed()
        most, listens_since = self._most_seconds(request), 0.0

        def guard() -> None:
            nonlocal listens_since
            began = time.monotonic()
            self.guard()
            if time.monotonic() - began > _DEAF_SECONDS:
                listens_since = time.monotonic()
            heard = self.context.child.heard
            if heard is not None and time.monotonic() - max(heard, listens_since) > most:
                raise HeadstartError(
                    "weights_invalid",
                    f"{request['backbone']} gave no answer for {most:g} s, and was ended: it does "
                    "not end, or is too large for this machine (HEADSTART_EMBED_SECONDS)",
                )

        told = {**request, "apart": True} if self.claim.crashes else request
        return self.context.child.ask(told, guard=guard, on_message=on_message)

    def _most_seconds(self, request: Message) -> float:
        """What the inputs that are read together may take, and how they are brought there."""
        inputs, joint = len(request["items"]["length"]), JOINT in request["backbone"]
        together = inputs if joint else min(inputs, _MOST_TOGETHER)
        parts = str(request["backbone"]).count(JOINT) + 1
        each: float = self.context.settings.embed_seconds
        return _GRACE_SECONDS + each * together * parts

    def read(self, step: Callable[[Session], T]) -> T:
        """`step` in a reading transaction."""
        return self.context.read(step)

    def commit(self, step: Callable[[Session], T]) -> T:
        """`step` in a writing transaction that holds the fence. Raises LostClaimError."""

        def held(session: Session) -> T:
            work.hold(session, self.claim)
            return step(session)

        return self.context.commit(held)

    def examples(self, version: DatasetVersionRow) -> list[Example]:
        """All examples of a version's manifest, excluded ones too."""
        return list(manifest.load(self._manifest(version)))

    def among(self, version: DatasetVersionRow, contents: Collection[str]) -> list[Example]:
        """The examples of a version whose content is one of these sha256s."""
        told = {sha256.encode() for sha256 in contents}
        lines = self._manifest(version).splitlines()
        named = [line for line in lines if not told.isdisjoint(_SHA256.findall(line))]
        return [one for one in manifest.load(b"\n".join(named)) if one.content in contents]

    def chunk(self, version: DatasetVersionRow, start: int, stop: int) -> list[Example]:
        """The examples `start:stop` of a version's manifest."""
        lines = self._manifest(version).splitlines()[start:stop]
        return list(manifest.load(b"\n".join(lines)))

    def _manifest(self, version: DatasetVersionRow) -> bytes:
        self.versions_read.add(version.id)
        storage, sha256 = self.context.storage, version.manifest_sha256
        return fetch_manifest(storage, version.organisation_id, sha256).read_bytes()
