"""What Triton's tools ask beside inferences, by their own client."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import numpy as np
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from tests.api.service import Service

TEXTS = np.array(["where is my card", "my password"], dtype=np.object_)


@pytest.fixture
def tools(service: Service) -> Iterator[triton.InferenceServerClient]:
    client = triton.InferenceServerClient(service.url.removeprefix("http://"))
    yield client
    client.close()


@pytest.fixture
def auth(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def ask(
    tools: triton.InferenceServerClient, model: str, auth: dict[str, str], name: str = "text"
) -> None:
    tensor = triton.InferInput(name, [2], "BYTES")
    tensor.set_data_from_numpy(TEXTS)
    tools.infer(model, [tensor], headers={**auth, "x-headstart-cache": "off"})


def test_the_index_lists_models_and_aliases(
    tools: triton.InferenceServerClient, auth: dict[str, str], words: str, model: str
) -> None:
    found = {one["name"]: one for one in tools.get_model_repository_index(headers=auth)}
    assert {words, "default", model} <= set(found)
    assert found[words]["state"] == "READY"


def test_the_configuration_fits_the_metadata(
    tools: triton.InferenceServerClient, auth: dict[str, str], words: str
) -> None:
    config = tools.get_model_config(words, headers=auth)
    assert config == tools.get_model_config(words, "1", headers=auth)
    told = tools.get_model_metadata(words, headers=auth)
    for mine, theirs in (("input", "inputs"), ("output", "outputs")):
        assert [(one["name"], one["dims"]) for one in config[mine]] == [
            (one["name"], one["shape"]) for one in told[theirs]
        ]
    assert config["max_batch_size"] == 0


def test_statistics_count_what_was_asked(
    tools: triton.InferenceServerClient, auth: dict[str, str], words: str
) -> None:
    def counted() -> tuple[int, int, int, int]:
        (one,) = tools.get_inference_statistics(words, headers=auth)["model_stats"]
        stats = one["inference_stats"]
        assert stats["compute_infer"]["count"] == one["execution_count"]
        assert stats["success"]["ns"] >= stats["compute_infer"]["ns"]
        done, failed = stats["success"]["count"], stats["fail"]["count"]
        return one["inference_count"], one["execution_count"], done, failed

    before = counted()
    ask(tools, words, auth)
    with pytest.raises(InferenceServerException):
        ask(tools, words, auth, name="image")
    after = counted()
    assert [b - a for a, b in zip(before, after, strict=True)] == [2, 1, 1, 1]
    names = {one["name"] for one in tools.get_inference_statistics(headers=auth)["model_stats"]}
    assert words in names


def test_anothers_models_are_neither_listed_nor_counted(
    other_client: httpx.Client, words: str
) -> None:
    assert other_client.post("/v2/repository/index").json() == []
    assert other_client.get("/v2/models/stats").json() == {"model_stats": []}
    for rest in ("config", "stats"):
        assert other_client.get(f"/v2/models/{words}/{rest}").status_code == 404
