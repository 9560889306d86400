"""Every service whose clients work here unchanged; `/v2` and OpenAI's are in rooms of their own."""

from __future__ import annotations

from fastapi import APIRouter

from app.compat import mlflow, tei
from app.compat.custom_vision import (
    images,
    iterations,
    prediction,
    projects,
    publishing,
    quick_test,
    tagging,
)
from app.compat.hugging_face import router as hugging_face
from app.compat.kserve import router as kserve
from app.compat.label_studio.endpoints import router as label_studio

router = APIRouter()
for one in (
    projects.router,
    images.router,
    tagging.router,
    iterations.router,
    publishing.router,
    quick_test.router,
    prediction.router,
    tei.router,
    tei.about,
    hugging_face,
    kserve,
    label_studio,
    mlflow.router,
    mlflow.probes,
):
    router.include_router(one)
