"""The end of all that an organisation holds: long logs too, and what nobody will name any more."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from app.infra import erasure, storage_keys
from app.infra.database import transaction
from app.infra.orm import LoggedPredictionRow
from app.infra.repositories import holds
from tests.api.service import Service
from tests.factories import make_key

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
    with transaction(service.services.sessions) as session:
        session.add_all(
            LoggedPredictionRow(
                id=f"log_{number}", organisation_id="acme", alias="a", model_id="m", answer={},
                prediction_id="p", place=number, sha256="0", embedding=None, content_key=None,
                content_start=0, content_length=0, lot=0.5, created_at=1.0, expires_at=9e9,
            )
            for number in range(7)
        )  # fmt: skip
    with acme:
        told = acme.delete("/v1/organizations/me/content", params=EVERYTHING).json()
    assert (told["status"], told["removed"]["logged_predictions"]) == ("done", 7)
