"""A decoder's embedding is of its text alone: padding, company and rounding do not change it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from app.core.errors import HeadstartError
from app.infra import weights
from tests.tiny_decoders import decoder
from worker.ml.engines import load_engine
from worker.ml.engines.torch_engine import load_torch

pytestmark = pytest.mark.slow

FAMILIES = ["gpt2", "llama", "qwen2", "qwen3"]
TEXTS = ["the card was back", "hello", "", "money " * 25, "card " * 300]


def loaded(folder: Path, name: str = "own") -> Any:
    return load_engine(name, folder, device="cpu", precision="f32")


def reference(network: Any, ids: list[int]) -> Any:
    """Mean over the last states of one text that is not padded."""
    with torch.inference_mode():
        states = network.base_model(torch.tensor([ids])).last_hidden_state[0]
    return torch.nn.functional.normalize(states.mean(0), dim=-1).numpy()


def edit(file: Path, **changed: Any) -> None:
    told = json.loads(file.read_text()) if file.is_file() else {}
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps({**told, **changed}))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_text_has_the_embedding_that_it_has_alone(family: str, tmp_path: Path) -> None:
    network = decoder(family, tmp_path / "own")
    ours, theirs = loaded(tmp_path), load_torch(weights.get("own", tmp_path), tmp_path, "cpu")
    for engine in (ours, theirs):
        rows = engine.embed(TEXTS)
        for place in range(3):
            assert np.abs(engine.embed([TEXTS[place]])[0] - rows[place]).max() < 1e-5
        (window,) = ours.encoder.windows([TEXTS[0]])[0]
        assert np.abs(rows[0] - reference(network, window)).max() < 1e-4
        assert np.abs(np.linalg.norm(rows, axis=1) - 1).max() < 1e-5
    assert (ours.embed(TEXTS) * theirs.embed(TEXTS)).sum(1).min() > 0.9999  # type: ignore[arg-type]


@pytest.mark.parametrize("pad", [None, -1, 399])
def test_what_fills_up_is_masked_whatever_it_is(pad: object, tmp_path: Path) -> None:
    decoder("llama", tmp_path / "own")
    rows = loaded(tmp_path).embed(TEXTS)
    edit(tmp_path / "own" / "config.json", pad_token_id=pad)
    kept = [0, 1, 3]  # an empty text is what fills up
    assert np.abs(loaded(tmp_path).embed(TEXTS)[kept] - rows[kept]).max() < 1e-5


@pytest.mark.parametrize("pad", [400, 151643, True, "none", [1]])
def test_what_is_no_token_of_its_table_is_refused(pad: object, tmp_path: Path) -> None:
    decoder("llama", tmp_path / "own")
    edit(tmp_path / "own" / "config.json", pad_token_id=pad)
    assert weights.window(tmp_path / "own") > 0  # a listing goes on
    with pytest.raises(HeadstartError, match="own") as caught:
        loaded(tmp_path)
    assert caught.value.code == "weights_invalid"


def test_tokens_that_pad_or_cut_on_the_left_are_read_all_the_same(tmp_path: Path) -> None:
    decoder("llama", tmp_path / "own")
    rows = loaded(tmp_path).embed(TEXTS)
    edit(
        tmp_path / "own" / "tokenizer.json",
        padding={
            "strategy": {"Fixed": 64}, "direction": "Left", "pad_to_multiple_of": None,
            "pad_id": 3, "pad_type_id": 0, "pad_token": "[PAD]",
        },
        truncation={
            "direction": "Left", "max_length": 8, "strategy": "LongestFirst", "stride": 0,
        },
    )  # fmt: skip
    assert np.abs(loaded(tmp_path).embed(TEXTS) - rows).max() < 1e-6


@pytest.mark.parametrize("family", FAMILIES)
def test_bf16_is_near_even_at_far_places(family: str, tmp_path: Path) -> None:
    decoder(family, tmp_path / "own")
    spec = weights.get("own", tmp_path)
    exact, rounded = (
        load_torch(spec, tmp_path, "cpu", precision=one)  # type: ignore[arg-type]
        for one in ("f32", "bf16")
    )
    texts = ["card money " * 55, "hello the card"]
    assert (exact.embed(texts) * rounded.embed(texts)).sum(1).min() > 0.999  # type: ignore[arg-type]


def test_positions_are_turned_by_exact_angles_in_bf16(tmp_path: Path) -> None:
    decoder("llama", tmp_path / "own")
    spec = weights.get("own", tmp_path)
    engine: Any = load_torch(spec, tmp_path, "cpu", precision="bf16")
    network = engine._network.encoder
    assert network.rotary_emb.inv_freq.dtype == torch.float32
    assert network.embed_tokens.weight.dtype == torch.bfloat16


MODES = {
    "mean": "mean", "cls": "cls", "lasttoken": "last", "weightedmean": "weighted", "max": "max",
    "mean_sqrt_len_tokens": "mean",
}  # fmt: skip


@pytest.mark.parametrize("mode", MODES)
def test_poolings_are_those_of_sentence_transformers(mode: str, tmp_path: Path) -> None:
    """As it writes them today, and as it wrote them before."""
    pooling = pytest.importorskip("sentence_transformers.models").Pooling
    network = decoder("llama", tmp_path / "own")
    made = pooling(64, pooling_mode=mode)
    (tmp_path / "own" / "1_Pooling").mkdir()
    made.save(str(tmp_path / "own" / "1_Pooling"))
    engine = loaded(tmp_path)
    assert engine.encoder.pooling == MODES[mode]
    (window,) = engine.encoder.windows(TEXTS[:1])[0]
    with torch.inference_mode():
        states = network.base_model(torch.tensor([window])).last_hidden_state
        told = {"token_embeddings": states, "attention_mask": torch.ones(1, len(window))}
        own = torch.nn.functional.normalize(made(told)["sentence_embedding"][0], dim=-1).numpy()
    assert np.abs(engine.embed(TEXTS)[0] - own).max() < 1e-4
    former = {"mean_sqrt_len_tokens": mode, "lasttoken": mode}.get(mode, f"{mode}_tokens")
    former = "cls_token" if mode == "cls" else former
    (tmp_path / "own" / "1_Pooling" / "config.json").write_text(
        json.dumps({"pooling_mode_mean_tokens": False, f"pooling_mode_{former}": True})
    )
    assert loaded(tmp_path).encoder.pooling == MODES[mode]


@pytest.mark.parametrize(
    "told",
    [{"pooling_mode": "middle"}, {"pooling_mode": ["cls", "max"]},
     {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": True}],
)  # fmt: skip
def test_a_pooling_that_is_not_read_is_refused(told: dict[str, Any], tmp_path: Path) -> None:
    decoder("llama", tmp_path / "own")
    edit(tmp_path / "own" / "1_Pooling" / "config.json", **told)
    with pytest.raises(HeadstartError, match="1_Pooling") as caught:
        loaded(tmp_path)
    assert caught.value.code == "weights_invalid"


def test_a_default_prompt_stands_before_every_text(tmp_path: Path) -> None:
    decoder("llama", tmp_path / "own")
    plain = loaded(tmp_path)
    prompts = {"prompts": {"query": "money: ", "document": ""}, "default_prompt_name": "query"}
    edit(tmp_path / "own" / "config_sentence_transformers.json", **prompts)
    asked = loaded(tmp_path)
    whole = [plain.encoder.windows([f"money: {text}"]) for text in ("card", "the card was")]
    assert [asked.encoder.windows([text]) for text in ("card", "the card was")] == whole
    assert asked.fingerprint != plain.fingerprint
    edit(tmp_path / "own" / "config_sentence_transformers.json", default_prompt_name=None)
    assert loaded(tmp_path).fingerprint == plain.fingerprint


def test_weights_that_make_no_network_are_listed_so_until_they_change(tmp_path: Path) -> None:
    decoder("llama", tmp_path / "own")
    file, cache = tmp_path / "own" / "model.safetensors", tmp_path / "engines"
    whole = load_file(file)
    kept = {name: one for name, one in whole.items() if "layers.1.mlp" not in name}
    save_file(kept, file, metadata={"format": "pt"})
    assert weights.availability("own", tmp_path, cache).available  # its head is whole
    with pytest.raises(HeadstartError, match=r"layers\.1\.mlp"):
        load_engine("own", tmp_path, device="cpu", precision="f32", cache_dir=cache)
    available, reason = weights.availability("own", tmp_path, cache)
    assert not available
    assert "layers.1.mlp" in (reason or "")
    save_file(whole, file, metadata={"format": "pt"})
    assert weights.availability("own", tmp_path, cache).available
    load_engine("own", tmp_path, device="cpu", precision="f32", cache_dir=cache)
    weights.refuse("own", tmp_path, cache, "an older library did not read it")
    assert not weights.availability("own", tmp_path, cache).available
    load_engine("own", tmp_path, device="cpu", precision="f32", cache_dir=cache)
    assert weights.availability("own", tmp_path, cache).available
