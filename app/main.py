"""The application: rooms behind one gate. `uvicorn app.main:app`; importing this loads no torch."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from functools import cache, partial
from typing import Any

from fastapi import APIRouter, FastAPI
from pydantic import ValidationError
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session
from starlette.routing import BaseRoute

from app.accounts.audit import router as audit_log
from app.accounts.endpoints import me
from app.accounts.endpoints import router as accounts
from app.accounts.organisations import router as organisations
from app.accounts.usage import router as usage
from app.batches.endpoints import router as batches
from app.batches.requests.endpoints import router as request_batches
from app.compat.custom_vision.spelling import Spelling
from app.compat.endpoints import router as compat
from app.compat.label_studio.pulling import pulling
from app.console.docs import router as docs
from app.console.guide_pages import router as guide
from app.console.pages import router as console
from app.core.errors import HeadstartError
from app.datasets.endpoints import router as datasets
from app.datasets.files import router as files
from app.datasets.in_parts.endpoints import router as uploads
from app.datasets.removal import remove_expired
from app.feedback import applying
from app.feedback.drift import router as drift
from app.feedback.endpoints import router as feedback
from app.feedback.logged import router as logged
from app.feedback.recording import recording
from app.feedback.retention import remove_logged
from app.feedback.watching import watch_quality
from app.hooks.endpoints import router as hooks
from app.hooks.outbound import certificates_or_exit
from app.hooks.scheduler import scheduling
from app.hooks.webhooks import router as webhooks
from app.http import exception_handlers, openapi
from app.http.body import Pace
from app.http.dependencies import Services
from app.http.front import Front
from app.http.gate import Gate
from app.http.keyring import Keyring
from app.http.network import cors
from app.http.rates import Rates
from app.http.resolver import Resolver
from app.http.waiting import Waiting, let_go_on_signals
from app.infra import weights
from app.infra.database import make_sessions, open_engine
from app.infra.inference_statistics import InferenceStatistics
from app.infra.orm import HookRow
from app.infra.predictor_client import open_predictor
from app.infra.probe import Probe
from app.infra.queue import open_doorbell
from app.infra.remembered import Remembered
from app.infra.repositories.audit.unwritten import UnwrittenDeeds
from app.infra.repositories.live.buffer import PredictionBuffer
from app.infra.repositories.live.feedback import pending
from app.infra.repositories.retraining.agreement import ShadowTally
from app.infra.repositories.usage import stored
from app.infra.repositories.usage.tally import UsageTally
from app.infra.settings import Settings, make_folder, settings_or_exit, split_list
from app.infra.storage import open_storage, tidy
from app.infra.telemetry import tracing
from app.infra.telemetry.logs import configure_logs
from app.infra.turns import Builds, Turns
from app.jobs.endpoints import router as jobs
from app.jobs.schemas import NewJob
from app.jobs.service import create as create_job
from app.models.aliases import router as aliases
from app.models.catalogue import router as catalogue
from app.models.endpoints import router as models
from app.models.promotions import router as promotions
from app.operations.deletions import contents
from app.operations.deletions import router as deletions
from app.operations.health import router as health
from app.operations.metrics import Measure
from app.operations.sealed import open_vault, tell_advice
from app.operations.system import router as system
from app.operations.tidying import tidied
from app.operations.traced import Traced
from app.predictions.endpoints import router as predictions
from app.predictions.hot_path import HotPath

_LOOKS_BYTES = 32 * 1024 * 1024

ROOMS = (
    accounts,
    organisations,
    contents,
    deletions,
    usage,
    me,
    audit_log,
    datasets,
    files,
    uploads,
    jobs,
    models,
    aliases,
    promotions,
    feedback,
    logged,
    drift,
    catalogue,
    hooks,
    webhooks,
    predictions,
    compat,
    batches,
    request_batches,
    health,
    system,
    docs,
    console,
    guide,
)


@cache
def _routes() -> list[BaseRoute]:
    """Every room's routes: one list for all apps of a process, as FastAPI derives what a request
    and an answer hold from each at its first use."""
    routes = APIRouter()
    for room in ROOMS:
        routes.include_router(room)
    return routes.routes


def _lifespan(settings: Settings) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    """What an app holds and does beside requests, from its start to its stop."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        configure_logs(settings.log_level)
        tracing.collect(settings.otlp_endpoint, "app")
        app.state.services = held = open_services(settings)
        try:
            tell_advice(sessions=held.sessions, vault=held.vault, settings=settings)
            expired = partial(remove_expired, held)
            copies = partial(tidy, settings, held.storage)
            async with AsyncExitStack() as running:
                await running.enter_async_context(tidied(copies))
                idle = partial(held.looks.forget_idle, 3600.0)
                await running.enter_async_context(tidied(idle))
                for sweep in (expired, held.keyring.note_used):
                    await running.enter_async_context(tidied(sweep, every=60.0))
                await running.enter_async_context(metered(held))
                await running.enter_async_context(in_use(held))
                with let_go_on_signals(held.waiting), scheduling(held):
                    yield
        finally:
            await held.waiting.close()
            await held.predictor.close()
            held.doorbell.close()
            held.engine.dispose()

    return lifespan


