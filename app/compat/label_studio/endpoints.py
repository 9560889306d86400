"""`/label-studio/{alias}/…`: what Label Studio asks of an ML backend."""

from __future__ import annotations

import re
from functools import partial
from typing import Annotated, Any, Literal

from anyio import to_thread
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import from_json

from app.compat.label_studio.config import ChoiceConfig, read_config
from app.compat.label_studio.studio import Studio
from app.compat.label_studio.tasks import inputs_of
from app.compat.label_studio.words import ChoiceWords, Says
from app.core.errors import HeadstartError
from app.core.ids import new_id
from app.core.messages import Input, Options
from app.http.dependencies import Predicter, Services, ServicesDep, Writer, writing
from app.http.openapi import path_id, problems
from app.http.routes import StrictRoute
from app.infra.database import reading
from app.infra.orm import LabellingProjectRow
from app.infra.repositories import models, sealing
from app.infra.repositories.live import labelling, watched
from app.infra.repositories.retraining import hook_runs
from app.infra.repositories.targets import ResolvedModel
from app.predictions.service import PREDICTION, Question, ask, while_connected

router = APIRouter(route_class=StrictRoute, prefix="/label-studio/{alias}", tags=["label studio"])
Name = Annotated[str, path_id("The alias whose model is asked.", "cells@production")]
_PROBLEMS = problems("not_found", "not_ready", "invalid_json")


class LabelStudioHealth(BaseModel):
    """The backend answers."""

    status: Literal["UP"] = "UP"
    model_class: str = "Headstart"
    model_version: str


class LabelStudioSetup(BaseModel):
    """A project that connects to the backend."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "examples": [
                {
                    "project": "7.1764000000",
                    "schema": '<View><Image name="img" value="$image"/>'
                    '<Choices name="kind" toName="img"><Choice value="RBC"/></Choices></View>',
                    "hostname": "https://labels.example.com",
                    "access_token": "1f0c…",
                }
            ]
        },
    )

    project: str = Field(max_length=100)
    label_config: str = Field("", alias="schema")
    hostname: str = Field("", max_length=2000)
    access_token: str | None = Field(None, max_length=500)


class LabelStudioVersion(BaseModel):
    """The model that answers now."""

    model_config = ConfigDict(protected_namespaces=())

    model_version: str


class LabelStudioTasks(BaseModel):
    """Tasks to predict."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "examples": [
                {
                    "tasks": [{"id": 1, "data": {"text": "my card has not come"}}],
                    "project": "7.1764000000",
                    "label_config": '<View><Text name="t" value="$text"/>'
                    '<Choices name="kind" toName="t"><Choice value="card"/></Choices></View>',
                }
            ]
        },
    )

    tasks: list[dict[str, Any]] = Field(max_length=10_000)
    project: str | None = Field(None, max_length=100)
    label_config: str | None = None


class LabelStudioChoice(BaseModel):
    """One region of a prediction: choices."""

    from_name: str
    to_name: str
    type: Literal["choices"] = "choices"
    value: dict[str, list[str]]


class LabelStudioPrediction(BaseModel):
    """The prediction of one task; `result` is empty where there is none."""

    model_config = ConfigDict(protected_namespaces=())

    result: list[LabelStudioChoice]
    score: float
    model_version: str


class LabelStudioResults(BaseModel):
    """A prediction a task, in the tasks' order."""

    results: list[LabelStudioPrediction]


