"""`/v1/datasets/{id}/versions/{n}/statistics` and `/diff`."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from statistics import fmean
from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Path, Query, Response

from app.core.errors import HeadstartError
from app.core.manifest import Example
from app.datasets.looks import statistics, thumbnails
from app.datasets.looks.diff import diff_of
from app.datasets.looks.schemas import (
    Brightness,
    ImageStatistics,
    NearDuplicates,
    TextStatistics,
    VersionDiff,
    VersionStatistics,
)
from app.datasets.lookup import DatasetId, find, usable
from app.datasets.statistics import by_split
from app.http.dependencies import Reader, Services, ServicesDep
from app.http.openapi import problems
from app.http.routes import StrictRoute
from app.infra.repositories.datasets import DatasetSnapshot
from app.uploads import blobs

router = APIRouter(route_class=StrictRoute, prefix="/{dataset_id}/versions/{number}")

Number = Annotated[int, Path(examples=[1])]
_LOOKED_AT = 64
_AT_ONCE = 4
_SMALL = 32
_CODES = ("not_found", "not_ready", "dataset_corrupt", "storage_unavailable")


@router.get(
    "/statistics",
    response_model=VersionStatistics,
    responses=problems("not_found", "dataset_corrupt", "storage_unavailable"),
)
async def get_statistics(
    dataset_id: DatasetId, number: Number, *, caller: Reader, services: ServicesDep
) -> Response:
    """What a version is like: classes by split, sizes, formats, brightness; lengths and scripts of
    texts; and examples that are almost the same."""
    turn = services.turns.of(caller.organisation_id)
    look = partial(find, services, caller, dataset_id, number)
    snapshot = await to_thread.run_sync(look, limiter=turn)
    key = f"statistics {snapshot.version.id} {snapshot.version.manifest_sha256}"
    body = services.looks.get(key)
    if body is None:
        made = await _statistics(services, snapshot)
        body = made.model_dump_json().encode()
        settled = snapshot.version.status != "processing"
        if settled and (made.image is None or made.image.brightness is not None):
            services.looks.put(key, body)
    return Response(body, media_type="application/json")


@router.get("/diff", responses=problems(*_CODES))
def get_diff(
    dataset_id: DatasetId,
    number: Number,
    *,
    caller: Reader,
    services: ServicesDep,
    base: Annotated[
        int | None,
        Query(alias="from", ge=1, lt=2**31, description="The version before, if left out."),
    ] = None,
) -> VersionDiff:
    """What was added, removed, relabelled and moved since another version of the dataset."""
    after = find(services, caller, dataset_id, number)
    _require_settled(after)
    earlier = base or number - 1
    before = find(services, caller, dataset_id, earlier) if earlier else None
    known = usable(services, before) if before is not None else []
    numbers = (before.version.number if before is not None else 0, number)
    return diff_of(known, usable(services, after), dataset_id=dataset_id, numbers=numbers)


def _require_settled(snapshot: DatasetSnapshot) -> None:
    """Raises not_ready: what cannot be decoded is known when all was."""
    if snapshot.version.status == "processing":
        raise HeadstartError("not_ready", "the version is still processing", retry_after=1)


async def _statistics(services: Services, snapshot: DatasetSnapshot) -> VersionStatistics:
    turn = services.turns.of(snapshot.dataset.organisation_id)
    read = partial(_counted, services, snapshot)
    made, examples = await to_thread.run_sync(read, limiter=turn)
    if made.image is not None and snapshot.version.status != "processing":
        made.image.brightness = await _brightness(services, snapshot, examples)
    return made


def _counted(
    services: Services, snapshot: DatasetSnapshot
) -> tuple[VersionStatistics, list[Example]]:
    """All but what only a decoded picture tells, and the examples that were counted."""
    examples, every = usable(services, snapshot), blobs.load_manifest(services, snapshot.version)
    looked_at = statistics.evenly(examples, statistics.MOST_READ)
    open_pack = partial(blobs.open_pack, services, snapshot.dataset.organisation_id)
    own = statistics.OF[snapshot.dataset.modality](looked_at, open_pack)
    near = snapshot.version.near_duplicates
    return VersionStatistics(
        dataset=snapshot.dataset.id,
        version=snapshot.version.number,
        modality=snapshot.dataset.modality,
        num_examples=len(examples),
        num_excluded=len(every) - len(examples),
        num_groups=len({one.group for one in examples} - {None}),
        splits=by_split(examples),
        looked_at=len(looked_at),
        bytes=statistics.spread(one.length for one in examples),
        image=own if isinstance(own, ImageStatistics) else None,
        text=own if isinstance(own, TextStatistics) else None,
        near_duplicates=None if near is None else NearDuplicates.model_validate(near),
    ), examples


async def _brightness(
    services: Services, snapshot: DatasetSnapshot, examples: Sequence[Example]
) -> Brightness | None:
    """Of a few pictures; None where no predictor answers."""
    turns = asyncio.Semaphore(_AT_ONCE)

    async def of(example: Example) -> tuple[Example, float] | None:
        call = thumbnails.call_of(snapshot.version, _SMALL)
        async with turns:
            data = await thumbnails.content(services, snapshot.dataset.organisation_id, example)
            try:
                facts, _ = await services.predictor.small_picture(call, data)
            except HeadstartError as error:
                if error.code in ("predictor_unavailable", "overloaded", "deadline_exceeded"):
                    raise
                return None
        return example, facts.brightness

    try:
        told = await asyncio.gather(*map(of, statistics.evenly(examples, _LOOKED_AT)))
    except HeadstartError:
        return None
    by_class: dict[str, list[float]] = defaultdict(list)
    seen = [one for one in told if one is not None]
    for example, value in seen:
        for label in example.names:
            by_class[label].append(value)
    return Brightness(
        looked_at=len(seen),
        spread=statistics.spread(value for _, value in seen),
        by_class={label: round(fmean(values), 3) for label, values in sorted(by_class.items())},
    )
