"""`/v1/batches` by the official SDK: app, trainer and predictor, all of them real."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import openai
import pytest
from sqlalchemy import select, update

from app.core.messages import Target
from app.infra.database import transaction
from app.infra.orm import HeldBlobRow, RequestBatchRow, RequestPieceRow, WorkRow
from tests import serving_kit as kit
from tests.api.predictions.conftest import Serving, register
from tests.api.service import Service
from tests.api.uploading import code, small
from tests.integration.worker.conftest import training
from tests.servers import wait_for

pytestmark = pytest.mark.slow

CHAT, EMBEDDINGS = "/v1/chat/completions", "/v1/embeddings"


@pytest.fixture(scope="module")
def intents(serving: Serving, service: Service) -> str:
    """A text model."""
    target: Target = kit.store_text_model(serving.settings, organisation="default", name="t2")
    register(service.services.sessions, target, name=target.model, modality="text")
    return target.model


@pytest.fixture
def sdk(service: Service, key: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{service.url}/v1", api_key=key, max_retries=0) as found:
        yield found


@pytest.fixture
def trainer(service: Service) -> Iterator[None]:
    with training(service):  # type: ignore[arg-type]
        yield


def line(custom_id: str, body: dict[str, Any], url: str = CHAT, **more: Any) -> bytes:
    told = {"custom_id": custom_id, "method": "POST", "url": url, "body": body}
    return json.dumps(told | more).encode() + b"\n"


def chat(model: str, text: str, **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": text}], **more}


def begun(sdk: openai.OpenAI, lines: list[bytes], endpoint: Any = CHAT, **more: Any) -> str:
    file = sdk.files.create(file=("requests.jsonl", b"".join(lines)), purpose="batch")
    batch = sdk.batches.create(
        input_file_id=file.id, endpoint=endpoint, completion_window="24h", **more
    )
    assert batch.status == "validating"
    return batch.id


def ended(sdk: openai.OpenAI, batch_id: str) -> Any:
    batch = sdk.batches.retrieve(batch_id, extra_headers={"Prefer": "wait=60"})
    assert batch.status in ("completed", "failed", "expired", "cancelled")
    return batch


def content(sdk: openai.OpenAI, file_id: str | None) -> list[dict[str, Any]]:
    if file_id is None:
        return []
    return [json.loads(one) for one in sdk.files.content(file_id).content.splitlines()]


def test_every_request_is_answered_as_its_route_would(
    sdk: openai.OpenAI, intents: str, service: Service, trainer: None
) -> None:
    texts = [text for text, _ in kit.TEXTS] * 40
    lines = [line(f"r{n}", chat(intents, text, logprobs=True)) for n, text in enumerate(texts)]
    lines.insert(3, b"\n")
    lines.append(line("gone", chat("ft:none", "hello")))
    lines.append(line("image", {"model": intents, "messages": []}))
    lines.append(line("stream", chat(intents, "hello", stream=True)))
    batch = ended(sdk, begun(sdk, lines, metadata={"night": "1"}))
    assert batch.status == "completed", batch.errors
    counts = batch.request_counts
    assert (counts.total, counts.completed, counts.failed) == (243, 240, 3)
    assert batch.metadata == {"night": "1"}
    answers = {one["custom_id"]: one for one in content(sdk, batch.output_file_id)}
    assert list(answers) == [f"r{n}" for n in range(240)]
    direct = sdk.chat.completions.create(**chat(intents, texts[7], logprobs=True))
    body = answers["r7"]["response"]["body"]
    assert answers["r7"]["response"]["status_code"] == 200
    parsed = type(direct).model_validate(body)
    assert parsed.choices[0].message.content == direct.choices[0].message.content
    assert parsed.usage == direct.usage
    assert parsed.model == intents
    errors = {one["custom_id"]: one["response"] for one in content(sdk, batch.error_file_id)}
    assert {name: one["status_code"] for name, one in errors.items()} == {
        "gone": 404,
        "image": 422,
        "stream": 422,
    }
    assert errors["gone"]["body"]["error"]["code"] == "not_found"
    with transaction(service.services.sessions) as session:
        assert session.scalars(select(RequestPieceRow)).all() == []
        assert session.scalars(select(HeldBlobRow)).all() == []
    assert list(service.services.storage.keys("requests")) == []
    with pytest.raises(openai.ConflictError):
        sdk.batches.cancel(batch.id)


def test_embeddings_are_the_routes_own(sdk: openai.OpenAI, intents: str, trainer: None) -> None:
    asked: list[dict[str, Any]] = [
        {"model": kit.TEXT_BACKBONE, "input": ["where is my card", "hello"]},
        {"model": intents, "input": "where is my card"},
        {"model": kit.TEXT_BACKBONE, "input": "x", "dimensions": 3},
    ]
    lines = [line(str(n), body, EMBEDDINGS) for n, body in enumerate(asked)]
    batch = ended(sdk, begun(sdk, lines, EMBEDDINGS))
    answers = content(sdk, batch.output_file_id)
    assert [one["custom_id"] for one in answers] == ["0", "1"]
    direct = sdk.embeddings.create(model=kit.TEXT_BACKBONE, input="where is my card")
    for one in answers:
        found = one["response"]["body"]["data"][0]["embedding"]
        np.testing.assert_allclose(found, direct.data[0].embedding, atol=2e-3)
    assert [one["custom_id"] for one in content(sdk, batch.error_file_id)] == ["2"]


def test_a_file_that_is_wrong_is_refused_line_by_line(sdk: openai.OpenAI, trainer: None) -> None:
    good = chat("m", "x")
    lines = [
        line("a", good),
        b"not json\n",
        line("a", good),
        line("b", good, EMBEDDINGS),
        line("c", good, method="GET"),
        b'{"method": "POST"}\n',
        b"[1]\n",
    ]
    batch = ended(sdk, begun(sdk, lines))
    assert batch.status == "failed"
    found = [(one.line, one.code, one.param) for one in batch.errors.data]
    assert found == [
        (2, "invalid_json_line", None),
        (3, "duplicate_custom_id", "custom_id"),
        (4, "invalid_parameter", "url"),
        (5, "invalid_parameter", "method"),
        (6, "missing_required_parameter", "custom_id"),
        (7, "invalid_json_line", None),
    ]
    assert batch.output_file_id is None
    empty = ended(sdk, begun(sdk, [b"\n", b"  \n"]))
    assert [one.code for one in empty.errors.data] == ["empty_file"]


def test_a_cancelled_batch_ends_with_what_was_answered(
    sdk: openai.OpenAI, service: Service, intents: str
) -> None:
    batch_id = begun(sdk, [line("a", chat(intents, "hello"))])
    assert sdk.batches.cancel(batch_id).status == "cancelling"
    assert sdk.batches.cancel(batch_id).status == "cancelling"

    def settled() -> bool:
        with transaction(service.services.sessions) as session:
            states = session.scalars(select(WorkRow.state).where(WorkRow.kind == "requests")).all()
        return {"queued", "running"}.isdisjoint(states)

    with training(service):  # type: ignore[arg-type]
        batch = ended(sdk, batch_id)
        wait_for(settled)
    assert batch.status == "cancelled"
    assert (batch.output_file_id, batch.error_file_id) == (None, None)


def test_what_is_too_late_is_not_asked(sdk: openai.OpenAI, service: Service, intents: str) -> None:
    batch_id = begun(sdk, [line(str(n), chat(intents, "hello")) for n in range(100)])
    with transaction(service.services.sessions) as session:
        late = update(RequestBatchRow).where(RequestBatchRow.id == batch_id)
        session.execute(late.values(expires_at=1.0))
    with training(service):  # type: ignore[arg-type]
        batch = ended(sdk, batch_id)
    assert batch.status == "expired"
    assert batch.request_counts.failed == 100
    found = content(sdk, batch.error_file_id)
    assert [one["custom_id"] for one in found] == [str(n) for n in range(100)]
    assert {one["error"]["code"] for one in found} == {"batch_expired"}


def test_batches_are_listed_and_their_files_guarded(
    client: httpx.Client, other_client: httpx.Client, sdk: openai.OpenAI, intents: str
) -> None:
    made = [begun(sdk, [line("a", chat(intents, "hello"))]) for _ in range(3)]
    listed = [one.id for one in sdk.batches.list(limit=2)]
    assert [one for one in listed if one in made] == made[::-1]
    file = sdk.batches.retrieve(made[0]).input_file_id
    assert code(client.delete(f"/v1/files/{file}")) == (409, "in_use")
    assert code(other_client.get(f"/v1/batches/{made[0]}")) == (404, "not_found")
    assert code(other_client.post(f"/v1/batches/{made[0]}/cancel")) == (404, "not_found")
    body = {"input_file_id": file, "endpoint": CHAT, "completion_window": "24h"}
    assert code(other_client.post("/v1/batches", json=body)) == (404, "not_found")


@pytest.mark.parametrize(
    ("change", "status", "param"),
    [
        ({"endpoint": "/v1/images/generations"}, 422, "endpoint"),
        ({"completion_window": "1h"}, 422, "completion_window"),
        ({"input_file_id": "file-01ke4bz3r0h5d8g2j4n6p9s1v3"}, 404, "input_file_id"),
        ({"input": "x"}, 422, "input"),
    ],
)
def test_what_makes_no_batch_is_refused(
    client: httpx.Client, sdk: openai.OpenAI, change: dict[str, str], status: int, param: str
) -> None:
    file = sdk.files.create(file=("r.jsonl", b"{}"), purpose="batch").id
    body = {"input_file_id": file, "endpoint": CHAT, "completion_window": "24h"} | change
    answer = client.post("/v1/batches", json=body)
    assert (answer.status_code, answer.json()["param"]) == (status, param)


def test_a_dataset_is_no_file_of_requests(client: httpx.Client, sdk: openai.OpenAI) -> None:
    file = sdk.files.create(file=("x.zip", small()), purpose="fine-tune").id
    body = {"input_file_id": file, "endpoint": CHAT, "completion_window": "24h"}
    assert code(client.post("/v1/batches", json=body)) == (404, "not_found")


def test_a_key_makes_one_batch(client: httpx.Client, sdk: openai.OpenAI) -> None:
    file = sdk.files.create(file=("r.jsonl", b"{}"), purpose="batch").id
    body = {"input_file_id": file, "endpoint": CHAT, "completion_window": "24h"}
    headers = {"Idempotency-Key": "nightly"}
    first, again = (client.post("/v1/batches", json=body, headers=headers) for _ in range(2))
    assert first.json()["id"] == again.json()["id"]
    assert again.headers["idempotent-replayed"] == "true"
