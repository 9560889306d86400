"""Which work is in which lane, and what settings say of who takes it."""

from __future__ import annotations

import pytest

from app.core.errors import HeadstartError
from app.core.hyperparameters import METHODS
from app.infra.lanes import WORK_KINDS, Lane
from app.infra.settings import Settings, load_settings
from worker.trainer.kinds import KINDS


def test_trainers_do_these_kinds_and_no_others() -> None:
    assert set(WORK_KINDS) == set(KINDS)


def test_a_worker_takes_everything_unless_told() -> None:
    taken = set(Settings().lanes.taken())
    assert taken == {Lane(kind, gpu) for kind in WORK_KINDS for gpu in (False, True)}


@pytest.mark.parametrize(("accelerator", "gpu"), [("cpu", {False}), ("gpu", {True})])
def test_a_worker_may_take_one_accelerators_work_alone(accelerator: str, gpu: set[bool]) -> None:
    lanes = Settings.model_validate(
        {"worker_accelerator": accelerator, "worker_kinds": "embed, batch"}
    ).lanes
    assert {lane.kind for lane in lanes.taken()} == {"embed", "batch"}
    assert {lane.gpu for lane in lanes.taken()} == gpu


def test_jobs_that_tune_the_network_want_a_gpu_and_the_others_do_not() -> None:
    lanes = Settings().lanes
    for name, spec in METHODS.items():
        lane = lanes.of("fine_tune", method=name, backbone="efficientnet_lite0")
        assert lane.gpu == (spec.depth is not None)


@pytest.mark.parametrize(
    ("backbone", "gpu"),
    [
        ("efficientnet_lite2", True),
        ("efficientnet_lite0+efficientnet_lite2", True),
        ("efficientnet_lite0", False),
        (None, False),
    ],
)
def test_whatever_reads_a_backbone_that_wants_one_wants_one(
    backbone: str | None, gpu: bool
) -> None:
    lanes = Settings(gpu_backbones="efficientnet_lite2").lanes
    assert lanes.of("embed", method=None, backbone=backbone).gpu == gpu


def test_every_lane_has_a_doorbell_of_its_own() -> None:
    lanes = list(Settings().lanes.taken())
    assert len({lane.queue for lane in lanes}) == len(lanes)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("WORKER_KINDS", "fine-tune"),
        ("WORKER_ACCELERATOR", "tpu"),
        ("GPU_METHODS", "everything"),
        ("GPU_BACKBONES", "no_such_backbone"),
        ("IDLE_EXIT_SECONDS", "-1"),
    ],
)
def test_a_name_that_there_is_not_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"HEADSTART_{name}", value)
    with pytest.raises(HeadstartError, match=name):
        load_settings()
