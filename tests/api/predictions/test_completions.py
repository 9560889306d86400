"""A fine-tuned classifier behind the official SDK: only `base_url` is another."""

from __future__ import annotations

import math
from base64 import b64encode
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from pydantic import BaseModel

from app.core.messages import Target
from tests import serving_kit as kit
from tests.api.predictions.conftest import Serving, register
from tests.api.service import Service

pytestmark = pytest.mark.slow

PICTURE = f"data:image/png;base64,{b64encode(kit.digit_pngs(1)[0][0]).decode()}"
CARD = [{"role": "system", "content": "Classify."}, {"role": "user", "content": "where is my card"}]


@pytest.fixture(scope="module")
def intents(serving: Serving, service: Service) -> str:
    """A text model."""
    target: Target = kit.store_text_model(serving.settings, organisation="default")
    register(service.services.sessions, target, name=target.model, modality="text")
    return target.model


@pytest.fixture
def sdk(service: Service, key: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{service.url}/v1", api_key=key, max_retries=0) as found:
        yield found


def test_the_label_is_the_message(sdk: openai.OpenAI, intents: str) -> None:
    answer = sdk.chat.completions.create(
        model=intents,
        messages=CARD,  # type: ignore[arg-type]
        temperature=0,
        max_tokens=1,
        logprobs=True,
        top_logprobs=2,
    )
    (choice,) = answer.choices
    assert (choice.message.role, choice.message.content) == ("assistant", "card")
    assert choice.finish_reason == "stop"
    assert answer.model == intents
    assert choice.logprobs is not None
    assert choice.logprobs.content is not None
    (token,) = choice.logprobs.content
    assert [one.token for one in token.top_logprobs] == ["card", "password"]
    assert sum(math.exp(one.logprob) for one in token.top_logprobs) == pytest.approx(1, abs=1e-5)
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (4, 1)


def test_probabilities_are_those_of_predictions(
    client: httpx.Client, sdk: openai.OpenAI, intents: str
) -> None:
    body = {"inputs": [{"text": "where is my card"}]}
    (item,) = client.post(f"/v1/models/{intents}/predictions", json=body).json()["data"]
    answer = sdk.chat.completions.create(model=intents, messages=CARD, logprobs=True)  # type: ignore[arg-type]
    logprobs = answer.choices[0].logprobs
    assert logprobs is not None
    assert logprobs.content is not None
    assert math.exp(logprobs.content[0].logprob) == pytest.approx(item["probability"], rel=1e-5)


def test_a_stream_ends_with_what_it_took(sdk: openai.OpenAI, intents: str) -> None:
    stream = sdk.chat.completions.create(
        model=intents,
        messages=CARD,  # type: ignore[arg-type]
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = list(stream)
    said = [one.choices[0].delta.content or "" for one in chunks if one.choices]
    assert "".join(said) == "card"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.total_tokens == 5


def test_the_raw_stream_ends_with_done(client: httpx.Client, intents: str) -> None:
    body = {"model": intents, "messages": CARD, "stream": True}
    answer = client.post("/v1/chat/completions", json=body)
    assert answer.headers["content-type"].startswith("text/event-stream")
    frames = [frame for frame in answer.text.split("\n\n") if frame]
    assert frames[-1] == "data: [DONE]"
    assert all(frame.startswith("data: ") for frame in frames)


class Intent(Enum):
    CARD = "card"
    PASSWORD = "password"


class Routed(BaseModel):
    intent: Intent
    confidence: float


def test_a_pydantic_class_is_filled_in(sdk: openai.OpenAI, intents: str) -> None:
    answer = sdk.chat.completions.parse(
        model=intents,
        messages=CARD,  # type: ignore[arg-type]
        response_format=Routed,
    )
    parsed = answer.choices[0].message.parsed
    assert parsed is not None
    assert parsed.intent is Intent.CARD
    assert 0.5 < parsed.confidence <= 1
    told = sdk.responses.parse(model=intents, input="reset my password", text_format=Routed)
    assert told.output_parsed is not None
    assert told.output_parsed.intent is Intent.PASSWORD


def test_a_response_says_the_label(sdk: openai.OpenAI, intents: str) -> None:
    told = sdk.responses.create(
        model=intents,
        instructions="Classify.",
        input="I forgot the password",
        include=["message.output_text.logprobs"],
        top_logprobs=2,
    )
    assert told.output_text == "password"
    assert told.status == "completed"
    assert told.usage is not None
    assert told.usage.input_tokens == 4


def test_a_responses_stream_has_typed_events(sdk: openai.OpenAI, intents: str) -> None:
    with sdk.responses.stream(model=intents, input="I forgot the password") as stream:
        kinds = [event.type for event in stream]
        assert stream.get_final_response().output_text == "password"
    assert kinds[0] == "response.created"
    assert kinds[-1] == "response.completed"
    assert "response.output_text.delta" in kinds


def test_a_picture_is_classified_from_its_data_url(sdk: openai.OpenAI, model: str) -> None:
    parts: Any = [
        {"type": "text", "text": "Which digit?"},
        {"type": "image_url", "image_url": {"url": PICTURE}},
    ]
    answer = sdk.chat.completions.create(model=model, messages=[{"role": "user", "content": parts}])
    assert answer.choices[0].message.content == "0"
    items: Any = [
        {
            "role": "user",
            "content": [{"type": "input_image", "image_url": PICTURE, "detail": "low"}],
        }
    ]
    assert sdk.responses.create(model=model, input=items).output_text == "0"


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({"messages": CARD, "model": "ft:none"}, "not_found", "model"),
        ({"messages": [{"role": "system", "content": "x"}]}, "invalid_request", "messages"),
        ({"messages": CARD, "top_logprobs": 3}, "invalid_request", None),
        (
            {
                "messages": CARD,
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "x", "schema": {"enum": ["up", "down"]}},
                },
            },
            "invalid_request",
            "response_format",
        ),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [{"type": "image_url", "image_url": {"url": PICTURE}}],
                    }
                ]
            },
            "modality_mismatch",
            "messages",
        ),
    ],
)
def test_refusals_say_what_and_where(
    client: httpx.Client, intents: str, body: dict[str, Any], code: str, param: str | None
) -> None:
    answer = client.post("/v1/chat/completions", json={"model": intents, **body})
    told = answer.json()
    assert answer.is_error, told
    assert told["code"] == code
    assert told["error"]["message"] == told["detail"]
    if param is not None:
        assert told["param"] == param


def test_the_sdk_raises_the_kind_of_error(sdk: openai.OpenAI, intents: str) -> None:
    with pytest.raises(openai.NotFoundError, match="no such model"):
        sdk.chat.completions.create(model="ft:none", messages=CARD)  # type: ignore[arg-type]
    wrong = sdk.with_options(api_key="hs_wrong").chat.completions
    with pytest.raises(openai.AuthenticationError):
        wrong.create(model=intents, messages=CARD)  # type: ignore[arg-type]


def test_another_organisations_model_is_none(
    service: Service, other_key: str, intents: str, tmp_path: Path
) -> None:
    with service.client(other_key) as other:
        body = {"model": intents, "messages": CARD}
        assert other.post("/v1/chat/completions", json=body).status_code == 404
