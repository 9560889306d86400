"""The predictor's own process: a head made by a fit, stored, and served over the socket."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.core.errors import HeadstartError
from app.core.messages import Call, Input, Options, Target
from app.infra.predictor_client import Answer, PredictorClient
from app.infra.settings import Settings
from tests import serving_kit as kit
from worker.formats import models

UNCACHED = Options(cache=False)


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings(data_dir=tmp_path_factory.mktemp("serving"))


@pytest.fixture(scope="module")
def stored(settings: Settings) -> kit.Stored:
    return kit.store_model(settings)


@pytest.fixture(scope="module")
def process(settings: Settings, stored: kit.Stored) -> Iterator[subprocess.Popen[bytes]]:
    with kit.predictor(settings) as running:
        yield running


def call(target: Target, inputs: list[bytes], options: Options = UNCACHED, **more: Any) -> Call:
    wanted = tuple(Input("image", data) for data in inputs)
    fields = {"id": "pred_1", "tenant": "org"} | more
    return Call(target=target, options=options, inputs=wanted, **fields)


def ask(settings: Settings, *calls: Call) -> list[Answer]:
    async def body(client: PredictorClient) -> list[Answer]:
        return list(await asyncio.gather(*(client.predict(one) for one in calls)))

    return with_client(settings, body)


def with_client(settings: Settings, body: Any) -> Any:
    async def run() -> Any:
        client = PredictorClient(settings.predictor, limit=1024)
        try:
            return await body(client)
        finally:
            await client.close()

    return asyncio.run(run())


@pytest.mark.usefixtures("process")
class TestServing:
    def test_it_answers_as_many_as_it_was_asked_and_mostly_right(
        self, settings: Settings, stored: kit.Stored
    ) -> None:
        examples = kit.digit_pngs(10, skip=30)
        (answer,) = ask(settings, call(stored.target, [data for data, _ in examples]))
        data = json.loads(answer.body)["data"]
        assert [item["index"] for item in data] == list(range(30))
        right = sum(i["label"] == label for i, (_, label) in zip(data, examples, strict=True))
        assert right >= 24
        for item in data:
            assert sum(p["probability"] for p in item["predictions"]) == pytest.approx(1, abs=1e-4)
        assert "forward;dur=" in answer.timing

    def test_serving_embeds_what_training_embeds(
        self, settings: Settings, stored: kit.Stored
    ) -> None:
        embed = replace(stored.target, artifact="", sha256="")
        inputs = [data for data, _ in kit.digit_pngs(10)]
        (answer,) = ask(settings, call(embed, inputs))
        rows = [item["embedding"] for item in json.loads(answer.body)["data"]]
        served = np.stack([np.frombuffer(b64decode(row), "<f4") for row in rows])
        last = kit.engine(settings.data_dir / "engines").spec.last
        trained = stored.embeddings[:, last.start : last.stop]
        trained = trained / np.linalg.norm(trained, axis=1, keepdims=True)
        np.testing.assert_allclose(served, trained, atol=1e-4)

    def test_the_same_content_is_answered_from_the_cache_and_not_when_it_is_off(
        self, settings: Settings, stored: kit.Stored
    ) -> None:
        one = [kit.digit_pngs(1, skip=70)[0][0]]
        first, second = (ask(settings, call(stored.target, one, Options()))[0] for _ in range(2))
        assert 'cache;desc="0 of 1"' in first.timing
        assert 'cache;desc="1 of 1"' in second.timing
        assert first.body == second.body
        (computed,) = ask(settings, call(stored.target, one))
        assert "forward;dur=" in computed.timing

    def test_a_bad_item_leaves_the_others_their_answers(
        self, settings: Settings, stored: kit.Stored
    ) -> None:
        inputs = [data for data, _ in kit.digit_pngs(10)] + [b"not an image", b""]
        (answer,) = ask(settings, call(stored.target, inputs))
        data = json.loads(answer.body)["data"]
        assert all("label" in item for item in data[:30])
        assert {item["error"]["code"] for item in data[30:]} <= {
            "image_invalid",
            "unsupported_image_format",
        }

    def test_one_bad_raw_input_is_an_error_of_the_call(
        self, settings: Settings, stored: kit.Stored
    ) -> None:
        png = kit.digit_pngs(1)[0][0]
        with pytest.raises(HeadstartError) as caught:
            ask(settings, call(stored.target, [png[: len(png) // 2]], single=True))
        assert caught.value.code in ("image_truncated", "image_invalid")

    def test_heads_of_many_models_meet_in_one_batch(
        self, settings: Settings, stored: kit.Stored
    ) -> None:
        others = [kit.store_model(settings, name=f"many{n}", seed=n).target for n in range(3)]
        one = [kit.digit_pngs(1, skip=40)[0][0]]
        targets = [stored.target, *others] * 4
        answers = ask(settings, *(call(target, one) for target in targets))
        asked = [json.loads(answer.body)["model"] for answer in answers]
        assert asked == [target.model for target in targets]

    def test_texts_meet_their_heads(self, settings: Settings) -> None:
        target = kit.store_text_model(settings)
        inputs = ("the card I ordered is missing", "cannot log in, wrong password")
        texts = tuple(Input("text", one.encode()) for one in inputs)
        (answer,) = ask(settings, replace(call(target, []), inputs=texts))
        data = json.loads(answer.body)["data"]
        assert [item["label"] for item in data] == ["card", "password"]
        assert data[0]["probability"] > 0.5

    def test_a_corrupt_head_never_serves(self, settings: Settings) -> None:
        target = kit.store_model(settings, name="corrupt").target
        path = settings.data_dir / "storage" / target.artifact / models.HEAD
        data = bytearray(path.read_bytes())
        data[-3] ^= 1
        path.write_bytes(data)
        with pytest.raises(HeadstartError) as caught:
            ask(settings, call(target, [kit.digit_pngs(1)[0][0]]))
        assert caught.value.code == "model_corrupt"

    @pytest.mark.parametrize("explain", [(), ("saliency",)])
    def test_a_head_is_not_asked_over_weights_it_was_not_trained_on(
        self, settings: Settings, explain: tuple[str, ...]
    ) -> None:
        name = f"other{len(explain)}"
        target = kit.store_model(settings, name=name, weights_sha256="0" * 64).target
        with pytest.raises(HeadstartError) as caught:
            ask(settings, call(target, [kit.digit_pngs(1)[0][0]], Options(explain=explain)))
        assert caught.value.code == "backbone_unavailable"
        assert "0" * 64 in caught.value.message

    def test_a_head_can_be_verified_before_an_alias_moves(
        self, settings: Settings, stored: kit.Stored
    ) -> None:
        missing = replace(stored.target, artifact="models/org/none/1")

        async def body(client: PredictorClient) -> None:
            await client.load(call(stored.target, []))
            with pytest.raises(HeadstartError) as caught:
                await client.load(call(missing, []))
            assert caught.value.code == "model_corrupt"

        with_client(settings, body)

    def test_what_comes_too_late_is_not_computed(
        self, settings: Settings, stored: kit.Stored
    ) -> None:
        options = Options(cache=False, timeout=0.0)
        with pytest.raises(HeadstartError) as caught:
            ask(settings, call(stored.target, [kit.digit_pngs(1)[0][0]], options))
        assert caught.value.code in ("deadline_exceeded", "overloaded")

    def test_a_call_whose_client_has_gone_is_not_computed(
        self, settings: Settings, stored: kit.Stored
    ) -> None:
        inputs = [data for data, _ in kit.digit_pngs(60)]

        async def body(client: PredictorClient) -> tuple[bytes, bytes]:
            waiting = asyncio.create_task(client.predict(call(stored.target, inputs * 5)))
            await asyncio.sleep(0.5)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            for _ in range(100):
                first = await client.metrics()
                if b'calls_total{code="client_gone"}' in first:
                    break
                await asyncio.sleep(0.1)
            await asyncio.sleep(0.5)
            return first, await client.metrics()

        first, second = with_client(settings, body)
        assert b'calls_total{code="client_gone"}' in first
        assert b"headstart_predictor_waiting 0.0" in first
        assert _count(second, "forward_seconds_count") - _count(first, "forward_seconds_count") <= 1

    def test_an_unknown_backbone_is_named(self, settings: Settings, stored: kit.Stored) -> None:
        target = replace(stored.target, backbone="nonesuch")
        with pytest.raises(HeadstartError) as caught:
            ask(settings, call(target, [b"x"]))
        assert caught.value.code == "unknown_backbone"


def test_overload_is_refused_at_once_and_the_rest_is_served(
    settings: Settings, stored: kit.Stored, tmp_path: Path
) -> None:
    small = Settings(data_dir=settings.data_dir, predictor_url=f"unix:{tmp_path / 'p.sock'}")
    limits = {"HEADSTART_PREDICTOR_QUEUE": "8", "HEADSTART_PREDICTOR_URL": small.predictor}
    one = [kit.digit_pngs(1)[0][0]]

    async def body(client: PredictorClient) -> list[Any]:
        calls = (client.predict(call(stored.target, one)) for _ in range(100))
        return await asyncio.gather(*calls, return_exceptions=True)

    with kit.predictor(small, **limits):
        outcomes = with_client(small, body)
    served = [one for one in outcomes if isinstance(one, Answer)]
    refused = [one for one in outcomes if isinstance(one, HeadstartError)]
    assert len(served) >= 8
    assert {error.code for error in refused} == {"overloaded"}
    assert all(error.retry_after for error in refused)


def test_sigterm_answers_what_is_under_way(
    settings: Settings, stored: kit.Stored, tmp_path: Path
) -> None:
    other = Settings(data_dir=settings.data_dir, predictor_url=f"unix:{tmp_path / 'p.sock'}")
    inputs = [data for data, _ in kit.digit_pngs(30)]

    async def body(client: PredictorClient) -> Answer:
        waiting = asyncio.create_task(client.predict(call(stored.target, inputs)))
        await asyncio.sleep(0.1)
        os.kill(process.pid, signal.SIGTERM)
        return await waiting

    with kit.predictor(other, HEADSTART_PREDICTOR_URL=other.predictor) as process:
        answer = with_client(other, body)
        assert process.wait(300) == 0
    assert len(json.loads(answer.body)["data"]) == 90


def test_it_listens_where_it_is_told_and_not_where_others_call_it(
    settings: Settings, stored: kit.Stored, tmp_path: Path
) -> None:
    own = Settings(data_dir=settings.data_dir, predictor_url=f"unix:{tmp_path / 'p.sock'}")
    named = {
        "HEADSTART_PREDICTOR_URL": "http://nobody.invalid:8001",
        "HEADSTART_PREDICTOR_LISTEN": own.predictor,
    }
    with kit.predictor(own, **named):
        (answer,) = ask(own, call(stored.target, [kit.digit_pngs(1)[0][0]]))
    assert answer.status == 200


def test_a_backbone_that_breaks_while_loading_ends_no_process(
    stored: kit.Stored, tmp_path: Path
) -> None:
    spoilt = Settings(data_dir=tmp_path)
    (tmp_path / "engines").write_text("in the way")
    with kit.predictor(spoilt):
        with pytest.raises(HeadstartError) as caught:
            ask(spoilt, call(replace(stored.target, artifact=""), [b"x"]))
    assert caught.value.code == "internal"


def test_no_predictor_is_said_so(tmp_path: Path, stored: kit.Stored) -> None:
    away = Settings(data_dir=tmp_path)
    with pytest.raises(HeadstartError) as caught:
        ask(away, call(stored.target, [b"x"]))
    assert (caught.value.code, caught.value.retry_after) == ("predictor_unavailable", 1)


def _count(text: bytes, name: str) -> float:
    lines = text.decode().splitlines()
    return float(
        next(line for line in lines if line.startswith(f"headstart_predictor_{name}")).split()[-1]
    )
