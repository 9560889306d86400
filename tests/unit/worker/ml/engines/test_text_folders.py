"""Encoders and decoders of many families work from the folders that transformers saves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as hf
from tokenizers import Tokenizer, models, pre_tokenizers

from tests.unit.worker.ml.tiny_encoder import FAMILIES, saved
from worker.ml.engines import finite, load_engine
from worker.ml.engines.torch_engine import load_torch

pytestmark = pytest.mark.slow

TEXTS = ["My card was stolen", "How do I report a lost card?", "", "word " * 200]


@pytest.mark.parametrize("name", FAMILIES)
def test_torch_and_the_cpu_engine_agree(name: str, tmp_path: Path) -> None:
    saved(name, tmp_path)
    ours: Any = load_engine(name, tmp_path, device="cpu", precision="f32")
    theirs: Any = load_torch(ours.spec, tmp_path, "cpu")
    vectors = ours.embed(TEXTS)
    assert vectors.shape == (4, 32)
    assert (vectors * theirs.embed(TEXTS)).sum(1).min() > 0.999
    assert np.abs(ours.embed(TEXTS[:1]) - vectors[:1]).max() < 1e-4


def test_a_decoder_may_be_read_at_its_last_token(tmp_path: Path) -> None:
    saved("llama", tmp_path)
    (tmp_path / "llama" / "1_Pooling").mkdir()
    stated = {"pooling_mode_lasttoken": True}
    (tmp_path / "llama" / "1_Pooling" / "config.json").write_text(json.dumps(stated))
    engine: Any = load_engine("llama", tmp_path, device="cpu", precision="f32")
    (window,) = engine.encoder.windows(TEXTS[:1])[0]
    network = hf.LlamaModel.from_pretrained(tmp_path / "llama")
    with torch.inference_mode():
        states = network(torch.tensor([window])).last_hidden_state[0, -1]
    own = torch.nn.functional.normalize(states, dim=-1).numpy()
    assert np.abs(engine.embed(TEXTS)[0] - own).max() < 1e-4  # beside longer texts, too


def test_a_text_that_the_tokenizer_gives_up_on_takes_no_other_along(tmp_path: Path) -> None:
    """Onig gives up on an expression, which is a panic of the library and no Exception."""
    saved("bert", tmp_path)
    path = tmp_path / "bert" / "tokenizer.json"
    told = json.loads(path.read_text())
    split = {"type": "Split", "pattern": {"Regex": "(a|a|aa)+$"}, "behavior": "Isolated"}
    told["pre_tokenizer"] = {**split, "invert": False}
    path.write_text(json.dumps(told))
    engine: Any = load_engine("bert", tmp_path, device="cpu", precision="f32")
    vectors = engine.embed(["my card", "a" * 40 + " b", "my card"])
    assert np.isfinite(vectors).all(1).tolist() == [True, False, True]
    assert engine.encoder.counts(["a" * 40 + " b"]) == [0]
    assert finite.not_finite(engine).message.endswith("or cannot read it")


def test_a_text_of_no_known_word_is_that_texts_trouble(tmp_path: Path) -> None:
    """A vocabulary without a word for what is unknown makes its library raise."""
    saved("bert", tmp_path)
    plain = Tokenizer(models.WordLevel({"card": 0, "my": 1}, unk_token="[UNK]"))
    plain.pre_tokenizer = pre_tokenizers.Whitespace()
    plain.save(str(tmp_path / "bert" / "tokenizer.json"))
    engine: Any = load_engine("bert", tmp_path, device="cpu", precision="f32")
    vectors = engine.embed(["my card", "my purse"])
    assert np.isfinite(vectors).all(1).tolist() == [True, False]


def test_an_empty_text_of_no_token_has_an_embedding(tmp_path: Path) -> None:
    saved("gpt2", tmp_path)
    plain = Tokenizer(models.WordLevel({"card": 0, "my": 1, "[UNK]": 2}, unk_token="[UNK]"))
    plain.pre_tokenizer = pre_tokenizers.Whitespace()
    plain.save(str(tmp_path / "gpt2" / "tokenizer.json"))
    engine: Any = load_engine("gpt2", tmp_path, device="cpu", precision="f32")
    assert engine.encoder.windows([""]) == [[[]]]
    alone = engine.embed([""])
    assert np.isfinite(alone).all()
    assert np.isfinite(engine.embed(["my card", ""])).all()
