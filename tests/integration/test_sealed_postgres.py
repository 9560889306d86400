"""Sealed secrets on a real Postgres, which holds a text to its column's length."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from app.core import secret_keys
from app.infra.database import open_engine, reading, transaction
from app.infra.migrate import migrate
from app.infra.orm import LabellingProjectRow, OrganisationRow, WebhookRow
from app.infra.repositories import pseudonyms, sealing
from app.infra.repositories.live import labelling
from app.infra.settings import Settings
from app.infra.vault import Vault
from tests.api.service import Service, serve
from tests.factories import make_key
from tests.servers import postgres_server

pytestmark = pytest.mark.servers


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """A service of a former release's footing: a database elsewhere, and no key."""
    with postgres_server() as url:
        engine = open_engine(url)
        migrate(engine)
        engine.dispose()
        with serve(Settings(data_dir=tmp_path, database_url=url)) as running:
            yield running


def test_secrets_are_kept_as_they_are_until_there_is_a_key_and_then_sealed(
    service: Service,
) -> None:
    held, key = service.services, secret_keys.decode(secret_keys.new())
    with service.client(make_key(held.sessions)) as client:
        made = client.post("/v1/webhooks", json={"url": "https://x.example"}).json()
        with transaction(held.sessions) as session:
            pseudonym = pseudonyms.key_of(session, held.vault, "default")
            whose = {"organisation_id": "default", "alias": "a@b", "project": "1"}
            said = {"hostname": "https://x.example", "token": "t" * 500, "label_config": ""}
            labelling.put(session, held.vault, **whose, **said)
        vault = Vault(lambda: [key])
        with transaction(held.sessions) as session:
            assert sealing.seal_all(session, vault) == (3, 0)
        more = {"url": "https://x.example"}
        for path, body in (("/v1/webhooks", more), (f"/v1/webhooks/{made['id']}/secret", None)):
            refused = client.post(path, json=body)
            assert refused.json()["code"] == "secrets_key_missing"
    with reading(held.sessions) as session:
        row = session.scalars(select(WebhookRow)).one()
        assert sealing.told(vault, row.secret, row) == made["secret"]
        project = session.scalars(select(LabellingProjectRow)).one()
        assert project.token is not None
        assert sealing.told(vault, project.token, project) == "t" * 500
        (organisation,) = session.scalars(select(OrganisationRow.id))
        assert pseudonyms.key_of(session, vault, organisation) == pseudonym
