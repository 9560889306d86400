"""Whether `tokenizer_config.json` says of tokens what `tokenizer.json` does, which alone is read.

transformers rebuilds parts of a tokenizer from the former, by its class; where the two differ its
tokens would be others.
"""

from __future__ import annotations

import re
import struct
from base64 import b64decode
from collections.abc import Iterator, Mapping
from functools import lru_cache
from math import prod
from pathlib import Path
from typing import Any

from app.core.errors import HeadstartError
from app.infra.found_backbones import left_out
from app.infra.found_backbones.settings_files import refusal, told

FILE = "tokenizer.json"
CONFIG = "tokenizer_config.json"
_OLDER = (
    "vocab.txt", "vocab.json", "merges.txt", "spiece.model", "sentencepiece.bpe.model",
    "tokenizer.model",
)  # fmt: skip
"""What older tokenizers were saved as."""
_GENERIC = {"PreTrainedTokenizer", "TokenizersBackend"}
"""Classes that take tokenizer.json as it is, but for what stands at a text's ends."""
_CASED = {"AlbertTokenizer", "DebertaV2Tokenizer", "RemBertTokenizer", "XLNetTokenizer"}
"""Classes of other pieces than WordPiece that lower-case by their settings."""

MOST_GROWTH = 100
"""Characters that one may become: 18 of one Arabic sign are the most of Unicode. What memory a
text takes is bounded by its length alone otherwise.
"""
_SHORT = 100
"""Characters before a text, of which each counts as much as one becoming two."""


def check(folder: Path) -> None:
    """Raises backbone_unavailable where there are no tokens, and weights_invalid where both files
    contradict each other, or one is malformed.
    """
    config, file = told(folder / CONFIG), folder / FILE
    if left_out.is_noted(file):
        return
    if not file.is_file():
        raise missing(folder)
    state = file.stat()
    made = _made(file, state.st_mtime_ns, state.st_size)
    if isinstance(made, HeadstartError):
        raise made
    if made["growth"] > MOST_GROWTH:
        why = f"its normalizer makes up to {made['growth']:,.0f} characters of one"
        more = f"at most {MOST_GROWTH} are read, of which no language needs half: save it anew"
        raise refusal(file, f"{why}: {more}")
    if made["times"] > 1:
        why = f"its post_processor has a text {made['times']} times in its own window"
        raise refusal(file, f"{why}, which no network was taught: save it anew")
    for key, value in _contradicted(config, made):
        why = f"`{key}` is {value!r}, and {FILE} says otherwise: its tokens would be others"
        raise refusal(folder / CONFIG, f"{why}; save both from one tokenizer")


def missing(folder: Path) -> HeadstartError:
    """What to do about a folder of texts without tokens."""
    why = f"{folder.name} has no {FILE}, without which no text can be read: put it there"
    older = sorted(one.name for one in folder.iterdir() if one.name in _OLDER)
    if older:
        made = "AutoTokenizer.from_pretrained(…).save_pretrained(…) of transformers makes it"
        why += f"; {' and '.join(older)} alone will not do: {made}"
    return HeadstartError("backbone_unavailable", why, param="model")


def lowers(part: object) -> bool:
    """Whether a normalizer, as tokenizer.json has it, lower-cases."""
    return any(
        one.get("type") == "Lowercase" or one.get("lowercase") is True for one in _parts(part)
    )


@lru_cache(maxsize=64)
def _made(file: Path, _mtime: int, _size: int) -> dict[str, Any] | HeadstartError:
    """All of it but its pieces, read once per change."""
    try:
        read = told(file)
    except HeadstartError as error:
        return error
    model = read.pop("model", None)
    kind = model.get("type") if isinstance(model, Mapping) else None
    rules = read.get("normalizer")
    return {
        "growth": _growth(rules), "kind": kind, "normalizer": rules, "ends": _ends(read),
        "times": _times(read.get("post_processor")),
        "pre_tokenizer": read.get("pre_tokenizer"),
    }  # fmt: skip


def _times(processor: object) -> int:
    """How often the text itself stands in what one rule puts around it."""
    singles = [single for one in _parts(processor) if isinstance(single := one.get("single"), list)]
    return max((sum(map(_is_text, single)) for single in singles), default=0)


def _is_text(piece: object) -> bool:
    return isinstance(piece, Mapping) and "Sequence" in piece


def _growth(normalizer: object) -> float:
    """How many characters those rules may make of one whose lengths the file says, together."""
    return prod(max(1.0, _lengthened(one)) for one in _parts(normalizer))


