"""A hook's run beside its last decision: what has changed since is trained, or asked, anew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from app.core.promotion.gate import Decision, Verdict
from app.infra.database import transaction
from app.infra.orm import HookRow, HookRunRow, PromotionRow
from app.infra.repositories.retraining import endings, promotions
from tests.api.hooks.conftest import Make
from tests.api.hooks.test_hooks import end, run_of, trigger
from tests.api.service import Service
from tests.factories import claim_job, finish_job, make_dataset

pytestmark = pytest.mark.slow

ALIAS = "cells@production"
Told = dict[str, Any]


class Trainer:
    """What trains and judges: the jobs' models are some bytes, the verdicts are the test's."""

    def __init__(self, service: Service, client: httpx.Client, folder: Path) -> None:
        self.service, self.client, self.folder = service, client, folder

    def train(self, run: Told) -> str:
        """The model that a run's job comes to."""
        assert run_of(self.client, run, "running")["job"]
        with transaction(self.service.services.sessions) as session:
            claim = claim_job(session)
            assert claim is not None
            return finish_job(session, claim, self.service.services.storage, self.folder)

    def judge(self, run: Told, verdict: Verdict, evidence: Told | None = None) -> Told:
        """The run, whose promotion has come to this verdict."""
        with transaction(self.service.services.sessions) as session:
            asked = session.get_one(HookRunRow, run["id"]).promotion_id
            row = promotions.lock(session, str(asked))
            assert row is not None
            promotions.conclude(session, row, Decision(verdict, "so", evidence or {}))
            endings.promotion_ended(session, row)
        return run_of(self.client, run, "succeeded")

    def asked(self, run: Told) -> PromotionRow:
        """What a run that trains nothing asks the gate."""
        found = run_of(self.client, run, "running")
        assert (found["job"], found["dataset_version"]) == (None, 1)
        with transaction(self.service.services.sessions) as session:
            row = session.get_one(PromotionRow, found["promotion"])
            session.expunge(row)
            return row


@pytest.fixture
def trainer(service: Service, client: httpx.Client, tmp_path: Path) -> Trainer:
    return Trainer(service, client, tmp_path)


def changed(client: httpx.Client, hook: Told, **body: Any) -> None:
    client.patch(f"/v1/hooks/{hook['id']}", json=body).raise_for_status()


def skipped(client: httpx.Client, hook: Told) -> str:
    return str(run_of(client, trigger(client, hook), "skipped")["reason"])


def test_what_has_not_changed_is_skipped(
    client: httpx.Client, hook: Make, trainer: Trainer
) -> None:
    made = hook(debounce_seconds=0)
    run = trigger(client, made)
    trainer.train(run)
    trainer.judge(run, "promoted")
    told = skipped(client, made)
    assert told.startswith(f"nothing has changed: {ALIAS} means what {run['id']} trained")
    assert told.endswith('trigger it with {"force": true} to train all the same')
    assert run_of(client, trigger(client, made, force=True), "running")["job"]


def test_a_refusal_by_the_same_gate_holds(
    client: httpx.Client, hook: Make, trainer: Trainer
) -> None:
    made = hook(debounce_seconds=0, gate={"floors": {"a": 0.9}})
    run = trigger(client, made)
    trainer.train(run)
    trainer.judge(run, "inconclusive")
    assert f"{run['id']} trained on version 1 already" in skipped(client, made)
    changed(client, made, gate={"floors": {"a": 0.9}}, name="the same gate, written again")
    assert "nothing has changed" in skipped(client, made)


def test_another_gate_is_asked_about_the_model_that_is_there(
    client: httpx.Client, hook: Make, trainer: Trainer
) -> None:
    made = hook(debounce_seconds=0, max_runs_per_day=1, gate={"floors": {"typo": 0.9}})
    run = trigger(client, made)
    model = trainer.train(run)
    trainer.judge(run, "inconclusive")
    changed(client, made, gate={"floors": {}})
    anew = trigger(client, made)
    asked = trainer.asked(anew)
    assert (asked.candidate, asked.gate["floors"]) == (model, {})
    assert f"the gate has changed since {run['id']} trained it on version 1" in str(asked.note)
    trainer.judge(anew, "promoted")
    assert client.get(f"/v1/aliases/{ALIAS}").json()["model"] == model
    assert "nothing has changed" in skipped(client, made)


@pytest.mark.parametrize("alias", ["second@p", ALIAS], ids=["another", "deleted"])
def test_an_alias_that_means_nothing_gets_the_model_that_is_there(
    client: httpx.Client, hook: Make, trainer: Trainer, alias: str
) -> None:
    made = hook(debounce_seconds=0)
    run = trigger(client, made)
    model = trainer.train(run)
    trainer.judge(run, "promoted")
    if alias == ALIAS:
        client.delete(f"/v1/aliases/{ALIAS}").raise_for_status()
    else:
        changed(client, made, alias=alias)
    anew = trigger(client, made)
    asked = trainer.asked(anew)
    assert (asked.alias, asked.candidate) == (alias, model)
    trainer.judge(anew, "promoted")
    assert client.get(f"/v1/aliases/{alias}").json()["model"] == model


def test_a_model_that_is_gone_is_trained_again(
    client: httpx.Client, hook: Make, trainer: Trainer
) -> None:
    made = hook(debounce_seconds=0)
    run = trigger(client, made)
    model = trainer.train(run)
    trainer.judge(run, "refused")
    client.delete(f"/v1/models/{model}").raise_for_status()
    again = run_of(client, trigger(client, made), "running")
    assert again["job"] not in {None, run["job"]}


def test_an_evaluation_set_that_has_grown_is_asked(
    service: Service, client: httpx.Client, hook: Make, trainer: Trainer
) -> None:
    with transaction(service.services.sessions) as session:
        held = make_dataset(session).dataset_id
    made = hook(debounce_seconds=0, gate={"evaluation_set": held})
    for version, reason in ((1, "nothing has changed"), (0, None)):
        run = trigger(client, made, force=True)
        trainer.train(run)
        trainer.judge(run, "inconclusive", {"held_out": {"dataset": held, "version": version}})
        if reason is not None:
            assert reason in skipped(client, made)
    assert "the evaluation set has another version" in str(
        trainer.asked(trigger(client, made)).note
    )


def test_a_later_run_that_failed_is_not_what_an_earlier_one_has_trained(
    service: Service, client: httpx.Client, hook: Make, trainer: Trainer
) -> None:
    made = hook(debounce_seconds=0)
    run = trigger(client, made)
    trainer.train(run)
    trainer.judge(run, "promoted")
    changed(client, made, job={"model": "efficientnet_lite0", "seed": 7})
    end(service, run_of(client, trigger(client, made), "running"))
    assert run_of(client, trigger(client, made), "running")["job"]


def test_what_cannot_be_asked_says_so(
    service: Service, client: httpx.Client, hook: Make, trainer: Trainer
) -> None:
    made = hook(debounce_seconds=0)
    run = trigger(client, made)
    trainer.train(run)
    trainer.judge(run, "refused")
    with transaction(service.services.sessions) as session:
        held = make_dataset(session, status="failed").dataset_id
        session.get_one(HookRow, made["id"]).gate = {"evaluation_set": held}
    failed = run_of(client, trigger(client, made), "failed")
    assert failed["reason"] == "the model cannot be judged: the dataset has failed"
