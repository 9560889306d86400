"""An app whose database knows the models of the one real predictor."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from app.core.manifest import LabelMode
from app.core.messages import Target
from app.infra.database import Sessions, now, transaction
from app.infra.orm import ModelRow, OrganisationRow
from app.infra.settings import Settings
from tests import serving_kit as kit
from tests.api.service import Service, serve
from tests.factories import make_key


@dataclass(frozen=True)
class Serving:
    """A predictor's address and the model it has in its storage."""

    settings: Settings
    target: Target


@contextmanager
def started(folder: Path) -> Iterator[Serving]:
    """A predictor with one model, on a data folder of its own."""
    settings = Settings(data_dir=folder)
    stored = kit.store_model(settings, organisation="default")
    with kit.predictor(settings):
        yield Serving(settings, stored.target)


@pytest.fixture(scope="module")
def service(
    serving: Serving, empty_database: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("app")
    shutil.copy(empty_database, folder / "headstart.db")
    settings = Settings(
        data_dir=serving.settings.data_dir, database_url=f"sqlite:///{folder / 'headstart.db'}"
    )
    with serve(settings) as running:
        make_key(running.services.sessions)
        register(running.services.sessions, serving.target, name=serving.target.model)
        yield running


@pytest.fixture
def model(serving: Serving) -> str:
    return serving.target.model


@pytest.fixture
def url(model: str) -> str:
    return f"/v1/models/{model}/predictions"


@pytest.fixture
def anonymous(service: Service) -> Iterator[httpx.Client]:
    with service.client(None) as found:
        yield found


def register(
    sessions: Sessions,
    target: Target,
    *,
    name: str,
    organisation: str = "default",
    modality: str = "image",
    labels: Sequence[str] = (),
    label_mode: LabelMode = "single_label",
) -> None:
    """The row of a stored model."""
    with transaction(sessions) as session:
        if session.get(OrganisationRow, organisation) is None:
            session.add(OrganisationRow(id=organisation, created_at=now(session)))
            session.flush()
        session.add(
            ModelRow(
                id=name,
                organisation_id=organisation,
                backbone=target.backbone,
                modality=modality,
                label_mode=label_mode,
                method="auto",
                artifact=target.artifact,
                sha256=target.sha256,
                bytes=1,
                card={"labels": [*labels]} if labels else {},
                evaluation={},
                created_at=now(session),
            )
        )