def _lengthened(part: Mapping[str, Any]) -> float:
    """By one rule: a Replace has what stands there instead, a Prepend what stands before, and a
    Precompiled (of sentencepiece) its strings behind a table of so many bytes, 0 between them.
    """
    instead = part.get("content")
    if part.get("type") == "Replace" and isinstance(instead, str):
        return _replaced(part.get("pattern"), len(instead))
    if part.get("type") == "Prepend":
        return len(str(part.get("prepend"))) / _SHORT
    packed = part.get("precompiled_charsmap")
    return _longest(packed) if isinstance(packed, str) else 1.0


def _replaced(pattern: object, instead: int) -> float:
    """What an expression finds may be nothing, between any two characters."""
    said = pattern if isinstance(pattern, Mapping) else {}
    plain, expression = said.get("String"), said.get("Regex")
    if isinstance(plain, str) and plain:
        return instead / len(plain)
    found = isinstance(expression, str) and not _finds_nothing(expression)
    return instead if found else 1 + instead


def _finds_nothing(expression: str) -> bool:
    """Whether it may match where no character is; also where it is of another dialect."""
    try:
        return any(not one[0] for one in re.finditer(expression, _SAMPLE))
    except (re.error, RecursionError, OverflowError):
        return True


_SAMPLE = "a B\n1.é"


def _longest(packed: str) -> int:
    """Of what sentencepiece makes of characters; 0 of what its library will refuse."""
    try:
        data = b64decode(packed)
        (size,) = struct.unpack_from("<I", data)
    except (ValueError, struct.error):
        return 0
    return max(len(one.decode("utf-8", "replace")) for one in data[4 + size :].split(b"\0"))


def _contradicted(config: Mapping[str, Any], made: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    name = str(config.get("tokenizer_class") or "").removesuffix("Fast")
    first, last = made["ends"]
    for end, own in (("bos", first), ("eos", last)):
        key = f"add_{end}_token"
        said, wanted = config.get(key), _content(config.get(f"{end}_token"))
        if isinstance(said, bool) and wanted is not None and (own == wanted) is not said:
            yield key, said
    if name in _GENERIC:
        return
    said = config.get("do_lower_case")
    cased = made["kind"] == "WordPiece" or name in _CASED
    if cased and isinstance(said, bool) and lowers(made["normalizer"]) is not said:
        yield "do_lower_case", said
    if made["kind"] == "WordPiece":
        yield from _bert(config, made["normalizer"])
    said = config.get("add_prefix_space")
    spaces = [one.get("add_prefix_space") for one in _parts(made["pre_tokenizer"])]
    if isinstance(said, bool) and (not said) in spaces and said not in spaces:
        yield "add_prefix_space", said


def _bert(config: Mapping[str, Any], normalizer: object) -> Iterator[tuple[str, Any]]:
    """Accents go where that is not said and letters are lower-cased."""
    for one in _parts(normalizer):
        if one.get("type") != "BertNormalizer":
            continue
        said, own = config.get("tokenize_chinese_chars"), one.get("handle_chinese_chars")
        if isinstance(said, bool) and isinstance(own, bool) and said is not own:
            yield "tokenize_chinese_chars", said
        low, own = bool(one.get("lowercase")), one.get("strip_accents")
        if "strip_accents" in config:
            said = config["strip_accents"]
            if (low if said is None else said) != (low if own is None else own):
                yield "strip_accents", said


def _parts(part: object) -> Iterator[Mapping[str, Any]]:
    """A normalizer or pre-tokenizer, and all within it."""
    if not isinstance(part, Mapping):
        return
    yield part
    for key in ("normalizers", "pretokenizers", "processors"):
        inside = part.get(key)
        for one in inside if isinstance(inside, list) else ():
            yield from _parts(one)


def _ends(read: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """The special tokens that stand first and last around one text."""
    for one in _parts(read.get("post_processor")):
        single = one.get("single")
        if one.get("type") == "TemplateProcessing" and isinstance(single, list) and single:
            return _special(single[0]), _special(single[-1])
        if "cls" in one and "sep" in one:
            return _first(one["cls"]), _first(one["sep"])
    return None, None


def _special(one: object) -> str | None:
    inside = one.get("SpecialToken") if isinstance(one, Mapping) else None
    return _content(inside.get("id")) if isinstance(inside, Mapping) else None


def _first(pair: object) -> str | None:
    return _content(pair[0]) if isinstance(pair, list) and pair else None


def _content(token: object) -> str | None:
    """A token by itself, or as an object with its `content`."""
    said = token.get("content") if isinstance(token, Mapping) else token
    return said if isinstance(said, str) else None