class LabelStudioEvent(BaseModel):
    """Something has happened in a project."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={"examples": [{"action": "ANNOTATION_CREATED", "project": {"id": 7}}]},
    )

    action: str = Field(max_length=100)
    project: Any = None


class LabelStudioTaken(BaseModel):
    """What becomes of an event."""

    status: Literal["pulling", "ignored"]


class LabelStudioVersions(BaseModel):
    """The versions that may be asked for: the one that the alias means."""

    versions: list[str]


class LabelStudioValid(BaseModel):
    """The configuration can be answered."""

    valid: Literal[True] = True


@router.get("", responses=_PROBLEMS)
@router.get("/health", responses=_PROBLEMS)
async def label_studio_health(
    alias: Name, caller: Predicter, services: ServicesDep
) -> LabelStudioHealth:
    """Whether the backend is up, and which model answers."""
    resolved = await services.resolver.resolve(caller.organisation_id, alias)
    return LabelStudioHealth(model_version=resolved.id)


@router.post("/setup", responses=_PROBLEMS)
async def label_studio_setup(
    alias: Name, body: LabelStudioSetup, caller: Writer, services: ServicesDep
) -> LabelStudioVersion:
    """Connect a project; its annotations are pulled from then on."""
    resolved = await services.resolver.resolve(caller.organisation_id, alias)
    if body.label_config:
        await check_config(services, caller.organisation_id, resolved, body.label_config)

    def put() -> None:
        with writing(services) as session:
            labelling.put(
                session,
                services.vault,
                organisation_id=caller.organisation_id,
                alias=alias,
                project=project_number(body.project),
                hostname=body.hostname or None,
                token=body.access_token,
                label_config=body.label_config or None,
                pending=True if body.access_token and body.hostname else None,
            )

    await to_thread.run_sync(put)
    return LabelStudioVersion(model_version=resolved.id)


def project_number(told: Any) -> str:
    """A project's number out of an object, a number or `7.1764000000`."""
    if isinstance(told, dict):
        told = told.get("id")
    return str("" if told is None else told).partition(".")[0][:100]


@router.post("/predict", responses=_PROBLEMS)
async def label_studio_predict(
    alias: Name,
    body: LabelStudioTasks,
    caller: Predicter,
    services: ServicesDep,
    *,
    request: Request,
    response: Response,
) -> LabelStudioResults:
    """Predict tasks. One that cannot be read has an empty result: the others have theirs.

    None goes into the alias's prediction log: what is to be labelled is not what is asked in use,
    and drift, audits and accuracy are of that alone.
    """
    tenant = caller.organisation_id
    resolved = await services.resolver.resolve(tenant, alias)
    studio, text = await _connected(services, tenant, alias, body)
    says = await says_of(services, tenant, resolved)
    config = read_config(text, resolved.modality, says)
    config.check_holds(several=says.several)
    words = ChoiceWords.between(config.choices, says.labels)
    words.check()
    inputs = await inputs_of(body.tasks, config, resolved, studio)
    most = services.settings.max_predict_items
    results: list[LabelStudioPrediction] = []
    for start in range(0, len(inputs), most):
        question = Question(
            id=new_id(PREDICTION),
            tenant=tenant,
            model=alias,
            options=Options(),
            inputs=_told(tuple(inputs[start : start + most])),
        )
        answer = await while_connected(request.receive, ask(services, question))
        response.headers.update(answer.headers)
        told = from_json(answer.body)
        results += [_result(item, config, words, told["model"]) for item in told["data"]]
    return LabelStudioResults(results=results)


def _told(part: tuple[Input, ...]) -> Any:
    return lambda _resolved: (part, False)


async def _connected(
    services: Services, tenant: str, alias: str, body: LabelStudioTasks
) -> tuple[Studio, str]:
    """Where the tasks' files are, and the labelling configuration."""

    def find() -> Any:
        with reading(services.sessions) as session:
            number = project_number(body.project)
            known = {"organisation_id": tenant, "alias": alias}
            if number:
                return labelling.find(session, **known, project=number)
            return labelling.latest(session, **known)

    row = await to_thread.run_sync(find)
    text = body.label_config or (row.label_config if row is not None else "")
    if row is None:
        return Studio("", None, services.settings), text
    return studio_of(services, row), text


def studio_of(services: Services, row: LabellingProjectRow) -> Studio:
    """Where a project lives; its token is opened when it is needed first."""
    token = row.token
    told = None if token is None else partial(sealing.told, services.vault, token, row)
    return Studio(row.hostname, told, services.settings)


