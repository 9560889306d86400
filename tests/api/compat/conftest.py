"""The predictor, the app and the models of `tests.api.predictions`, and a model of texts."""

from __future__ import annotations

import pytest

from app.infra.database import transaction
from app.infra.orm import ModelRow
from app.infra.repositories import aliases
from tests import serving_kit as kit
from tests.api.predictions.conftest import Serving, anonymous, model, register, service
from tests.api.service import Service

__all__ = ["anonymous", "model", "service"]

TEXT = "words"
IMAGES = "default"


@pytest.fixture(scope="module")
def words(serving: Serving, service: Service, request: pytest.FixtureRequest) -> str:
    """The alias of a model that reads texts; `default` means the one of images."""
    name = request.module.__name__.rpartition(".")[2].replace("_", "-")
    stored = kit.store_text_model(serving.settings, organisation="default", name=name)
    sessions = service.services.sessions
    register(sessions, stored, name=stored.model, modality="text")
    with transaction(sessions) as session:
        for alias, target in ((TEXT, stored), (IMAGES, serving.target)):
            labels = ["card", "password"] if alias == TEXT else ["0", "1", "2"]
            session.get_one(ModelRow, target.model).card = {"labels": labels}
            aliases.point(session, organisation_id="default", name=alias, model_id=target.model)
    return TEXT
