"""Text encoders and decoders: a Hugging Face folder or a packed file → a unit vector a text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModel
from transformers.utils import logging

from app.core.errors import HeadstartError
from worker.ml.backbones import packed_e5_network
from worker.ml.backbones.packed_e5 import PackedE5
from worker.ml.backbones.weights import read

UNUSED = ("pooler.", "embeddings.position_ids")
"""Parts that the embedding does not read; everything else must come from the file."""


class PooledEncoder(nn.Module):
    """Token ids and mask [n, t] → float32 [n, d] of length one: the mean over tokens, or one token.

    That is the first (`cls`), or the last that is none of padding (`last`), which in a decoder has
    read all others.
    """

    def __init__(self, encoder: nn.Module, pooling: str) -> None:
        super().__init__()
        self.encoder = encoder
        self.pooling = pooling

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        outputs = self.encoder(
            input_ids=input_ids, attention_mask=attention_mask, return_dict=False
        )
        states = outputs[0].float()
        if self.pooling == "cls":
            return nn.functional.normalize(states[:, 0], dim=-1)
        if self.pooling == "last":
            ends = attention_mask.sum(1).clamp_min(1) - 1
            own = torch.nn.functional.one_hot(ends, states.shape[1]).unsqueeze(-1).float()
            return nn.functional.normalize((states * own).sum(1), dim=-1)
        mask = attention_mask.unsqueeze(-1).float()
        mean = (states * mask).sum(1) / mask.sum(1).clamp_min(1)
        return nn.functional.normalize(mean, dim=-1)


def text_network(path: Path, pooling: str) -> PooledEncoder:
    """The encoder of a packed file or a folder, frozen, in eval mode. Raises weights_invalid."""
    encoder = packed_e5_network.network(PackedE5(path)) if path.is_file() else _of_folder(path)
    return PooledEncoder(encoder, pooling).eval().requires_grad_(False)


def _of_folder(folder: Path) -> nn.Module:
    read(folder / "model.safetensors")
    encoder: nn.Module
    encoder, loading = _load(folder)
    missing = [key for key in loading["missing_keys"] if not key.startswith(UNUSED)]
    if missing or loading["mismatched_keys"]:
        wrong = ", ".join(map(str, [*missing, *loading["mismatched_keys"]][:5]))
        raise HeadstartError("weights_invalid", f"{folder.name}: missing or misshapen: {wrong}")
    encoder.config.use_cache = False  # type: ignore[union-attr]  # of a decoder's own keys
    return encoder


def _load(folder: Path) -> tuple[Any, dict[str, Any]]:
    logging.disable_progress_bar()
    try:
        encoder, loading = AutoModel.from_pretrained(
            str(folder), local_files_only=True, use_safetensors=True, trust_remote_code=False,
            attn_implementation="eager", dtype=torch.float32, output_loading_info=True,
        )  # fmt: skip
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise HeadstartError("weights_invalid", f"{folder.name}: {error}") from error
    return encoder, loading
