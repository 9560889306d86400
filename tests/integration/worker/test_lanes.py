"""Work goes to the workers that take it, on both databases, and their doorbells to them alone."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from app.infra.lanes import WORK_KINDS, Lane, Lanes
from app.infra.orm import WorkRow
from app.infra.queue import Doorbell
from app.infra.repositories import work
from app.infra.settings import Settings
from tests.chart import named, render
from tests.integration.worker.conftest import training
from tests.servers import Redis, postgres_database, running_redis, wait_for
from tests.worker_kit import Kit, add_dataset, add_job, open_kit, organisation, pictures
from tests.workers import LIGHT, LIGHT_CELERY, workers

METHODS = ("auto", "linear", "full")
BACKBONES = ("efficientnet_lite0", "efficientnet_lite2", "efficientnet_lite0+efficientnet_lite2")
WANTS = {"methods": ("full", "lora"), "backbones": ("efficientnet_lite2", "another")}


def _claimed(kit: Kit, lanes: Lanes) -> list[work.Claim]:
    """All that a worker of these lanes gets to claim, one after the other."""
    found = []
    while claim := kit.commit(
        lambda session: work.claim(
            session, worker="w", kinds=lanes.kinds, lease_seconds=60, lanes=lanes
        )
    ):
        found.append(claim)
    return found


def _fill(kit: Kit) -> dict[str, Lane]:
    """A job of each method on each backbone, a chunk on each, and one on none; their lanes."""
    organisation(kit, "acme")
    version = add_dataset(kit, pictures(5))
    lanes, expected = Lanes(**WANTS), {}
    for method, backbone in product(METHODS, BACKBONES):
        job = add_job(kit, version, method=method, backbone=backbone)
        expected[job] = lanes.of("fine_tune", method=method, backbone=backbone)
    for backbone in (*BACKBONES, None):
        row = kit.commit(
            lambda session, b=backbone: (
                work.add(session, "batch", organisation_id="acme", payload={}, backbone=b).id
            )
        )
        expected[row] = lanes.of("batch", method=None, backbone=backbone)
    _embed(kit)
    return expected


def _embed(kit: Kit) -> None:
    """End what jobs wait for."""
    for claim in _claimed(kit, Lanes(kinds=("embed",))):
        kit.commit(lambda session, c=claim: work.finish(session, c))


def test_claims_follow_the_lanes(kit: Kit) -> None:
    expected = _fill(kit)
    waits = kit.read(lambda session: work.waiting(session, Lanes(**WANTS)))
    assert waits == set(expected.values())
    for accelerator in ("gpu", "cpu"):
        lanes = Lanes(accelerator=accelerator, **WANTS)
        got = {claim.job_id or claim.id for claim in _claimed(kit, lanes)}
        wanted = {name for name, lane in expected.items() if lane.gpu == (accelerator == "gpu")}
        assert got == wanted
        assert wanted
    assert kit.read(lambda session: work.waiting(session, Lanes(**WANTS))) == set()


@pytest.mark.parametrize("accelerator", ["any", "cpu", "gpu"])
def test_what_the_chart_counts_is_what_trainers_would_claim(kit: Kit, accelerator: Any) -> None:
    if kit.engine.dialect.name == "sqlite":
        pytest.skip("KEDA reads Postgres")
    _fill(kit)
    kinds = ("fine_tune",) if accelerator == "gpu" else WORK_KINDS
    lanes = Lanes(accelerator=accelerator, kinds=kinds, **WANTS)
    told = {
        "worker_accelerator": accelerator, "worker_kinds": ",".join(kinds),
        "gpu_methods": ", ".join(lanes.methods), "gpu_backbones": ",".join(lanes.backbones),
    }  # fmt: skip
    waits, either = (_query(kind, told) for kind in ("ScaledJob", "ScaledObject"))
    assert _count(kit, waits) == _count(kit, either) > 0
    claims = _claimed(kit, lanes)
    assert _count(kit, waits) == 0
    assert _count(kit, either) == len(claims)
    lose = update(WorkRow).values(lease_until=1.0).where(WorkRow.state == "running")
    kit.commit(lambda session: session.execute(lose))
    assert _count(kit, waits) == len(claims), "the work of lost trainers waits, too"


def _query(kind: str, told: dict[str, Any]) -> str:
    trainers = {"main": {"settings": told, "keda": {"enabled": True, "kind": kind}}}
    found = named(render(trainers=trainers), kind, "prod-headstart-trainer-main")
    return str(found["spec"]["triggers"][0]["metadata"]["query"])


def _count(kit: Kit, query: str) -> int:
    return kit.read(lambda session: session.connection().exec_driver_sql(query).scalar_one())


def test_nobody_makes_way_for_what_he_cannot_take(kit: Kit) -> None:
    version = add_dataset(kit, pictures(5))
    add_job(kit, version, method="full")
    _embed(kit)

    def urgent(accelerator: Any) -> bool:
        lanes = Lanes(accelerator=accelerator, **WANTS)
        return kit.read(lambda session: work.urgent(session, kinds=WORK_KINDS, lanes=lanes))

    assert urgent("gpu")
    assert urgent("any")
    assert not urgent("cpu")


@pytest.mark.timeout(900)
def test_a_trainer_ends_for_want_of_work_after_it_has_done_what_there_was(tmp_path: Path) -> None:
    kit = open_kit(tmp_path, poll_seconds=0.3, idle_exit_seconds=2.0)
    version = add_dataset(kit, pictures(5))
    job = add_job(kit, version)
    with workers(kit, 1, command=LIGHT) as (worker,):
        kit.wait_job(job, 200)
        assert worker.process.wait(200) == 0
    kit.engine.dispose()


def test_a_trainer_that_is_to_stay_stays(kit: Kit) -> None:
    with training(kit) as context:
        version = add_dataset(kit, pictures(5))
        kit.wait_job(add_job(kit, version))
        assert not context.stop.requested


@pytest.fixture
def redis_server() -> Iterator[Redis]:
    with running_redis() as server:
        yield server


@pytest.fixture
def celery_kit(postgres: str, redis_server: Redis, tmp_path: Path) -> Iterator[Kit]:
    """Postgres and Redis, polls so rare that only doorbells are heard."""
    with postgres_database(postgres) as url:
        rare = {"poll_seconds": 600.0, "gpu_methods": "linear"}
        made = open_kit(tmp_path, database_url=url, broker_url=redis_server.url, **rare)
        yield made
        made.engine.dispose()


def _ring(kit: Kit, kind: str, method: str | None = None) -> None:
    doorbell = Doorbell(kit.settings.broker_url)
    doorbell.ring([kit.settings.lanes.of(kind, method=method, backbone=None)])
    doorbell.close()


@pytest.mark.servers
@pytest.mark.timeout(900)
def test_a_job_that_wants_a_gpu_waits_for_a_worker_that_has_one(celery_kit: Kit) -> None:
    kit = celery_kit
    with workers(kit, 1, command=LIGHT_CELERY, worker_accelerator="cpu"):
        version = add_dataset(kit, pictures(5))
        _ring(kit, "embed")
        kit.wait_version(version.id, 200)
        deep = add_job(kit, version, method="linear")
        _ring(kit, "fine_tune", "linear")
        plain = add_job(kit, version)
        _ring(kit, "fine_tune", "auto")
        kit.wait_job(plain, 200)
        assert kit.job(deep).status == "queued"
        with workers(
            kit, 1, command=LIGHT_CELERY, worker_accelerator="gpu", worker_kinds="fine_tune"
        ):
            assert kit.wait_job(deep, 200).status == "succeeded"


@pytest.mark.servers
def test_rings_that_nobody_hears_do_not_pile_up(redis_server: Redis) -> None:
    lane = Lane("export", gpu=True)
    with redis_server.client() as client:
        doorbell = Doorbell(redis_server.url)
        for _ in range(150):
            doorbell.ring([lane, Lane("webhook", gpu=False)])
            wait_for(lambda: not doorbell._unsent)
        doorbell.close()
        assert client.llen(lane.queue) == 100
        assert client.llen(Lane("webhook", gpu=False).queue) == 0


def test_settings_say_what_a_worker_takes() -> None:
    settings = Settings.model_validate({"worker_kinds": "batch", "worker_accelerator": "gpu"})
    assert list(settings.lanes.taken()) == [Lane("batch", gpu=True)]
