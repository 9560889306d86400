"""SmolLM2-135M as its package brings it: the numbers and tokens that transformers reads of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer
from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint
from transformers.utils import logging

from app.core.backbones import SMOLLM2
from app.infra import weights
from app.models.catalogue import _PIECES
from worker.ml.backbones.packed_gguf import GgufFile
from worker.ml.backbones.packed_gguf_network import network
from worker.ml.engines import load_engine
from worker.ml.engines.torch_engine import load_torch

TEXTS = ["Shares fell 3.5% in 2024", "The bank raises its guidance", "Ina kwana?", "", "a " * 900]


@pytest.fixture(scope="module")
def file() -> Path:
    source = weights.find(SMOLLM2.name, None)
    if source is None:
        pytest.skip("SmolLM2 is not installed: make smollm2")
    return source.path


def test_its_numbers_are_those_that_transformers_unpacks(file: Path) -> None:
    logging.disable_progress_bar()
    ours = network(GgufFile(file))
    theirs = load_gguf_checkpoint(str(file), return_tensors=True, model_to_load=ours)["tensors"]
    own = ours.state_dict()
    assert len(own) == len(theirs) == 272
    assert all(torch.equal(own[name], tensor) for name, tensor in theirs.items())


def test_its_tokens_are_those_that_transformers_makes(file: Path, shared_data: Path) -> None:
    theirs = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
    ours = GgufFile(file).tokenizer()
    for name in ("banking77", "naijasenti_hau"):
        lines = (shared_data / name / "test.jsonl").read_text("utf-8").splitlines()[:300]
        texts = [str(json.loads(line)["text"]) for line in lines]
        assert [one.ids for one in ours.encode_batch(texts)] == theirs(texts).input_ids


def test_both_engines_read_it_alike(file: Path, tmp_path: Path) -> None:
    ours: Any = load_engine(SMOLLM2.name, None, device="cpu", cache_dir=tmp_path, precision="f32")
    (graph,) = tmp_path.glob("SmolLM2*.bin")
    assert graph.stat().st_size < 280_000_000  # fp16 of what were 4 bits
    theirs: Any = load_torch(SMOLLM2, None, "cpu")
    rows = ours.embed(TEXTS)
    assert rows.shape == (5, 576)
    assert (rows * theirs.embed(TEXTS)).sum(1).min() > 0.9999
    assert np.abs(ours.embed(TEXTS[:1]) - rows[:1]).max() < 1e-4
    assert ours.weights_sha256.startswith("b179c952")
    room = SMOLLM2.input_size - ours.encoder.room
    assert room == len(_PIECES.findall(SMOLLM2.template))
