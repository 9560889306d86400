"""The text backbone gives its published embedding, whatever the order, length or batch."""

from __future__ import annotations

import json
import shutil
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import RobertaConfig, RobertaModel

from app.core.backbones import MOST_WINDOWS
from app.core.errors import HeadstartError
from app.infra import weights
from worker.ml.backbones.encoders import text_network
from worker.ml.engines import embedding_key, load_engine
from worker.ml.engines.torch_engine import load_torch

pytestmark = pytest.mark.slow

TEXTS = [
    "My card was stolen and I need a new one",
    "How do I report a lost card?",
    "The weather is lovely today",
    "",
    "Ina kwana?",
    "very " * 600 + "long",
]


def minilm() -> Path:
    source = weights.find("all-MiniLM-L6-v2", None)
    assert source is not None
    return source.path


def test_it_is_the_published_model(text_engine: Any) -> None:
    assert text_engine.weights_sha256.startswith("53aa5117")
    vectors = text_engine.embed(TEXTS)
    assert vectors.shape == (6, 384)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    near, far = vectors[0] @ vectors[1], vectors[0] @ vectors[2]
    assert near > 0.5 > 0.2 > far


def test_openvino_and_torch_agree(text_engine: Any) -> None:
    theirs: Any = load_torch(text_engine.spec, None, "cpu")
    assert (text_engine.embed(TEXTS) * theirs.embed(TEXTS)).sum(1).min() > 0.999
    assert embedding_key(text_engine, "text") != embedding_key(theirs, "text")


def test_order_and_company_do_not_matter(text_engine: Any) -> None:
    texts = [f"{word} " * length for length, word in enumerate(["red", "green", "blue"] * 13, 1)]
    vectors = text_engine.embed(texts)
    assert np.abs(text_engine.embed(texts[::-1])[::-1] - vectors).max() < 1e-4
    assert np.abs(text_engine.embed(texts[:1]) - vectors[:1]).max() < 1e-4


def test_long_texts_are_read_in_windows(text_engine: Any) -> None:
    long, short = text_engine.encoder.windows(["word " * 5000, "a word"])
    assert {len(window) for window in long[:-1]} == {256}
    assert sum(len(window) - 2 for window in long) == 5000
    assert len(short) == 1
    exact = "word " * (MOST_WINDOWS * 254)
    assert text_engine.encoder.truncated([exact, exact + "word"]) == [False, True]


def test_scripts_that_it_has_no_pieces_for_are_told(text_engine: Any) -> None:
    read = ["My card was stolen", "", "12345 !?", "Ina kwana? 🙂", "Моя карта украдена"]
    unread = ["ካርዴ ተሰርቋል አዲስ እፈልጋለሁ", "ខ្ញុំត្រូវការកាតថ្មី", "ᏣᎳᎩ ᎦᏬᏂᎯᏍᏗ"]
    told = text_engine.encoder.unread([*read, *unread, unread[0] * 400])
    assert told == [False] * len(read) + [True] * 4


def test_what_stands_at_the_end_of_a_long_text_counts(text_engine: Any) -> None:
    filler = "the contract says that rent is due. " * 60
    ends = ["we cancel it now", "we renew it gladly"]
    one, other, whole, beyond = text_engine.embed(
        [filler + ends[0], filler + ends[1], ends[0], filler * 9 + ends[0]]
    )
    assert one @ other < 0.9999
    assert one @ whole > other @ whole
    again = text_engine.embed([filler * 9 + ends[1]])[0]
    assert abs(again @ beyond - 1) < 1e-6  # behind the last window
    assert np.abs(np.linalg.norm([one, other, whole, beyond], axis=1) - 1).max() < 1e-5


def test_a_short_text_is_embedded_as_beside_long_ones(text_engine: Any) -> None:
    alone = text_engine.embed(["a word"])
    beside = text_engine.embed(["word " * 700, "a word"])[1:]
    assert np.abs(alone - beside).max() < 1e-4


def test_forms_of_one_text_have_one_embedding(text_engine: Any) -> None:
    text = "Iṣẹ́ yín dára púpọ̀"
    forms = [unicodedata.normalize("NFC", text), unicodedata.normalize("NFD", text) + "\r\n "]
    windows = text_engine.encoder.windows(forms)
    assert windows[0] == windows[1]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small RoBERTa-like encoder of a user's own, with the tokens of MiniLM."""
    torch.manual_seed(0)
    config = RobertaConfig(
        vocab_size=30522, hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=64, max_position_embeddings=66, pad_token_id=1,
    )  # fmt: skip
    RobertaModel(config).save_pretrained(tmp_path / "mine", safe_serialization=True)
    shutil.copy(minilm() / "tokenizer.json", tmp_path / "mine")
    return tmp_path / "mine"


def test_a_local_encoder_works_from_its_folder(folder: Path) -> None:
    engine: Any = load_engine("mine", folder.parent, device="cpu", precision="f32")
    theirs: Any = load_torch(engine.spec, folder.parent, "cpu")
    assert engine.embed(TEXTS).shape == (6, 32)
    assert (engine.embed(TEXTS) * theirs.embed(TEXTS)).sum(1).min() > 0.999
    assert len(engine.encoder.windows(["word " * 99])[0][0]) == 64


def test_the_tokens_are_part_of_the_key(folder: Path) -> None:
    mean = load_engine("mine", folder.parent, device="cpu", precision="f32")
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text('{"pooling_mode_cls_token": true}')
    cls = load_engine("mine", folder.parent, device="cpu", precision="f32")
    assert mean.weights_sha256 == cls.weights_sha256
    assert embedding_key(mean, "text") != embedding_key(cls, "text")


def test_an_incomplete_encoder_is_refused(folder: Path) -> None:
    state = load_file(folder / "model.safetensors")
    del state["encoder.layer.1.output.dense.weight"]
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(HeadstartError) as caught:
        text_network(folder, "mean")
    assert caught.value.code == "weights_invalid"


def test_an_encoder_of_no_known_kind_is_refused(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "unheard-of"}))
    with pytest.raises(HeadstartError) as caught:
        text_network(folder, "mean")
    assert caught.value.code == "weights_invalid"


def test_missing_and_broken_tokens_are_named(folder: Path) -> None:
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(HeadstartError) as caught:
        load_engine("mine", folder.parent, device="cpu", precision="f32")
    assert caught.value.code == "weights_invalid"
    (folder / "tokenizer.json").unlink()
    with pytest.raises(HeadstartError) as caught:
        load_engine("mine", folder.parent, device="cpu", precision="f32")
    assert caught.value.code == "backbone_unavailable"