def create_app(settings: Settings | None = None) -> FastAPI:
    """A new application on `settings`; connections open when it starts and close when it stops."""
    settings = settings or settings_or_exit()
    certificates_or_exit()

    app = FastAPI(
        title="Headstart",
        summary="Fine-tuning-as-a-service on few examples.",
        version="0.1.0",
        lifespan=_lifespan(settings),
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        servers=[{"url": settings.root_path or "/"}],
    )
    exception_handlers.register(app)
    app.router.routes.extend(_routes())
    app.add_middleware(HotPath)
    app.add_middleware(
        Gate,
        keyring=lambda: app.state.services.keyring,
        rates=Rates(settings.broker_url),
        max_body=settings.max_request_bytes,
        max_upload=settings.max_upload_bytes,
        pace=Pace(settings.upload_grace_seconds, settings.upload_min_bytes_per_second),
    )
    app.add_middleware(Spelling)
    app.add_middleware(Measure)
    if settings.otlp_endpoint:
        app.add_middleware(Traced)
    cors.allow(app, split_list(settings.cors_origins))
    app.add_middleware(
        Front, root_path=settings.root_path, trusted=split_list(settings.trusted_proxies)
    )
    openapi.complete(app)
    return app


@asynccontextmanager
async def in_use(held: Services) -> AsyncIterator[None]:
    """What goes on beside requests for models in use: their log, its end, limits, annotations."""
    logged, quality = partial(remove_logged, held), partial(watch_quality, held, {})
    async with (
        tidied(logged, every=60.0),
        tidied(quality, every=2.0),
        recording(held),
        pulling(held),
    ):
        yield


@asynccontextmanager
async def metered(held: Services) -> AsyncIterator[None]:
    """What was counted, and audit entries that wait, are written down, at the end too."""
    flush = partial(held.usage.flush, held.sessions)
    deeds = partial(held.unwritten_deeds.flush, held.sessions)
    try:
        async with (
            tidied(flush, every=5.0),
            tidied(deeds, every=5.0),
            tidied(partial(stored.record, held.sessions)),
        ):
            yield
    finally:
        for last in (flush, deeds):
            with suppress(HeadstartError, SQLAlchemyError):
                last()


def open_services(settings: Settings) -> Services:
    """Connect to everything that the settings name."""
    make_folder(settings.data_dir)
    weights.tell_absent_folder(settings)
    engine = open_engine(settings.database)
    sessions = make_sessions(engine)
    storage, predictor = open_storage(settings), open_predictor(settings)
    return Services(
        settings=settings,
        engine=engine,
        sessions=sessions,
        storage=storage,
        doorbell=open_doorbell(settings),
        keyring=Keyring(sessions, settings),
        vault=open_vault(settings, sessions),
        predictor=predictor,
        waiting=Waiting(engine),
        resolver=Resolver(sessions),
        turns=Turns(),
        builds=Builds(),
        probe=Probe(settings, sessions, storage=storage, predictor=predictor),
        statistics=InferenceStatistics(),
        looks=Remembered(_LOOKS_BYTES),
        agreement=ShadowTally(),
        usage=UsageTally(),
        unwritten_deeds=UnwrittenDeeds(),
        prediction_log=PredictionBuffer(),
        make_job=partial(_make_job, settings),
        pending_feedback=pending,
        apply_feedback=_apply_feedback,
    )


def _apply_feedback(services: Services, hook: HookRow) -> None:
    """Give a hook's dataset what its alias was told; one that is gone, the run itself reports."""
    try:
        given = applying.Given(alias=hook.alias, audited_only=hook.audited_only)
        applying.apply(services, hook.organisation_id, given, hook.dataset_id)
    except HeadstartError as error:
        if error.code != "not_found":
            raise


def _make_job(
    settings: Settings, session: Session, body: Mapping[str, Any], organisation_id: str
) -> str:
    """A hook's job. Raises what a job's request would raise."""
    try:
        new = NewJob.model_validate(body)
    except ValidationError as error:
        first = error.errors()[0]
        param = ".".join(["job", *(str(part) for part in first["loc"])])
        raise HeadstartError("invalid_request", f"{param}: {first['msg']}", param=param) from error
    made = create_job(session, new, organisation_id=organisation_id, settings=settings)
    return made.job.id


app = create_app()
