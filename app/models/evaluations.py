"""`/v1/models/{id}/evaluation/examples` and `/comparison`: how good, example by example."""

from __future__ import annotations

from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Query

from app.http.dependencies import Reader, Services, ServicesDep
from app.http.openapi import path_id, problems
from app.http.pages import cursor
from app.http.routes import StrictRoute
from app.http.schemas import DatasetVersion
from app.infra.database import reading
from app.infra.orm import ModelRow
from app.infra.repositories import models
from app.models.comparison import ModelComparison, Outcome, compared
from app.models.held_out import Cell, EvaluatedExamples, answers, page_of

router = APIRouter(route_class=StrictRoute, prefix="/{model}")

_EXAMPLE = "ft:efficientnet_lite0:default:cells:01ke4c0f6v6z2k8m9q3w5x7y1t"
Name = Annotated[str, path_id("The model's id, or an alias.", _EXAMPLE)]
Other = Annotated[
    str,
    Query(
        min_length=1,
        max_length=200,
        pattern=r"^[A-Za-z0-9._:@-]+$",
        description="The other model's id, or an alias.",
        examples=[_EXAMPLE],
    ),
]
After = Annotated[str | None, cursor("ex_", rest="[0-9a-f]{24}")]
Most = Annotated[int, Query(ge=1, le=1000, description="How many examples at most.")]
Label = Annotated[str | None, Query(max_length=256)]


@router.get(
    "/evaluation/examples", responses=problems("not_found", "model_corrupt", "storage_unavailable")
)
async def list_evaluated_examples(
    model: Name,
    caller: Reader,
    *,
    services: ServicesDep,
    expected: Label = None,
    label: Label = None,
    correct: Annotated[bool | None, Query(description="Only the right ones, or the wrong.")] = None,
    after: After = None,
    limit: Most = 100,
) -> EvaluatedExamples:
    """The examples behind the evaluation's figures, and what was answered to each.

    `expected` and `label` choose a cell of the confusion matrix. Held-out ones where the model was
    judged on such; else training examples, each answered by a fit that had not seen it.
    """
    cell = Cell(expected=expected, label=label, correct=correct)

    def read() -> EvaluatedExamples:
        row, dataset = _judged(services, caller.organisation_id, model)
        return page_of(services.storage, row, cell, dataset=dataset, after=after, limit=limit)

    return await to_thread.run_sync(read)


@router.get("/comparison", responses=problems("not_found", "model_corrupt", "storage_unavailable"))
async def compare_models(
    model: Name,
    other: Other,
    caller: Reader,
    *,
    services: ServicesDep,
    outcome: Outcome | None = None,
    after: After = None,
    limit: Most = 100,
) -> ModelComparison:
    """This model and another on the same examples, one by one, and how likely luck explains it.

    `after` is an `example_id`.
    """

    def read() -> ModelComparison:
        organisation_id = caller.organisation_id
        this, dataset = _judged(services, organisation_id, model)
        that, _ = _judged(services, organisation_id, other)
        both = answers(services.storage, this), answers(services.storage, that)
        names = this.id, that.id
        return compared(names, both, dataset=dataset, outcome=outcome, after=after, limit=limit)

    return await to_thread.run_sync(read)


def _judged(
    services: Services, organisation_id: str, name: str
) -> tuple[ModelRow, DatasetVersion | None]:
    """The model, and the version that holds the examples it was judged on, if that is known."""
    with reading(services.sessions) as session:
        row = models.find(session, organisation_id=organisation_id, name=name)
        origin = models.judged_on(session, row)
    if origin is None:
        return row, None
    return row, DatasetVersion(id=origin.dataset_id, version=origin.version)
