"""`POST /v1/embeddings`: a backbone's own view of inputs, in OpenAI's shape."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from pydantic_core import from_json
from starlette.concurrency import run_in_threadpool

from app.core.backbones import BackboneSpec, combined, member_names
from app.core.errors import HeadstartError
from app.core.ids import new_id
from app.core.messages import Call, Target
from app.core.openai import embeddings
from app.core.openai.embeddings import EmbeddingRequest, Embeddings
from app.core.openai.question import ModelReply
from app.http.body import Receive
from app.http.dependencies import Predicter, Services, ServicesDep
from app.http.dependencies import services as services_of
from app.http.openapi import problems
from app.http.routes import StrictRoute
from app.http.strict_json import SHORT
from app.infra import weights
from app.predictions.options import preferring
from app.predictions.service import counted_body, replayed, while_connected


class CountedRoute(StrictRoute):
    """A route whose bodies take the room in the predictor's queue that their inputs will."""

    async def opened(self, request: Request) -> Receive:
        """The whole body, counted as it came; refused from the head where there is no room."""
        if request.method == "GET":
            return request.receive
        tenant = request.state.identity.organisation_id
        body = await counted_body(services_of(request), tenant, request.receive)
        return replayed(body, request.receive)


router = APIRouter(route_class=CountedRoute, tags=["predictions"])


@router.post(
    "/v1/embeddings",
    responses=problems(
        "not_found",
        "invalid_json",
        "invalid_value",
        "modality_mismatch",
        "text_too_long",
        "image_invalid",
        "image_truncated",
        "not_finite",
        "weights_invalid",
        "backbone_unavailable",
        "overloaded",
        "predictor_unavailable",
        "deadline_exceeded",
    ),
)
async def embed(
    body: EmbeddingRequest,
    caller: Predicter,
    services: ServicesDep,
    request: Request,
    response: Response,
) -> Embeddings:
    """The last layer's embedding of each input, L2-normalised.

    Long texts are read in windows, as far as the backbone's `reads` says.
    """
    tenant = caller.organisation_id
    asked = embeddings.question(body, most=services.settings.max_predict_items)
    spec = await _backbone(services, tenant, body.model)
    asked.check(spec)
    long = len(await request.body()) > SHORT
    modality = spec.reads.name
    call = Call(
        id=new_id("emb_"),
        tenant=tenant,
        target=Target(model=body.model, backbone=spec.name, artifact="", sha256=""),
        options=preferring(asked.options, request.headers.get("prefer", "")),
        inputs=await run_in_threadpool(asked.inputs, modality) if long else asked.inputs(modality),
    )
    answer = await while_connected(request.receive, services.predictor.predict(call))
    services.usage.answered(call)
    response.headers.update(answer.headers)
    told = from_json(answer.body)
    reply = ModelReply(id=call.id, created=0, model=body.model, items=told["data"])
    return Embeddings.model_validate(asked.answer(reply))


async def _backbone(services: Services, tenant: str, name: str) -> BackboneSpec:
    """The backbone called `name`, or of the model so called. Raises not_found and its like."""
    weights_dir = services.settings.weights_dir
    known = await run_in_threadpool(weights.registry, weights_dir)
    if not set(member_names(name)) <= known.keys():
        name = (await services.resolver.resolve(tenant, name)).backbone
    if name in known:
        return known[name]
    if not set(member_names(name)) <= known.keys():
        why = f"the model's backbone {name} is gone: put its folder back into WEIGHTS_DIR"
        raise HeadstartError("backbone_unavailable", why, param="model")
    return combined([known[one] for one in member_names(name)])
