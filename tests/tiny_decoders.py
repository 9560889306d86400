"""Decoders of a few thousand numbers, saved by the libraries themselves: folders and GGUF files."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
import transformers as hf
from numpy.typing import NDArray
from tokenizers import Tokenizer, models, pre_tokenizers

WORDS = ("the", "card", "was", "money", "hello", "back")
SIZES: dict[str, Any] = {
    "vocab_size": 400, "hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4,
    "num_key_value_heads": 2, "intermediate_size": 128, "max_position_embeddings": 128,
    "rms_norm_eps": 1e-6, "pad_token_id": None,
}  # fmt: skip
DECODERS: Mapping[str, Callable[[], Any]] = {
    "gpt2": lambda: hf.GPT2LMHeadModel(
        hf.GPT2Config(vocab_size=400, n_embd=64, n_layer=3, n_head=4, n_positions=128)
    ),
    "llama": lambda: hf.LlamaForCausalLM(hf.LlamaConfig(**SIZES)),
    "qwen2": lambda: hf.Qwen2ForCausalLM(hf.Qwen2Config(**SIZES)),
    "qwen3": lambda: hf.Qwen3ForCausalLM(hf.Qwen3Config(**SIZES, head_dim=32)),
}
PARTS = {
    "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}  # fmt: skip


def decoder(family: str, folder: Path) -> Any:
    """Its network, whose weights and tokens now lie in the folder."""
    torch.manual_seed(0)
    made = DECODERS[family]().eval()
    made.save_pretrained(folder)
    tokenizer().save(str(folder / "tokenizer.json"))
    return made


def tokenizer() -> Tokenizer:
    """Byte-level pairs of a few words."""
    pieces, merges = vocabulary()
    made = Tokenizer(models.BPE({piece: at for at, piece in enumerate(pieces)}, merges))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return made


def vocabulary() -> tuple[list[str], list[tuple[str, str]]]:
    """Every byte, and what is joined on the way to some words."""
    pieces, merges = sorted(pre_tokenizers.ByteLevel.alphabet()), []
    for word in WORDS:
        for stem, whole in pairwise(word[: end + 1] for end in range(len(word))):
            if whole not in pieces:
                pieces.append(whole)
                merges.append((stem, whole[len(stem) :]))
    return pieces, merges


def gguf_file(
    family: str,
    network: Any,
    path: Path,
    *,
    kind: Any = gguf.GGMLQuantizationType.Q8_0,
    **more: Any,
) -> None:
    """The network as ggml's own writer saves it: matrices of whole blocks as `kind`."""
    writer = gguf.GGUFWriter(path, family)
    config = network.config
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(config.head_dim if family == "qwen3" else 64 // 4)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_string("general.license", "mit")
    _tokens(writer, config.vocab_size, **more)
    for name, tensor in network.model.state_dict().items():
        _tensor(writer, _named(name), tensor.numpy(), family, config, kind)
    for step in ("write_header_to_file", "write_kv_data_to_file", "write_tensors_to_file", "close"):
        getattr(writer, step)()


def _tokens(writer: Any, words: int, *, model: str = "gpt2", pre: str = "gpt-2") -> None:
    pieces, merges = vocabulary()
    pieces = [*pieces, *(f"[{at}]" for at in range(len(pieces), words))]
    writer.add_tokenizer_model(model)
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(pieces)
    writer.add_token_types([1] * len(pieces))
    writer.add_token_merges([" ".join(pair) for pair in merges])


def _named(name: str) -> str:
    known = {"embed_tokens.weight": "token_embd.weight", "norm.weight": "output_norm.weight"}
    if name in known:
        return known[name]
    _, number, rest = name.split(".", 2)
    part, _, leaf = rest.rpartition(".")
    return f"blk.{number}.{PARTS[part]}.{leaf}"


def _tensor(
    writer: Any, name: str, rows: NDArray[np.float32], family: str, config: Any, kind: Any
) -> None:
    heads = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}
    own = heads.get(name.split(".")[2] if name.startswith("blk.") else "")
    if own and family == "llama":  # as llama.cpp's converter turns them
        halves = rows.reshape(own, 2, rows.shape[0] // own // 2, *rows.shape[1:])
        rows = np.ascontiguousarray(halves.swapaxes(1, 2).reshape(rows.shape))
    if rows.ndim < 2:
        writer.add_tensor(name, rows)
        return
    writer.add_tensor(name, gguf.quantize(rows, kind), raw_dtype=kind)


def say(folder: Path, name: str, **told: Any) -> None:
    """What a side file says of a backbone."""
    (folder / f"{name}.json").write_text(json.dumps(told))
