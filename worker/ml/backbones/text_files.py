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
from app.infra.found_backbones.settings_files import refusal, said
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
        made = _read(path)
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


def _read(path: Path) -> Tokenizer:
    """Raises weights_invalid for what is none, or names special tokens that it has not."""
    try:
        made = Tokenizer.from_file(str(path))
        made.encode("")
    except BaseException as error:
        if not _of_library(error):
            raise
        _log.warning("%s cannot be read: %s", path.name, said(error, path))
        why = "it is damaged, or of a newer version of tokenizers than is installed here"
        raise refusal(path, f"{why}: save it anew") from error
    return made


def _of_library(error: BaseException) -> bool:
    """Where a library of Rust gives up, what it raises is no Exception."""
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"


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


def most_tokens(spec: BackboneSpec, path: Path) -> int:
    """Of one window, special ones included. Raises weights_invalid."""
    return min(spec.input_size, weights.window(path))


def fingerprint(spec: BackboneSpec, path: Path) -> str:
    """That of the files, of the prompt where every text has one, of where they are read, and of the
    most tokens that are read at once.
    """
    told = _before_windows(spec, path)
    if not _has_settings(path):
        return told
    return hashlib.sha256(f"{told}\0most {most_tokens(spec, path)}".encode()).hexdigest()


def former(spec: BackboneSpec, path: Path) -> tuple[str, ...]:
    """What models say that are older than the rule by which `fingerprint` is made now."""
    return (_before_windows(spec, path),) if _has_settings(path) else ()


def _has_settings(path: Path) -> bool:
    """Whether the window may be said beside the tensors: in a folder, or in a side file."""
    return path.is_dir() or path.suffix == GGUF_SUFFIX


def _before_windows(spec: BackboneSpec, path: Path) -> str:
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
    before the text is the text's: `lead`. Raises weights_invalid.
    """
    if not template:
        return tokenizer
    said_before, said_after = template.split("{}")
    parts = (said_before.removesuffix(lead(template)), said_after)
    before, after = (_said_by(tokenizer, part, special=False) for part in parts)
    first, last = _ends(tokenizer)
    pieces = {"first": first, "before": _pairs(before), "after": _pairs(after), "last": last}
    read = {name: pairs for name, pairs in pieces.items() if pairs}
    marks = [
        {"id": name, "ids": [number for number, _ in pairs], "tokens": [word for _, word in pairs]}
        for name, pairs in read.items()
    ]
    order = [name for name in ("first", "before", "$A", "after", "last") if name in {*read, "$A"}]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=" ".join(order), special_tokens=marks
    )
    return tokenizer


_Pairs = list[tuple[int, str]]
"""Numbers and words of tokens."""


def _pairs(read: Encoding) -> _Pairs:
    return list(zip(read.ids, read.tokens, strict=True))


def _ends(tokenizer: Tokenizer) -> tuple[_Pairs, _Pairs]:
    """The special tokens before a text, and behind it. Raises weights_invalid."""
    whole = _said_by(tokenizer, "a", special=True)
    own = [place for place, special in enumerate(whole.special_tokens_mask) if not special]
    pairs = _pairs(whole)
    return (pairs[: own[0]], pairs[own[-1] + 1 :]) if own else (pairs, [])


def _said_by(tokenizer: Tokenizer, text: str, *, special: bool) -> Encoding:
    (whole,) = tokenized(tokenizer, [text], special=special)
    if whole is None:
        why = f"a template stands around every text, and the tokens cannot read {text!r}"
        raise HeadstartError("weights_invalid", f"{why}: choose another template, or none")
    return whole


def tokenized(
    tokenizer: Tokenizer, forms: Sequence[str], *, special: bool = True
) -> list[Encoding | None]:
    """What a tokenizer makes of each text; None where it fails on one, which takes no other along.

    A regular expression that gives up is a panic of the library, and no Exception.
    """
    try:
        return list(tokenizer.encode_batch_fast(list(forms), add_special_tokens=special))
    except BaseException as error:
        if not _of_library(error):
            raise
        if len(forms) == 1:
            return [None]
    return [one for form in forms for one in tokenized(tokenizer, [form], special=special)]


def own_words(tokenizer: Tokenizer, most: int = 100) -> list[str]:
    """Some of its pieces as text, from all over its vocabulary."""
    numbers = sorted(tokenizer.get_vocab(with_added_tokens=False).values())
    step = -(-len(numbers) // most) if numbers else 1
    return [tokenizer.decode([number]) for number in numbers[::step]]
