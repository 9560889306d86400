"""The network of a GGUF file: transformers' own of its family, every number from the file."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoModel

from worker.ml.backbones.packed_gguf import GgufFile
from worker.ml.backbones.sources.loading import filled

_ROTATION = 10000.0
"""What ggml takes where a file says nothing."""


def network(file: GgufFile) -> nn.Module:
    """The decoder without its last layer, in eval mode. Raises weights_invalid."""
    config = _config(file)
    state = {name: torch.from_numpy(rows) for name, rows in file.tensors()}
    return filled(file.path.name, lambda: _empty(config), state)


def _empty(config: Any) -> nn.Module:
    """Its table of angles, which no file holds, is computed wherever the rest is built."""
    made: Any = AutoModel.from_config(config, attn_implementation="eager", dtype=torch.float32)
    with torch.device("cpu"):
        made.rotary_emb = type(made.rotary_emb)(config)
    return made  # type: ignore[no-any-return]


def _config(file: GgufFile) -> Any:
    try:
        told = _told(file)
    except (ValueError, TypeError) as error:
        raise file.refused(str(error)) from error
    return AutoConfig.for_model(file.header.family, **told)


def _told(file: GgufFile) -> dict[str, Any]:
    """Raises ValueError for a rotation that is stretched: its positions would be others."""
    head = file.header
    if (stretched := head.own("rope.scaling.type")) not in (None, "none"):
        raise ValueError(f"a rotation stretched as {stretched!r} is not read")
    heads = head.count("attention.head_count")
    width = head.count("embedding_length")
    return {
        "vocab_size": head.tensors["token_embd.weight"].shape[0],
        "hidden_size": width,
        "num_hidden_layers": head.count("block_count"),
        "intermediate_size": head.count("feed_forward_length"),
        "num_attention_heads": heads,
        "num_key_value_heads": head.own("attention.head_count_kv") or heads,
        "head_dim": head.own("attention.key_length") or width // heads,
        "max_position_embeddings": head.count("context_length"),
        "rms_norm_eps": float(head.own("attention.layer_norm_rms_epsilon") or 1e-5),
        "rope_theta": float(head.own("rope.freq_base") or _ROTATION),
        "use_cache": False,
        "pad_token_id": None,
    }
