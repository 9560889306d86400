"""EmbeddingGemma's family reads both ways, by windows: as transformers, in every engine."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as hf

from app.infra import weights
from tests.unit.worker.ml.tiny_encoder import BERT
from worker.ml.engines import load_engine
from worker.ml.engines.torch_engine import load_torch

_TEXTS = ("hello", " ".join(["far", "from", "one", "another", "is", "no", "neighbour"] * 4))
_GEMMA: dict[str, Any] = {
    **BERT, "num_key_value_heads": 1, "head_dim": 16, "sliding_window": 8,
    "layer_types": ["sliding_attention", "full_attention"], "initializer_range": 0.2,
}  # fmt: skip


def _saved(folder: Path, *, both_ways: bool) -> Any:
    torch.manual_seed(0)
    config = hf.Gemma3TextConfig(**_GEMMA, use_bidirectional_attention=both_ways)
    hf.Gemma3TextModel(config).save_pretrained(folder / "gemma")
    tokens = weights.require(weights.get("all-MiniLM-L6-v2"), None).path
    shutil.copy(tokens / "tokenizer.json", folder / "gemma")
    return hf.AutoModel.from_pretrained(folder / "gemma", dtype=torch.float32).eval()


def _own(network: Any, engine: Any) -> Any:
    """By transformers' own masks, mean over the tokens of each text alone."""
    rows = []
    for (window,) in engine.encoder.windows(_TEXTS):
        with torch.no_grad():
            states = network(input_ids=torch.tensor([window])).last_hidden_state[0].mean(0)
        rows.append((states / states.norm()).numpy())
    return np.stack(rows)


@pytest.mark.parametrize("both_ways", [True, False])
def test_a_decoder_that_reads_both_ways_is_read_as_transformers_does(
    both_ways: bool, tmp_path: Path
) -> None:
    network = _saved(tmp_path, both_ways=both_ways)
    engine: Any = load_engine("gemma", tmp_path, device="cpu", precision="f32")
    pooled = load_torch(engine.spec, tmp_path, "cpu")
    own = _own(network, engine)
    assert np.allclose(engine.embed(_TEXTS), own, atol=1e-4)
    assert np.allclose(pooled.embed(list(_TEXTS)), own, atol=1e-4)


def test_what_fills_up_is_finite_in_fewer_bits(tmp_path: Path) -> None:
    """A place behind a short text has nothing near that counts."""
    _saved(tmp_path, both_ways=True)
    engine = load_torch(weights.get("gemma", tmp_path), tmp_path, "cpu", precision="bf16")
    assert np.isfinite(engine.embed(list(_TEXTS))).all()
