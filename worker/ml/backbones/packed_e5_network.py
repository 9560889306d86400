"""A packed file's network: transformers' BertModel, its word table left in 4 bits."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from transformers import BertConfig, BertModel

from app.core.errors import HeadstartError
from worker.ml.backbones.packed_e5 import BLOCK, Packed, PackedE5

_LAYER = {
    "q": "attention.self.query", "k": "attention.self.key", "v": "attention.self.value",
    "ao": "attention.output.dense", "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense", "fo": "output.dense", "oln": "output.LayerNorm",
}  # fmt: skip
_TABLES = {"emb.pos": "position_embeddings.weight", "emb.type": "token_type_embeddings.weight"}
_LEAVES = {"w": "weight", "b": "bias"}


class PackedEmbedding(nn.Module):
    """Ids [n, t] → float rows [n, t, d]: 96 MB in memory less than a table of fp16 would be.

    Nibbles are told apart by arithmetic, which any converter follows.
    """

    def __init__(self, table: Packed, width: int) -> None:
        super().__init__()
        blocks = width // BLOCK
        self.width = width
        self.register_buffer("nibbles", torch.from_numpy(table.nibbles.reshape(-1, width // 2)))
        self.register_buffer("scales", torch.from_numpy(table.scales.reshape(-1, blocks).copy()))

    nibbles: Tensor
    scales: Tensor

    @property
    def num_embeddings(self) -> int:
        """Its rows, by torch's own name."""
        return len(self.scales)

    def forward(self, ids: Tensor) -> Tensor:
        scales = self.scales[ids]
        number = scales.dtype if scales.dtype == torch.bfloat16 else torch.float32
        pairs = self.nibbles[ids].to(torch.float32).unflatten(-1, (-1, BLOCK // 2))
        high = torch.floor(pairs / 16)
        rows = torch.cat([pairs - 16 * high, high], -1) - 8
        return (rows.to(number) * scales.to(number).unsqueeze(-1)).flatten(-2)


def network(file: PackedE5) -> BertModel:
    """The encoder, every number of it from the file. Raises weights_invalid."""
    sizes = file.sizes
    model = BertModel(
        BertConfig(
            vocab_size=2, hidden_size=sizes.hidden, num_hidden_layers=sizes.layers,
            num_attention_heads=sizes.heads, intermediate_size=sizes.inner, pad_token_id=None,
            max_position_embeddings=sizes.positions, type_vocab_size=sizes.types,
            layer_norm_eps=sizes.epsilon, attn_implementation="eager",
        ),
        add_pooling_layer=False,
    )  # fmt: skip
    table = PackedEmbedding(file.packed("emb.word"), sizes.hidden)
    model.embeddings.word_embeddings = table
    shapes = {name: value.shape for name, value in model.named_parameters()}
    state = dict(_tensors(file, shapes))
    tables = {f"embeddings.word_embeddings.{k}": v for k, v in table.state_dict().items()}
    try:
        model.load_state_dict({**state, **tables}, strict=True, assign=True)
    except RuntimeError as error:
        raise HeadstartError(
            "weights_invalid",
            f"{file.path.name}: its tensors are not those of its sizes: copy it again",
        ) from error
    return model


def _tensors(file: PackedE5, shapes: dict[str, torch.Size]) -> Iterator[tuple[str, Tensor]]:
    """Every parameter in its shape. Raises weights_invalid."""
    for name, key in _names(file.sizes.layers):
        flat = torch.from_numpy(file.floats(name).copy())
        if flat.numel() != shapes[key].numel() or not bool(flat.isfinite().all()):
            raise HeadstartError("weights_invalid", f"{file.path.name}: {name} is damaged")
        yield key, flat.view(shapes[key])


def _names(layers: int) -> Iterator[tuple[str, str]]:
    """The file's name of each tensor, and the network's."""
    for name, key in _TABLES.items():
        yield name, f"embeddings.{key}"
    for short, leaf in _LEAVES.items():
        yield f"emb.ln.{short}", f"embeddings.LayerNorm.{leaf}"
        for layer in range(layers):
            for name, key in _LAYER.items():
                yield f"l{layer}.{name}.{short}", f"encoder.layer.{layer}.{key}.{leaf}"
