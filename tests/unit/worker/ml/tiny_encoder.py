"""Encoders and decoders of texts of a few thousand numbers, as transformers saves them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import transformers as hf

from app.core.backbones import MINILM
from app.core.modalities import Depth
from app.infra import weights
from worker.ml.backbones.encoders import PooledEncoder
from worker.ml.backbones.suffix import Suffix
from worker.ml.engines.texts import Encoder
from worker.ml.engines.tunable import text_suffix

WORDS = 30522
BERT: dict[str, Any] = {
    "vocab_size": WORDS, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
    "intermediate_size": 64, "max_position_embeddings": 66,
}  # fmt: skip
FAMILIES: dict[str, Callable[[], Any]] = {
    "bert": lambda: hf.BertModel(hf.BertConfig(**BERT)),
    "xlm-roberta": lambda: hf.XLMRobertaModel(hf.XLMRobertaConfig(**BERT)),
    "deberta": lambda: hf.DebertaV2Model(
        hf.DebertaV2Config(**BERT, relative_attention=True, pos_att_type=["p2c", "c2p"])
    ),
    "distilbert": lambda: hf.DistilBertModel(
        hf.DistilBertConfig(vocab_size=WORDS, dim=32, n_layers=2, n_heads=2, hidden_dim=64)
    ),
    "t5": lambda: hf.T5EncoderModel(
        hf.T5Config(vocab_size=WORDS, d_model=32, d_kv=16, d_ff=64, num_layers=2, num_heads=2)
    ),
    "gpt2": lambda: hf.GPT2LMHeadModel(
        hf.GPT2Config(vocab_size=WORDS, n_embd=32, n_layer=2, n_head=2, n_positions=64)
    ),
    "llama": lambda: hf.LlamaForCausalLM(hf.LlamaConfig(**BERT)),
    "qwen2": lambda: hf.Qwen2ForCausalLM(hf.Qwen2Config(**BERT, num_key_value_heads=1)),
}


def saved(name: str, folder: Path) -> None:
    """A network of the family, as a backbone of its name."""
    torch.manual_seed(0)
    FAMILIES[name]().save_pretrained(folder / name)
    tokens = weights.find("all-MiniLM-L6-v2", None)
    assert tokens is not None
    shutil.copy(tokens.path / "tokenizer.json", folder / name)


def tiny_texts(depth: Depth) -> Suffix:
    """What is tuned of a network of the first family, which reads tokens as a real one does."""
    torch.manual_seed(0)
    network = PooledEncoder(FAMILIES["bert"](), "mean").eval().requires_grad_(False)
    encoder = Encoder(replace(MINILM, input_size=64), weights.require(MINILM, None).path)
    return text_suffix(network, encoder, depth)
