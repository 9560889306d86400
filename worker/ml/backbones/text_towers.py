"""The tower of texts of two (CLIP, SigLIP): what a name is, in the space of the pictures.

It is loaded for a fit that needs names, and let go: predictions read pictures alone.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor

from app.core.errors import HeadstartError
from app.infra import weights
from worker.ml.backbones.misfit import lacking
from worker.ml.backbones.sources.hugging_face import loaded
from worker.ml.backbones.text_files import HuggingFaceFolder, check_tokens, own_words, tokenized
from worker.ml.backbones.weights import read as read_state

BATCH = 64
USUAL_SCALE = 100.0
"""What CLIP multiplies its cosines by, at most (Radford et al. 2021, 2.5)."""

_MARKS = re.compile(r"[^\w\s]")
_FIXED = ("siglip",)
"""Families that were taught texts filled up to their greatest length, which they do not mask."""


class TextTower:
    """Names → unit rows [n, d]; cosines times `scale` are the network's own logits.

    Raises weights_invalid for a damaged folder, backbone_unavailable without tokenizer.json.
    """

    def __init__(self, folder: Path) -> None:
        state = read_state(weights.weights_file(folder))
        self._model, missing = loaded(folder)
        if missing:
            told = f"{folder.name}: {lacking(missing, state)}"
            raise HeadstartError("weights_invalid", told)
        self._family = str(getattr(self._model.config, "model_type", ""))
        text = self._model.config.text_config
        self._most = int(text.max_position_embeddings)
        self._tokenizer = HuggingFaceFolder(folder).tokenizer()
        rows = self._model.text_model.get_input_embeddings().num_embeddings
        check_tokens(folder.name, self._tokenizer, rows)
        self._tokenizer.enable_truncation(self._most)
        self._pad = _pad(folder, self._tokenizer, getattr(text, "pad_token_id", None))
        self.scale = _scale(self._model)

    @property
    def _filled(self) -> bool:
        return self._family.startswith(_FIXED)

    def embed(self, texts: Sequence[str]) -> Tensor:
        """[n, d] float32 of length one. Raises weights_invalid."""
        parts = [texts[at : at + BATCH] for at in range(0, len(texts), BATCH)]
        with torch.inference_mode():
            rows = torch.cat([self._pass([self._said(one) for one in part]) for part in parts])
        if not bool(rows.isfinite().all()):
            raise HeadstartError("weights_invalid", "the tower of texts gives no finite numbers")
        return torch.nn.functional.normalize(rows.clone(), dim=-1)

    def windows(self, texts: Sequence[str]) -> list[list[list[int]]]:
        """Numbers of tokens in the one window of each text; none of one that cannot be read."""
        read = tokenized(self._tokenizer, [self._said(one) for one in texts])
        return [[] if one is None else [one.ids] for one in read]

    def own_words(self) -> list[str]:
        """Some texts that its vocabulary is sure to know."""
        return own_words(self._tokenizer)

    def _said(self, text: str) -> str:
        """As the family was taught to read: SigLIP's lowers, the first one's without marks."""
        if not self._filled:
            return text
        lowered = text.lower()
        return lowered if self._family == "siglip2" else " ".join(_MARKS.sub("", lowered).split())

    def _pass(self, texts: Sequence[str]) -> Tensor:
        read = tokenized(self._tokenizer, texts)
        if any(one is None for one in read):
            raise HeadstartError("invalid_value", "the tokenizer fails on the name of a class")
        ids = [one.ids for one in read if one is not None]
        length = self._most if self._filled else max(1, *(len(row) for row in ids))
        rows = torch.full((len(ids), length), self._pad, dtype=torch.long)
        mask = torch.zeros_like(rows)
        for place, row in enumerate(ids):
            rows[place, : len(row)] = torch.tensor(row, dtype=torch.long)
            mask[place, : len(row)] = 1
        told = {} if self._filled else {"attention_mask": mask}
        answer = self._model.get_text_features(input_ids=rows, **told)
        return (answer if isinstance(answer, Tensor) else answer.pooler_output).float()


def _scale(model: Any) -> float:
    """exp(logit_scale), where the family has one (or states its inverse, as ALIGN does)."""
    stated = getattr(model, "logit_scale", None)
    if not isinstance(stated, Tensor):
        return USUAL_SCALE
    return min(max(math.exp(float(stated.detach().flatten()[0])), 1.0), 1000.0)


def _pad(folder: Path, tokenizer: Tokenizer, stated: object) -> int:
    """The id that fills up: the tokens' own word for it, else the configuration's."""
    token = weights.settings_of(folder / "tokenizer_config.json").get("pad_token")
    name = token.get("content") if isinstance(token, Mapping) else token
    known = tokenizer.token_to_id(name) if isinstance(name, str) else None
    if known is not None:
        return int(known)
    return stated if isinstance(stated, int) and not isinstance(stated, bool) else 0
