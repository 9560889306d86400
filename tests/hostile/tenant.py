"""A tenant who has one of everything."""

from __future__ import annotations

import httpx
from sqlalchemy import select

from app.core.ids import new_id
from app.infra.database import now, transaction
from app.infra.orm import ApiKeyRow, FeedbackRow, JobRow, LoggedPredictionRow
from tests.api.service import Service
from tests.api.uploading import DATASETS, examples, finish, made
from tests.factories import add_model, make_key

VISION = "/customvision/v3.3/training/projects"


def endow(service: Service) -> dict[str, str]:
    """One of everything, of the organisation `default`, by the path parameter that names it."""
    with service.client(make_key(service.services.sessions)) as client:
        dataset = made(client)["id"]
        finish(service, dataset)
        ids = {"dataset_id": dataset, "file_id": dataset, "organization": "default"}
        first, *_, last = examples(client, dataset)
        erased = client.post(f"{DATASETS}/{dataset}/erasures", json={"examples": [last["id"]]})
        ids |= {"example_id": first["id"], "erasure_id": erased.json()["id"]}
        ids |= _trained(service, client, dataset)
        ids |= _retraining(client, dataset)
        ids |= _custom_vision(client)
        announced = {"filename": "x", "bytes": 1, "mime_type": "text/csv", "purpose": "batch"}
        gone = client.delete(f"{DATASETS}/{made(client)['id']}").json()["deletion"]
        ids |= {"deletion_id": gone["id"]}
        ids |= {"upload_id": client.post("/v1/uploads", json=announced).json()["id"]}
    return ids | _in_use(service, ids["model"])


def _trained(service: Service, client: httpx.Client, dataset: str) -> dict[str, str]:
    """A job, its model, an alias of it, a batch that it is to answer, a key."""
    body = {"model": "efficientnet_lite0", "training_file": dataset}
    job = client.post("/v1/fine_tuning/jobs", json=body).json()["id"]
    with transaction(service.services.sessions) as session:
        row = session.get_one(JobRow, job)
        model = add_model(session, row, service.services.storage, service.settings.data_dir).id
        key_id = session.scalars(select(ApiKeyRow.id)).first()
    client.put("/v1/aliases/production", json={"model": model}).raise_for_status()
    batch = client.post("/v1/batch_predictions", json={"model": model, "dataset": dataset}).json()
    return {
        "job_id": job,
        "model": model,
        "name": "production",
        "alias": "production",
        "published": "production",
        "key_id": str(key_id),
        "batch_id": batch["id"],
    }


def _retraining(client: httpx.Client, dataset: str) -> dict[str, str]:
    """A hook and its run, a promotion that waits, a webhook and a delivery."""
    new = {
        "name": "nightly",
        "dataset": dataset,
        "alias": "production",
        "job": {"model": "efficientnet_lite0"},
        "triggers": [{"type": "inbound"}],
        "debounce_seconds": 3600,
    }
    hook = client.post("/v1/hooks", json=new).json()["id"]
    run = client.post(f"/v1/hooks/{hook}/trigger").json()["id"]
    webhook = client.post("/v1/webhooks", json={"url": "https://example.invalid/"}).json()["id"]
    delivery = client.post(f"/v1/webhooks/{webhook}/test").json()["id"]
    moved = client.post(
        "/v1/aliases/staging/promotions", json={"candidate": "production", "force": True}
    )
    return {
        "hook_id": hook,
        "run_id": run,
        "webhook_id": webhook,
        "delivery_id": delivery,
        "promotion_id": moved.json()["id"],
    }


def _custom_vision(client: httpx.Client) -> dict[str, str]:
    """A project and a tag; a general domain is everybody's."""
    project = client.post(VISION, params={"name": "mine"}).json()["id"]
    tag = client.post(f"{VISION}/{project}/tags", params={"name": "cat"}).json()["id"]
    return {"project": project, "tag": tag}


def _in_use(service: Service, model: str) -> dict[str, str]:
    """Feedback and a logged input of the model."""
    common = {"organisation_id": "default", "model_id": model, "place": 0, "sha256": "0" * 64}
    said = {"label": "a", "probability": 1.0, "scores": {"a": 1.0}}
    ids = {"feedback_id": new_id("fb_"), "logged_id": new_id("log_")}
    with transaction(service.services.sessions) as session:
        at = now(session)
        session.add(
            FeedbackRow(
                id=ids["feedback_id"], **common, subject="s", alias="", answer=said, unknown=False,
                audited=True, source="api", actor="key_1", content_length=0, created_at=at,
                updated_at=at,
            )
        )  # fmt: skip
        session.add(
            LoggedPredictionRow(
                id=ids["logged_id"], **common, alias="production", prediction_id=new_id("pred_"),
                answer=said, content_start=0, content_length=0, lot=0.5, created_at=at,
                expires_at=at + 1000,
            )
        )  # fmt: skip
    return ids
