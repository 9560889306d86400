"""A decoder in one GGUF file: its tokens, and its tensors by the names that transformers has.

Tensors are unpacked by ggml's own package `gguf`. A file that has what is not read here, tables of
another rotation or tokens of another kind, is refused: numbers that are nearly right are wrong.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import AddedToken, Regex, Tokenizer, models, pre_tokenizers, processors

from app.core.backbones import Pooling
from app.core.errors import HeadstartError
from app.infra import weights
from app.infra.found_backbones.gguf_header import GgufHeader, PackedTensor, header

READER_VERSION = "1"
"""Part of embeddings' keys: raise it when other tokens or numbers are made of the same file."""
FAMILIES = ("llama", "qwen2", "qwen3")
"""Architectures, by ggml's names, that are built alike: these are read."""
_TABLES = {"token_embd.weight": "embed_tokens.weight", "output_norm.weight": "norm.weight"}
_UNREAD = ("output.weight", "output.bias")
"""What makes words of states; an embedding reads none."""
_LAYER = {
    "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm",
    "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj", "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}  # fmt: skip
_HEADS = {"attn_q": "head_count", "attn_k": "head_count_kv"}
_NAMED = re.compile(r"blk\.(\d{1,4})\.(\w+)\.(weight|bias)")
_GPT2 = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
_PLAIN = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""How Llama 3 and Qwen2 tell words apart: with so many digits together."""
_CONTROL = 3
"""The type of a token that no text is made of."""


def _words(digits: str) -> Any:
    split = pre_tokenizers.Split(Regex(_WORDS % digits), "isolated", invert=False)
    return pre_tokenizers.Sequence([split, _PLAIN])


_CUTS: dict[str, Any] = {
    "gpt-2": _GPT2,
    "smollm": pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), _GPT2]),
    "llama-bpe": _words("{1,3}"),
    "qwen2": _words(""),
}


class GgufFile:
    """The file at `path`. Raises weights_invalid for what is none of these, or is cut short."""

    pooling: Pooling = "mean"
    template = ""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.header: GgufHeader = header(path)
        if self.header.family not in FAMILIES:
            raise self.refused(f"{self.header.family!r} is not read; {', '.join(FAMILIES)} are")

    def refused(self, why: str) -> HeadstartError:
        """What is raised of this file."""
        return HeadstartError("weights_invalid", f"{self.path.name}: {why}")

    @property
    def pad(self) -> int:
        """Padding is masked: any token will do."""
        stated = self._told("padding_token_id")
        return stated if isinstance(stated, int) and 0 <= stated < len(self._pieces) else 0

    def fingerprint(self) -> str:
        """A SHA-256 over all that decides a text's embedding."""
        told = f"{weights.sha256(self.path)}\0{READER_VERSION}"
        return hashlib.sha256(told.encode()).hexdigest()

    def tokenizer(self) -> Tokenizer:
        """Byte-level pairs (Sennrich et al. 2016; Radford et al. 2019). Raises weights_invalid."""
        if (model := self._told("model")) != "gpt2":
            raise self.refused(f"its tokens are of kind {model!r}; byte-level pairs are read")
        if (cut := self._told("pre")) not in _CUTS:
            raise self.refused(f"words cut as {cut!r} are not read; {', '.join(_CUTS)} are")
        made = Tokenizer(models.BPE(self._vocabulary, self._merges))
        made.pre_tokenizer = _CUTS[cut]
        made.add_special_tokens([AddedToken(one, normalized=False) for one in self._controls])
        if self._told("add_bos_token"):
            first = self._pieces[int(self._told("bos_token_id"))]
            made.post_processor = processors.TemplateProcessing(
                single=f"{first} $A", special_tokens=[(first, self._vocabulary[first])]
            )
        return made

    def tensors(self) -> Iterator[tuple[str, NDArray[np.float32]]]:
        """Each tensor of the trunk by transformers' name, float32. Raises weights_invalid."""
        for name, tensor in self.header.tensors.items():
            if name not in _UNREAD:
                yield self._renamed(name), self._rows(name, tensor)

    def _renamed(self, name: str) -> str:
        if name in _TABLES:
            return _TABLES[name]
        parts = _NAMED.fullmatch(name)
        if parts is None or parts[2] not in _LAYER:
            raise self.refused(f"its tensor {name} is not read, so its numbers would be wrong")
        return f"layers.{int(parts[1])}.{_LAYER[parts[2]]}.{parts[3]}"

    def _rows(self, name: str, tensor: PackedTensor) -> NDArray[np.float32]:
        made = self._unpacked(name, tensor)
        if not np.isfinite(made).all():
            raise self.refused(f"{name} has NaN or infinite numbers")
        parts = _NAMED.fullmatch(name)
        heads = _HEADS.get(parts[2]) if parts is not None else None
        if heads is None or self.header.family != "llama":
            return made
        return _unrotated(made, self.header.count(f"attention.{heads}"))

    def _unpacked(self, name: str, tensor: PackedTensor) -> NDArray[np.float32]:
        from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, dequantize

        try:
            kind = GGMLQuantizationType(tensor.kind)
            block, size = GGML_QUANT_SIZES[kind]
            *rows, width = tensor.shape
            packed = (*rows, width // block * size)
            raw = np.memmap(self.path, np.uint8, "r", tensor.start, packed)
            if width % block:
                raise ValueError(f"a row of {width} is no number of blocks of {block}")
            made: NDArray[np.float32] = dequantize(_numbers(raw, kind.name), kind)
        except (ValueError, KeyError, NotImplementedError, OSError) as error:
            raise self.refused(f"{name}: {error}") from error
        return np.asarray(made, np.float32).reshape(tensor.shape)

    @property
    def _pieces(self) -> list[str]:
        pieces = self._told("tokens")
        if not isinstance(pieces, list) or not all(isinstance(one, str) for one in pieces):
            raise self.refused("it has no tokens")
        return pieces

    @cached_property
    def _vocabulary(self) -> dict[str, int]:
        return {piece: number for number, piece in enumerate(self._pieces)}

    @property
    def _merges(self) -> list[tuple[str, str]]:
        pairs = [tuple(str(one).split(" ")) for one in self._told("merges") or ()]
        known = self._vocabulary
        if any(len(pair) != 2 or not {*pair, "".join(pair)} <= known.keys() for pair in pairs):
            raise self.refused("its merges are not of its tokens")
        return [(pair[0], pair[1]) for pair in pairs]

    @property
    def _controls(self) -> list[str]:
        kinds = self._told("token_type") or ()
        return [one for one, kind in zip(self._pieces, kinds, strict=False) if kind == _CONTROL]

    def _told(self, key: str) -> Any:
        return self.header.told.get(f"tokenizer.ggml.{key}")


def _numbers(raw: NDArray[np.uint8], kind: str) -> NDArray[Any]:
    """As `dequantize` takes them: plain floats as they are, the rest as bytes."""
    plain = {"F32": np.float32, "F16": np.float16}.get(kind)
    return raw if plain is None else raw.view(plain).copy()


def _unrotated(rows: NDArray[np.float32], heads: int) -> NDArray[np.float32]:
    """Rows [heads · d, …] as they were before ggml laid each head's halves side by side."""
    pairs = rows.reshape(heads, rows.shape[0] // heads // 2, 2, *rows.shape[1:])
    return np.ascontiguousarray(pairs.swapaxes(1, 2).reshape(rows.shape))
