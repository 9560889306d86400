"""What is known of a text encoder without torch: tokens, pooling, and what decides its numbers."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Protocol

from tokenizers import Tokenizer, processors

from app.core.backbones import BackboneSpec
from app.core.errors import HeadstartError
from app.infra import weights
from worker.ml.backbones.packed_e5 import PackedE5


class TextFiles(Protocol):
    """A text encoder's files. Every member raises weights_invalid for what is damaged."""

    @property
    def pad(self) -> int:
        """The id that fills up shorter rows."""
        ...

    @property
    def pooling(self) -> str:
        """`mean` over tokens, `cls` or `last`."""
        ...

    def tokenizer(self) -> Tokenizer:
        """With its special tokens, without truncation."""
        ...

    def fingerprint(self) -> str:
        """A SHA-256 over all that decides a text's embedding: tensors, tokens, configuration."""
        ...


_POOLINGS = {"pooling_mode_cls_token": "cls", "pooling_mode_lasttoken": "last"}
"""What sentence-transformers writes of any other pooling than the mean."""


class HuggingFaceFolder:
    """config.json, model.safetensors, tokenizer.json and perhaps 1_Pooling/config.json."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pad = int(_read_json(folder / "config.json").get("pad_token_id") or 0)
        stated = _read_json(folder / "1_Pooling" / "config.json")
        self.pooling = next((name for key, name in _POOLINGS.items() if stated.get(key)), "mean")

    def tokenizer(self) -> Tokenizer:
        """Raises backbone_unavailable where there is none, weights_invalid for a damaged one."""
        path = self.folder / "tokenizer.json"
        if not path.is_file():
            raise HeadstartError(
                "backbone_unavailable", f"{self.folder.name} has no {path.name}: put it there."
            )
        try:
            made = Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises no narrower one
            raise HeadstartError("weights_invalid", f"{path.name}: {error}") from error
        made.no_padding()
        return made

    def fingerprint(self) -> str:
        """Over the tensors and the three files of settings."""
        digest = hashlib.sha256(weights.sha256(self.folder).encode())
        for name in ("config.json", "tokenizer.json", "1_Pooling/config.json"):
            file = self.folder / name
            digest.update(file.read_bytes() if file.is_file() else b"\0")
        return digest.hexdigest()


def text_files(path: Path) -> TextFiles:
    """Those of a packed file, or of a Hugging Face folder. Raises weights_invalid."""
    return PackedE5(path) if path.is_file() else HuggingFaceFolder(path)


def fingerprint(spec: BackboneSpec, path: Path) -> str:
    """That of the files, and of the prompt where every text has one."""
    own = text_files(path).fingerprint()
    if not spec.prompt:
        return own
    return hashlib.sha256("\0".join((own, *spec.prompt)).encode()).hexdigest()


def prompted(tokenizer: Tokenizer, prompt: tuple[str, ...]) -> Tokenizer:
    """The same, with the pieces `prompt` behind the first special token of every window.

    Raises weights_invalid where the tokens are of another kind.
    """
    if not prompt:
        return tokenizer
    ends, ids = tokenizer.encode("").tokens, [tokenizer.token_to_id(piece) for piece in prompt]
    if len(ends) != 2 or None in ids:
        raise HeadstartError("weights_invalid", f"the tokens do not know {''.join(prompt)!r}")
    said = {"id": "prompt", "ids": ids, "tokens": list(prompt)}
    marks = [(end, tokenizer.token_to_id(end)) for end in ends]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{ends[0]} prompt $A {ends[1]}", special_tokens=[*marks, said]
    )
    return tokenizer


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise HeadstartError("weights_invalid", f"{path.name}: {error}") from error
    return content if isinstance(content, dict) else {}
