"""A network whose answer to a text hangs on its company, or that is converted wrong, is refused."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as hf

from app.core.errors import HeadstartError
from app.infra import weights
from app.infra.weights import availability
from tests.unit.worker.ml.tiny_encoder import BERT, saved
from worker.ml.engines import company, load_engine
from worker.ml.engines.texts import Encoder
from worker.ml.engines.torch_engine import load_torch

_FEW = {key: value for key, value in BERT.items() if key != "num_attention_heads"}
ODD: dict[str, Callable[[], Any]] = {
    "fnet": lambda: hf.FNetModel(hf.FNetConfig(**_FEW, tpu_short_seq_length=64)),
    "convbert": lambda: hf.ConvBertModel(hf.ConvBertConfig(**BERT, embedding_size=32)),
    "longformer": lambda: hf.LongformerModel(
        hf.LongformerConfig(**BERT, attention_window=8, pad_token_id=0)
    ),
    "mixtral": lambda: hf.MixtralModel(
        hf.MixtralConfig(**BERT, num_key_value_heads=1, num_local_experts=2)
    ),
}


def _saved(family: str, folder: Path) -> None:
    torch.manual_seed(0)
    config = ODD[family]()
    for one in config.parameters():
        one.data.normal_(0, 0.1)
    config.save_pretrained(folder / family)
    tokens = weights.require(weights.get("all-MiniLM-L6-v2"), None).path
    shutil.copy(tokens / "tokenizer.json", folder / family)


def _refused(family: str, folder: Path, device: str = "cpu") -> str:
    with pytest.raises(HeadstartError) as caught:
        load_engine(family, folder, device=device, cache_dir=folder / "cache", precision="f32")
    assert caught.value.code == "weights_invalid"
    assert f"{family}: its network, of the family '{family}'" in caught.value.message
    assert "choose a network of another family" in caught.value.message
    return caught.value.message


@pytest.mark.parametrize("family", ["fnet", "convbert"])
def test_what_reads_what_fills_up_is_refused(family: str, tmp_path: Path) -> None:
    _saved(family, tmp_path)
    told = _refused(family, tmp_path)
    assert "an embedding would hang on the other texts of its request" in told
    assert availability(family, tmp_path, tmp_path / "cache").reason == told
    with pytest.raises(HeadstartError, match="reads what fills up"):
        load_torch(weights.get(family, tmp_path), tmp_path, "cpu")


def test_what_branches_on_lengths_is_refused_every_time(tmp_path: Path) -> None:
    """No graph of it is kept that another process would find, and take."""
    _saved("longformer", tmp_path)
    for _ in range(2):
        _refused("longformer", tmp_path)
    assert not list((tmp_path / "cache").glob("*.xml"))


def test_torch_reads_that_right(tmp_path: Path) -> None:
    _saved("longformer", tmp_path)
    engine: Any = load_torch(weights.get("longformer", tmp_path), tmp_path, "cpu")
    texts = ["one", "many words of a text that is much longer than the other one is, by far"]
    assert np.allclose(engine.embed(texts)[:1], engine.embed(texts[:1]), atol=1e-5)


def test_what_cannot_be_converted_is_refused_with_its_family(tmp_path: Path) -> None:
    _saved("mixtral", tmp_path)
    assert "does what cannot be converted" in _refused("mixtral", tmp_path)


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate")]
)
def test_a_lack_of_memory_is_no_fault_of_the_weights(error: Exception, tmp_path: Path) -> None:
    with pytest.raises(type(error)), company.told_as(tmp_path, "is odd"):
        raise error


def test_a_graph_of_other_numbers_is_refused(tmp_path: Path) -> None:
    saved("bert", tmp_path)
    spec = weights.get("bert", tmp_path)
    encoder, rows = Encoder(spec, tmp_path / "bert"), np.eye(5, 8, dtype=np.float32)
    own = company.OwnRows([[1] * 3, [2] * 8], rows[:2])
    given = iter([rows[:1], rows[1:2], rows[:2], rows[:1], rows[1:2], rows[[0, 2]]])
    company.check_graph(tmp_path / "bert", encoder, own, lambda *_: next(given))
    with pytest.raises(HeadstartError, match="for texts of other lengths"):
        company.check_graph(tmp_path / "bert", encoder, own, lambda *_: next(given))
