"""Text encoders and decoders: a Hugging Face folder or a packed file → a unit vector a text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from app.core.backbones import Pooling
from app.core.errors import HeadstartError
from app.infra.found_backbones import GGUF_SUFFIX
from app.infra.weights import weights_file
from worker.ml.backbones import packed_e5_network, packed_gguf_network
from worker.ml.backbones.misfit import lacking
from worker.ml.backbones.packed_e5 import PackedE5
from worker.ml.backbones.packed_gguf import GgufFile
from worker.ml.backbones.sources.hugging_face import loaded
from worker.ml.backbones.text_files import check_tokens, text_files
from worker.ml.backbones.weights import read

UNUSED = ("pooler.", "embeddings.position_ids")
"""Parts that the embedding does not read; everything else must come from the file."""

_BOTH_WAYS = "gemma3_text"
_UNSEEN = -1e9
"""Added to a score that counts for nothing; the least float would be infinite in bf16, and a row of
such no number: what fills up may be near to nothing.
"""


class PooledEncoder(nn.Module):
    """Token ids and mask [n, t], filled up behind → float32 [n, d] of length one.

    In a decoder the last token, of those that are none of padding, has read all others.
    """

    def __init__(self, encoder: nn.Module, pooling: Pooling) -> None:
        super().__init__()
        self.encoder = encoder
        self.pooling = pooling

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        outputs = self.encoder(
            input_ids=input_ids, attention_mask=attention_mask, return_dict=False
        )
        pooled = _POOLED[self.pooling](outputs[0].float(), attention_mask)
        return nn.functional.normalize(pooled, dim=-1)

    def cast(self, dtype: torch.dtype) -> None:
        """Compute in `dtype`, but turn positions by float32 angles: rounded ones are other places.

        (Su et al. 2021: an angle is a position times a frequency, so its error grows with length.)
        """
        kept = {name: one for name, one in self.named_buffers() if name.endswith("inv_freq")}
        self.to(dtype)
        for name, angles in kept.items():
            owner, _, leaf = name.rpartition(".")
            setattr(self.get_submodule(owner), leaf, angles)


def _mean(states: Tensor, mask: Tensor) -> Tensor:
    return _weighted_mean(states, mask.float())


def _by_place(states: Tensor, mask: Tensor) -> Tensor:
    """A later token, which has read more, counts more."""
    return _weighted_mean(states, (mask * mask.cumsum(1)).float())


def _weighted_mean(states: Tensor, weights: Tensor) -> Tensor:
    weights = weights.unsqueeze(-1)
    return (states * weights).sum(1) / weights.sum(1).clamp_min(1)


def _last(states: Tensor, mask: Tensor) -> Tensor:
    ends = mask.sum(1).clamp_min(1) - 1
    own = nn.functional.one_hot(ends, states.shape[1]).unsqueeze(-1).float()
    return (states * own).sum(1)


def _greatest(states: Tensor, mask: Tensor) -> Tensor:
    return states.masked_fill(mask.unsqueeze(-1) == 0, -1e9).amax(1)


_POOLED: Mapping[Pooling, Callable[[Tensor, Tensor], Tensor]] = {
    "mean": _mean,
    "cls": lambda states, _: states[:, 0],
    "last": _last,
    "weighted": _by_place,
    "max": _greatest,
}
"""States [n, t, d] and mask [n, t] → [n, d]."""


def text_network(path: Path, pooling: Pooling, *, layer: int | None = None) -> PooledEncoder:
    """The encoder of a packed file or a folder, frozen, in eval mode, up to block `layer`.

    Raises weights_invalid.
    """
    encoder: Any = _of_file(path) if path.is_file() else _of_folder(path)
    check_tokens(path.name, text_files(path).tokenizer(), words(encoder))
    if layer is not None:
        _end_after(encoder, layer, path.name)
    return PooledEncoder(_given_masks(encoder), pooling).eval().requires_grad_(False)


def words(encoder: Any) -> int:
    """Rows of its table of tokens, of whatever kind that is."""
    table = encoder.get_input_embeddings()
    rows = getattr(table, "num_embeddings", None)  # of packed ones, too, which have no weight
    return int(table.weight.shape[0] if rows is None else rows)


def _of_file(path: Path) -> nn.Module:
    if path.suffix == GGUF_SUFFIX:
        return packed_gguf_network.network(GgufFile(path))
    encoder: nn.Module = packed_e5_network.network(PackedE5(path))
    return encoder


_TRUNKS = (("layers", "norm"), ("h", "ln_f"))
"""What decoders call their blocks, and the norm behind the last."""


def _end_after(encoder: Any, layer: int, name: str) -> None:
    """Leave out what comes after a block, the last norm included: its states as they are.

    Raises weights_invalid for a network without so many blocks, or whose blocks have other names.
    """
    for blocks, norm in _TRUNKS:
        own = getattr(encoder, blocks, None)
        if isinstance(own, nn.ModuleList) and hasattr(encoder, norm) and layer <= len(own):
            setattr(encoder, blocks, own[:layer])
            setattr(encoder, norm, nn.Identity())
            encoder.config.num_hidden_layers = layer
            return
    told = f"{name} has no block {layer} that can be read: leave `layer` out of its side file"
    raise HeadstartError("weights_invalid", told)


def _of_folder(folder: Path) -> nn.Module:
    state = read(weights_file(folder))
    encoder, left = loaded(folder)
    missing = [key for key in left if not key.startswith(UNUSED)]
    if missing:
        told = f"{folder.name}: {lacking(missing, state)}"
        raise HeadstartError("weights_invalid", told)
    encoder.config.use_cache = False  # of a decoder's own keys
    network: nn.Module = encoder
    return network


def _given_masks(encoder: Any) -> nn.Module:
    """The same network, which is given masks where it would make them by functions of places."""
    config = encoder.config
    told = config.model_type == _BOTH_WAYS and config.use_bidirectional_attention
    whole: nn.Module = BothWays(encoder) if told else encoder
    return whole


class BothWays(nn.Module):
    """Every token reads all others, or in layers of a window those that are near on either side:
    the masks of EmbeddingGemma's family, which no trace can follow, as sums.
    """

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network
        self.config = network.config

    def get_input_embeddings(self) -> nn.Embedding:
        """The table of tokens."""
        table: nn.Embedding = self.network.get_input_embeddings()
        return table

    def forward(self, input_ids: Tensor, attention_mask: Tensor, **told: Any) -> Any:
        """As the network itself."""
        there = attention_mask[:, None, None, :] > 0
        places = torch.arange(attention_mask.shape[1], device=attention_mask.device)
        near = (places[:, None] - places[None, :]).abs() < self.config.sliding_window
        masks = {
            "full_attention": self._added(there & torch.ones_like(near)),
            "sliding_attention": self._added(there & near),
        }
        return self.network(input_ids=input_ids, attention_mask=masks, **told)

    def _added(self, seen: Tensor) -> Tensor:
        """What is added to scores, [n, 1, t, t]."""
        unseen = torch.where(seen, 0.0, _UNSEEN)
        return unseen.to(self.get_input_embeddings().weight.dtype)
