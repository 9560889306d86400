"""What is known of a text encoder without torch: tokens, pooling, and what decides its numbers."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from tokenizers import Encoding, Tokenizer, normalizers, processors

from app.core.backbones import BackboneSpec, Pooling
from app.core.errors import HeadstartError
from app.infra import weights
from app.infra.found_backbones import GGUF_SUFFIX, sentences, tokens
from app.infra.found_backbones.settings_files import said
from worker.ml.backbones.packed_e5 import PackedE5
from worker.ml.backbones.packed_gguf import GgufFile

_log = logging.getLogger(__name__)


class TextFiles(Protocol):
    """A text encoder's files. Every member raises weights_invalid for what is damaged."""

    @property
    def pad(self) -> int:
        """The id that fills up shorter rows."""
        ...

    @property
    def pooling(self) -> Pooling:
        """What of a text's tokens is its embedding, as far as the files say."""
        ...

    @property
    def template(self) -> str:
        """What stands around every text, as far as the files say; `{}` in its place."""
        ...

    def tokenizer(self) -> Tokenizer:
        """With its special tokens, without truncation."""
        ...

    def fingerprint(self) -> str:
        """A SHA-256 over all that decides a text's embedding: tensors, tokens, configuration."""
        ...


class HuggingFaceFolder:
    """config.json, model.safetensors, tokenizer.json and perhaps 1_Pooling/config.json.

    Raises weights_invalid for settings that are damaged, or ask for what is not read.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._said = sentences.stated(folder)
        self.pad = _pad(weights.settings_of(folder / "config.json"))
        self.pooling = self._said.pooling
        prompt = self._said.prompt
        self.template = prompt.replace("{}", "") + "{}" if prompt else ""

    def tokenizer(self) -> Tokenizer:
        """Raises backbone_unavailable where there is none, weights_invalid for a damaged one."""
        path = self.folder / "tokenizer.json"
        if not path.is_file():
            raise tokens.missing(self.folder)
        try:
            made = Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises no narrower one
            _log.warning("%s cannot be read: %s", path.name, said(error, path))
            why = "it is damaged, or of a newer version of tokenizers than is installed here"
            told = f"{self.folder.name}: {path.name}: {why}: save it anew"
            raise HeadstartError("weights_invalid", told) from error
        made.no_padding()
        if self._lowers():
            before = [normalizers.Lowercase(), *([made.normalizer] if made.normalizer else [])]
            made.normalizer = normalizers.Sequence(before)
        return made

    def _lowers(self) -> bool:
        """Whether what sentence-transformers is told lower-cases texts that no token would."""
        if not self._said.lowers:
            return False
        own = weights.settings_of(self.folder / "tokenizer.json").get("normalizer")
        return not tokens.lowers(own)

    def fingerprint(self) -> str:
        """Over the tensors and the three files of settings."""
        digest = hashlib.sha256(weights.sha256(self.folder).encode())
        for name in ("config.json", "tokenizer.json", "1_Pooling/config.json"):
            file = self.folder / name
            digest.update(file.read_bytes() if file.is_file() else b"\0")
        digest.update(self.template.encode())
        for one in self._besides():
            digest.update(f"\0{one}".encode())
        return digest.hexdigest()

    def _besides(self) -> list[str]:
        """What was read later than those files, where it makes other embeddings."""
        most = weights.window(self.folder)
        wide = weights.window(self.folder, older=True)
        return [*(["lower"] if self._lowers() else []), *([f"most {most}"] if most < wide else [])]


def check_tokens(name: str, tokenizer: Tokenizer, rows: int) -> None:
    """Raises weights_invalid where a token has no row of its own in a table of so many."""
    last = max(tokenizer.get_vocab().values(), default=-1)
    if last >= rows:
        told = f"tokens have numbers up to {last}, and the network has {rows} of them, from 0 on"
        raise HeadstartError("weights_invalid", f"{name}: {told}: copy both from one place")


def _pad(config: dict[str, Any]) -> int:
    """What fills up is masked, so that any token will do where the configuration names none."""
    stated, words = config.get("pad_token_id"), config.get("vocab_size")
    most = words if isinstance(words, int) else 1
    return stated if isinstance(stated, int) and 0 < stated < most else 0


def text_files(path: Path) -> TextFiles:
    """Those of a packed file, or of a Hugging Face folder. Raises weights_invalid."""
    if path.suffix == GGUF_SUFFIX:
        return GgufFile(path)
    return PackedE5(path) if path.is_file() else HuggingFaceFolder(path)


def fingerprint(spec: BackboneSpec, path: Path) -> str:
    """That of the files, and of the prompt where every text has one, and of where they are read."""
    own = text_files(path).fingerprint()
    read_at = (spec.template, spec.pooling, spec.layer)
    parts = [*spec.prompt, *([repr(read_at)] if any(read_at) else [])]
    return hashlib.sha256("\0".join((own, *parts)).encode()).hexdigest() if parts else own


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


def lead(template: str) -> str:
    """The blank that a text begins with where its template has one before it.

    A blank and the word behind it are one piece, so it must not stay with the template.
    """
    return " " if template.partition("{}")[0].endswith(" ") else ""


def framed(tokenizer: Tokenizer, template: str) -> Tokenizer:
    """The same, with the words of `template` around every window, inside its special tokens.

    They are cut apart from the text's own, so that no word of it joins one of theirs; a blank right
    before the text is the text's: `lead`.
    """
    if not template:
        return tokenizer
    said_before, said_after = template.split("{}")
    before, after = (
        tokenizer.encode(part, add_special_tokens=False)
        for part in (said_before.removesuffix(lead(template)), said_after)
    )
    first, last = _ends(tokenizer)
    pieces = {"before": before, "after": after}
    said = [
        {"id": name, "ids": part.ids, "tokens": part.tokens}
        for name, part in pieces.items()
        if part.ids
    ]
    around = {name: name if part.ids else "" for name, part in pieces.items()}
    single = " ".join([*first, around["before"], "$A", around["after"], *last]).split()
    marks = [(one, tokenizer.token_to_id(one)) for one in dict.fromkeys((*first, *last))]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=single, special_tokens=[*marks, *said]
    )
    return tokenizer


def _ends(tokenizer: Tokenizer) -> tuple[list[str], list[str]]:
    """The special tokens before a text, and behind it."""
    whole = tokenizer.encode("a")
    own = [place for place, special in enumerate(whole.special_tokens_mask) if not special]
    if not own:
        return whole.tokens, []
    return whole.tokens[: own[0]], whole.tokens[own[-1] + 1 :]


def tokenized(
    tokenizer: Tokenizer, forms: Sequence[str], *, special: bool = True
) -> list[Encoding | None]:
    """What a tokenizer makes of each text; None where it fails on one, which takes no other along.

    A regular expression that gives up is a panic of the library, and no Exception.
    """
    try:
        return list(tokenizer.encode_batch_fast(list(forms), add_special_tokens=special))
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        if len(forms) == 1:
            return [None]
    return [one for form in forms for one in tokenized(tokenizer, [form], special=special)]
