"""A folder that has more than is read of it is refused: its numbers would be others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf

from app.core.errors import HeadstartError
from tests.unit.worker.ml.tiny_encoder import BERT, FAMILIES, saved
from worker.ml.backbones.encoders import text_network
from worker.ml.backbones.text_files import HuggingFaceFolder

MODULES = "sentence_transformers.models"


def changed(file: Path, **told: Any) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **told}))


def refused(folder: Path) -> str:
    with pytest.raises(HeadstartError) as caught:
        text_network(folder, "mean")
    assert caught.value.code == "weights_invalid"
    return caught.value.message


def depth_of(folder: Path) -> str:
    told = json.loads((folder / "config.json").read_text())
    keys = ("num_hidden_layers", "n_layers", "n_layer", "num_layers")
    return next(key for key in keys if key in told)


@pytest.mark.parametrize("name", FAMILIES)
def test_more_layers_in_the_file_than_in_the_settings_are_refused(
    name: str, tmp_path: Path
) -> None:
    saved(name, tmp_path)
    changed(tmp_path / name / "config.json", **{depth_of(tmp_path / name): 1})
    told = refused(tmp_path / name)
    assert "config.json does not read" in told or name == "qwen2"  # whose settings say it twice
    assert len(told) < 500


@pytest.mark.parametrize(
    "head",
    ["BertForSequenceClassification", "BertForPreTraining", "BertForTokenClassification"],
)
def test_heads_of_other_tasks_are_left(head: str, tmp_path: Path) -> None:
    saved("bert", tmp_path)
    torch.manual_seed(0)
    network = getattr(hf, head)(hf.BertConfig(**BERT)).eval()
    network.save_pretrained(tmp_path / "bert")
    ids = torch.tensor([[101, 2026, 102]])
    with torch.inference_mode():
        own = network.bert(ids).last_hidden_state.mean(1)
        read = text_network(tmp_path / "bert", "mean")(ids, torch.ones_like(ids))
    assert torch.allclose(read, torch.nn.functional.normalize(own, dim=-1), atol=1e-5)


def test_tokens_beyond_the_table_are_refused(tmp_path: Path) -> None:
    saved("bert", tmp_path)
    tokens = (tmp_path / "bert" / "tokenizer.json").read_text()
    hf.BertModel(hf.BertConfig(**{**BERT, "vocab_size": 20000})).save_pretrained(tmp_path / "bert")
    assert "30521" in refused(tmp_path / "bert")
    hf.BertModel(hf.BertConfig(**{**BERT, "vocab_size": 30530})).save_pretrained(tmp_path / "bert")
    assert (tmp_path / "bert" / "tokenizer.json").read_text() == tokens
    text_network(tmp_path / "bert", "mean")  # rows without a token are none's


@pytest.mark.parametrize(
    ("kind", "place", "told"),
    [
        (f"{MODULES}.Dense", "2_Dense", "2_Dense"),
        (f"{MODULES}.LayerNorm", "2_LayerNorm", "LayerNorm"),
        ("sentence_transformers.base.modules.dense.Dense", "2_Dense", "2_Dense"),
        (f"{MODULES}.Pooling", "2_Pooling", "1_Pooling"),
        (f"{MODULES}.Transformer", "0_Transformer", "Transformer"),
    ],
)
def test_modules_that_are_not_read_are_refused(
    kind: str, place: str, told: str, tmp_path: Path
) -> None:
    (tmp_path / "modules.json").write_text(json.dumps([{"type": kind, "path": place}]))
    with pytest.raises(HeadstartError, match=told) as caught:
        HuggingFaceFolder(tmp_path)
    assert caught.value.code == "weights_invalid"


@pytest.mark.parametrize("content", ["{}}", '{"type": 1}', "[1]", '[{"type": "x"}]', "7"])
def test_a_list_of_modules_that_is_none_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "modules.json").write_text(content)
    with pytest.raises(HeadstartError, match=r"modules\.json") as caught:
        HuggingFaceFolder(tmp_path)
    assert caught.value.code == "weights_invalid"


def test_modules_that_are_read_are_read(tmp_path: Path) -> None:
    own = [("Transformer", ""), ("Pooling", "1_Pooling"), ("Normalize", "2_Normalize")]
    told = [{"type": f"{MODULES}.{kind}", "path": place} for kind, place in own]
    (tmp_path / "modules.json").write_text(json.dumps(told))
    assert HuggingFaceFolder(tmp_path).pooling == "mean"
