"""The end of all that an organisation holds: long logs too, and what nobody will name any more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from app.core.errors import HeadstartError
from app.infra import erasure, storage_keys
from app.infra.database import reading, transaction
from app.infra.orm import AliasRow, LoggedPredictionRow, ModelRow
from app.infra.repositories import deletions, holds
from app.infra.repositories.live import log
from tests.api.service import Service
from tests.api.uploading import DATASETS, examples, finish, made
from tests.factories import claim_job, finish_job, make_key

EVERYTHING = {"confirm": "acme"}


@pytest.fixture
def acme(service: Service) -> httpx.Client:
    return service.client(make_key(service.services.sessions, "acme"))


def stored(service: Service, key: str, folder: Path) -> str:
    """A file that has been put, and will be named."""
    source = folder / "source"
    source.write_bytes(b"content")
    with transaction(service.services.sessions) as session:
        holds.take(session, [key])
    service.services.storage.put(key, source)
    return key


def write_down(service: Service, count: int, *, model: str = "m") -> None:
    """Inputs of a prediction log."""
    with transaction(service.services.sessions) as session:
        session.add_all(
            LoggedPredictionRow(
                id=f"log_{number}", organisation_id="acme", alias="a", model_id=model, answer={},
                prediction_id="p", place=number, sha256="0", embedding=None, content_key=None,
                content_start=0, content_length=0, lot=0.5, created_at=1.0, expires_at=9e9,
            )
            for number in range(count)
        )  # fmt: skip


def left(service: Service) -> int:
    """Inputs that are written down."""
    with reading(service.services.sessions) as session:
        return session.query(LoggedPredictionRow).count()


@pytest.fixture
def model(service: Service, acme: httpx.Client) -> str:
    """A model of the organisation that `acme` calls for."""
    with transaction(service.services.sessions) as session:
        session.add(
            ModelRow(
                id="m", organisation_id="acme", backbone="b", modality="image", method="logistic",
                artifact="artifacts/acme/m/", sha256="0" * 64, bytes=0, evaluation={},
                card={"classes": ["a", "b"]}, created_at=1.0,
            )
        )  # fmt: skip
    return "m"


def test_what_a_killed_upload_had_stored_goes_too(
    service: Service, acme: httpx.Client, tmp_path: Path
) -> None:
    own = [
        stored(service, key, tmp_path)
        for key in (storage_keys.pack("acme", "1"), storage_keys.manifest("acme", "2"))
    ]
    other = stored(service, storage_keys.pack("acme_b", "3"), tmp_path)
    with acme:
        told = acme.delete("/v1/organizations/me/content", params=EVERYTHING).json()
    assert (told["status"], told["kept"].get("files", 0)) == ("done", 0)
    assert list(service.services.storage.keys(storage_keys.PACKS)) == [other]
    with transaction(service.services.sessions) as session, pytest.raises(Exception, match="again"):
        holds.release(session, own)


def test_a_long_log_goes_some_at_a_time(
    service: Service, acme: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasure, "_AT_ONCE", 2)
    write_down(service, 7)
    with acme:
        told = acme.delete("/v1/organizations/me/content", params=EVERYTHING).json()
    assert (told["status"], told["removed"]["logged_predictions"]) == ("done", 7)


def test_a_model_that_may_not_go_keeps_its_log(
    service: Service, acme: httpx.Client, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An alias may be pointed at it at any moment: what is refused then has deleted nothing."""
    monkeypatch.setattr(erasure, "_AT_ONCE", 2)
    write_down(service, 7)
    with transaction(service.services.sessions) as session:
        session.add(AliasRow(organisation_id="acme", name="a", model_id=model, updated_at=1.0))
    with acme:
        refused = acme.delete(f"/v1/models/{model}")
        assert (refused.status_code, refused.json()["code"]) == (409, "in_use")
        assert (left(service), acme.get("/v1/deletions").json()["data"]) == (7, [])
        acme.delete("/v1/aliases/a").raise_for_status()
        assert left(service) == 0, "the alias's, which was its own to delete"


def test_a_models_log_goes_after_it_whoever_is_killed(
    service: Service, acme: httpx.Client, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasure, "_AT_ONCE", 2)
    write_down(service, 7)
    dropped, drop = list[int](), log.drop

    def at_times(*given: Any, limit: int | None) -> tuple[int, list[str]]:
        if limit != 2:  # what is over is looked for meanwhile
            return drop(*given, limit=limit)
        if len(dropped) == 2:
            raise HeadstartError("storage_unavailable", "as if killed")
        gone = drop(*given, limit=limit)
        dropped.append(gone[0])
        return gone

    with acme, monkeypatch.context() as patched:
        patched.setattr(log, "drop", at_times)
        told = acme.delete(f"/v1/models/{model}").json()["deletion"]
    assert (told["status"], told["remaining"]["logged_predictions"], dropped) == (
        "pending",
        3,
        [2, 2],
    )
    with transaction(service.services.sessions) as session:
        assert deletions.settle(session) == 0, "it is not done by what is settled meanwhile"
        assert deletions.overdue(session, seconds=0.0) == {"acme"}
    erasure.finish(service.services.sessions, service.services.storage, "acme")
    with reading(service.services.sessions) as session:
        row = deletions.get(session, told["id"], organisation_id="acme")
        assert row.finished_at is not None
        assert row.removed["logged_predictions"] == 7
        assert deletions.overdue(session, seconds=0.0) == set()
    assert left(service) == 0


def test_the_log_of_a_model_that_goes_with_an_erased_example_goes_some_at_a_time(
    service: Service, acme: httpx.Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasure, "_AT_ONCE", 2)
    with acme:
        name = str(made(acme)["id"])
        finish(service, name)
        body = {"training_file": name, "model": "efficientnet_lite0"}
        acme.post("/v1/fine_tuning/jobs", json=body).raise_for_status()
        with transaction(service.services.sessions) as session:
            claim = claim_job(session)
            assert claim is not None
            model = finish_job(session, claim, service.services.storage, tmp_path)
        write_down(service, 7, model=model)
        dropped, drop = list[int](), log.drop

        def counted(*given: Any, limit: int | None) -> tuple[int, list[str]]:
            gone = drop(*given, limit=limit)
            dropped.append(gone[0])
            return gone

        monkeypatch.setattr(log, "drop", counted)
        one = examples(acme, name)[0]["sha256"]
        told = acme.post(f"{DATASETS}/{name}/erasures", json={"sha256": one, "models": "delete"})
        assert told.status_code == 201, told.text
        assert [one["kept"] for one in told.json()["models_fitted_on_it"]] == [False]
        assert (dropped, left(service)) == ([2, 2, 2, 1], 0)
        listed = {one["subject"]["object"]: one for one in acme.get("/v1/deletions").json()["data"]}
        assert listed["model"]["removed"] == {"logged_predictions": 7}