def _result(
    item: dict[str, Any], config: ChoiceConfig, words: ChoiceWords, model: str
) -> LabelStudioPrediction:
    """A prediction in Label Studio's words; of classes that are no choice the next one's."""
    ranked = [one for one in item.get("predictions", ()) if one["label"] in words.choice_of]
    if "labels" in item:
        ranked = [one for one in ranked if one["label"] in item["labels"]]
    if config.single or "labels" not in item:
        ranked = ranked[:1]
    known = [words.choice_of[one["label"]] for one in ranked]
    chosen = LabelStudioChoice(
        from_name=config.from_name, to_name=config.to_name, value={"choices": known}
    )
    return LabelStudioPrediction(
        result=[chosen] if known else [],
        score=float(ranked[0]["probability"]) if known else 0.0,
        model_version=model,
    )


async def says_of(services: Services, tenant: str, resolved: ResolvedModel) -> Says:
    """What a model says."""

    def find() -> Says:
        with reading(services.sessions) as session:
            row = models.find(session, organisation_id=tenant, name=resolved.id)
            return Says(list(row.card.get("labels", [])), row.label_mode == "multi_label")

    return await to_thread.run_sync(find)


async def check_config(services: Services, tenant: str, resolved: ResolvedModel, text: str) -> None:
    """Raise invalid_request for a configuration that the model could not answer in."""
    says = await says_of(services, tenant, resolved)
    config = read_config(text, resolved.modality, says)
    config.check_holds(several=says.several)
    config.check_one(several=says.several)
    ChoiceWords.between(config.choices, says.labels).check()


_PULLED = re.compile(r"(ANNOTATIONS?_(CREATED|UPDATED|DELETED)|START_TRAINING|PROJECT_UPDATED)")


@router.post("/webhook", status_code=201, responses=_PROBLEMS)
async def label_studio_webhook(
    alias: Name, body: LabelStudioEvent, caller: Writer, services: ServicesDep
) -> LabelStudioTaken:
    """Have the project's annotations pulled: nothing that the call itself says is believed.

    START_TRAINING also calls the alias's hooks that take inbound calls.
    """
    await services.resolver.resolve(caller.organisation_id, alias)
    action = body.action.upper()
    if _PULLED.fullmatch(action) is None:
        return LabelStudioTaken(status="ignored")
    project = project_number(body.project)
    found = await to_thread.run_sync(
        _note, services, caller.organisation_id, alias, project, action
    )
    return LabelStudioTaken(status="pulling" if found else "ignored")


def _note(services: Services, organisation_id: str, alias: str, project: str, action: str) -> bool:
    with writing(services) as session:
        known = {"organisation_id": organisation_id, "alias": alias}
        row = labelling.find(session, **known, project=project) if project else None
        row = row or labelling.latest(session, **known)
        if row is None:
            return False
        training = action == "START_TRAINING"
        told = {**row.told, "train": True} if training else row.told
        labelling.put(
            session, services.vault, **known, project=row.project, pending=True, told=told
        )
        return True


def start_training(services: Services, organisation_id: str, alias: str) -> None:
    """Call the alias's hooks that take inbound calls."""
    cause = {"type": "inbound", "reason": "Label Studio: START_TRAINING"}
    with writing(services) as session:
        for hook in watched.hooks_of(
            session, "inbound", organisation_id=organisation_id, alias=alias
        ):
            hook_runs.trigger(session, hook, cause)


@router.post("/validate", responses=_PROBLEMS)
async def label_studio_validate(
    alias: Name, body: dict[str, Any], caller: Predicter, services: ServicesDep
) -> LabelStudioValid:
    """Whether a labelling configuration (`config`) has choices over what the model reads."""
    resolved = await services.resolver.resolve(caller.organisation_id, alias)
    told = body.get("config") or body.get("label_config") or body.get("schema")
    if not isinstance(told, str):
        raise HeadstartError("invalid_request", "send the labelling configuration", param="config")
    await check_config(services, caller.organisation_id, resolved, told)
    return LabelStudioValid()


@router.get("/versions", responses=_PROBLEMS)
@router.post("/versions", responses=_PROBLEMS)
async def label_studio_versions(
    alias: Name, caller: Predicter, services: ServicesDep
) -> LabelStudioVersions:
    """Which versions there are to ask: the alias means one."""
    resolved = await services.resolver.resolve(caller.organisation_id, alias)
    return LabelStudioVersions(versions=[resolved.id])
