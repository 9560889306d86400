"""What endpoints ask for: who calls, a session, the process's services."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Request
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from app.core.identity import Identity, Scope
from app.http.keyring import Keyring
from app.http.resolver import Resolver
from app.http.waiting import Waiting
from app.infra.database import Sessions, reading, repeated, transaction
from app.infra.inference_statistics import InferenceStatistics
from app.infra.orm import HookRow
from app.infra.predictor_client import PredictorClient
from app.infra.probe import Probe
from app.infra.queue import Doorbell
from app.infra.remembered import Remembered
from app.infra.repositories.audit.unwritten import UnwrittenDeeds
from app.infra.repositories.live.buffer import PredictionBuffer
from app.infra.repositories.retraining.agreement import ShadowTally
from app.infra.repositories.usage.tally import UsageTally
from app.infra.settings import Settings
from app.infra.storage import Storage
from app.infra.turns import Builds, Turns
from app.infra.vault import Vault

T = TypeVar("T")
MakeJob = Callable[[Session, Mapping[str, Any], str], str]
PendingFeedback = Callable[[Session, str, str, bool], int]
ApplyFeedback = Callable[["Services", HookRow], None]


@dataclass(frozen=True)
class Services:
    """Everything that a process has one of, opened by `app.main.open_services`."""

    settings: Settings
    engine: Engine
    sessions: Sessions
    storage: Storage
    doorbell: Doorbell
    keyring: Keyring
    vault: Vault
    """What seals the secrets that rows keep."""
    predictor: PredictorClient
    waiting: Waiting
    resolver: Resolver
    turns: Turns
    """What blocks for an organisation's requests."""
    builds: Builds
    """What takes uploads in and makes versions."""
    probe: Probe
    statistics: InferenceStatistics
    looks: Remembered
    """Small pictures, and what versions are like."""
    agreement: ShadowTally
    """What shadows say beside the models that aliases mean."""
    usage: UsageTally
    """What is used, until it is written down."""
    unwritten_deeds: UnwrittenDeeds
    """Audit entries that wait for the database."""
    prediction_log: PredictionBuffer
    """Predictions that are to be written down."""
    make_job: MakeJob
    """Makes a job of a body and an organisation, in the caller's transaction; answers its id."""
    pending_feedback: PendingFeedback
    """How many labels, or audited ones, an organisation's alias has been told and no dataset
    version has yet."""
    apply_feedback: ApplyFeedback
    """Makes a version of a hook's dataset with what its alias has been told, if anything."""


def services(request: Request) -> Services:
    """The process's services."""
    held = request.app.state.services
    assert isinstance(held, Services)
    return held


_SCOPES: dict[Callable[..., object], Scope] = {}


def scope_of(dependency: Callable[..., object]) -> Scope | None:
    """The scope that this dependency requires, if it is one made by `caller`."""
    return _SCOPES.get(dependency)


def caller(scope: Scope) -> Callable[[Request], Identity]:
    """A dependency: the caller, who has `scope`. Raises forbidden."""

    def require(request: Request) -> Identity:
        identity = request.state.identity
        assert isinstance(identity, Identity)
        identity.require(scope)
        return identity

    _SCOPES[require] = scope
    return require


def _asker(request: Request) -> Identity:
    """Whoever reads models or asks them: what a model is called and gives, both must know."""
    identity = request.state.identity
    assert isinstance(identity, Identity)
    if "predict" not in identity.scopes:
        identity.require("read")
    return identity


def _reading(request: Request) -> Iterator[Session]:
    with reading(services(request).sessions) as session:
        yield session


def _writing(request: Request) -> Iterator[Session]:
    with writing(services(request)) as session:
        yield session


@contextmanager
def writing(held: Services) -> Iterator[Session]:
    """One writing transaction for an endpoint that has more to do after its commit."""
    with transaction(held.sessions) as session:
        yield session
    _ring(held, session)


def written(held: Services, step: Callable[[Session], T]) -> T:
    """`step` in one writing transaction, and in another where it was given up for others' sake:
    what it does beside, it does again. For what is changed by many at once.
    """
    used: list[Session] = []

    def noted(session: Session) -> T:
        used[:] = [session]
        return step(session)

    answer = repeated(held.sessions, noted)
    _ring(held, used[0])
    return answer


def _ring(held: Services, session: Session) -> None:
    if added := session.info.pop("work_added", None):
        lanes = held.settings.lanes
        held.doorbell.ring(lanes.of(kind, method=how, backbone=on) for kind, how, on in added)


# `scope="function"`: the commit comes before the reply leaves, so no 200 precedes a failed one.
Reading = Annotated[Session, Depends(_reading, scope="function")]
Writing = Annotated[Session, Depends(_writing, scope="function")]
ServicesDep = Annotated[Services, Depends(services)]
Reader = Annotated[Identity, Depends(caller("read"))]
Writer = Annotated[Identity, Depends(caller("write"))]
Asker = Annotated[Identity, Depends(_asker)]
Predicter = Annotated[Identity, Depends(caller("predict"))]
Admin = Annotated[Identity, Depends(caller("admin"))]
