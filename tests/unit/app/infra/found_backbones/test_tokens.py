"""A tokenizer's settings that contradict its file are told in the listing."""

from __future__ import annotations

import json
import struct
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from tests.unit.app.infra.found_backbones.test_hugging_face import folder, reason

BERT = {
    "type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True,
    "strip_accents": None, "lowercase": True,
}  # fmt: skip
CASED = {**BERT, "lowercase": False}
LOWERED = {"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Lowercase"}]}
ENDS = {
    "type": "TemplateProcessing",
    "single": [
        {"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
    ],
}  # fmt: skip
SPACED = {"type": "Sequence", "pretokenizers": [{"type": "ByteLevel", "add_prefix_space": True}]}
NAMED = {"bos_token": "<s>", "eos_token": {"content": "</s>"}}


def told(place: Path, config: dict[str, Any], kind: str = "WordPiece", **file: Any) -> str:
    made = folder(place / "net")
    (made / "tokenizer_config.json").write_text(json.dumps(config))
    (made / "tokenizer.json").write_text(json.dumps({"model": {"type": kind}, **file}))
    return reason(place)


@pytest.mark.parametrize(
    ("config", "kind", "file"),
    [
        ({"do_lower_case": True}, "WordPiece", {"normalizer": CASED}),
        ({"do_lower_case": False}, "WordPiece", {"normalizer": BERT}),
        ({"do_lower_case": False}, "WordPiece", {"normalizer": LOWERED}),
        ({"do_lower_case": True}, "WordPiece", {"normalizer": None}),
        ({"strip_accents": False}, "WordPiece", {"normalizer": BERT}),
        ({"strip_accents": True}, "WordPiece", {"normalizer": CASED}),
        ({"tokenize_chinese_chars": False}, "WordPiece", {"normalizer": BERT}),
        ({"add_prefix_space": False}, "BPE", {"pre_tokenizer": SPACED}),
        ({"add_bos_token": False, **NAMED}, "BPE", {"post_processor": ENDS}),
        ({"add_eos_token": True, **NAMED}, "BPE", {"post_processor": ENDS}),
        ({"add_eos_token": True, **NAMED}, "BPE", {}),
    ],
)
def test_settings_that_contradict_the_tokens_are_refused(
    config: dict[str, Any], kind: str, file: dict[str, Any], tmp_path: Path
) -> None:
    assert next(iter(config)) in told(tmp_path, config, kind, **file)


@pytest.mark.parametrize(
    ("config", "kind", "file"),
    [
        ({"do_lower_case": True, "strip_accents": None}, "WordPiece", {"normalizer": BERT}),
        ({"do_lower_case": False, "strip_accents": None}, "WordPiece", {"normalizer": CASED}),
        ({"do_lower_case": True}, "WordPiece", {"normalizer": LOWERED}),
        ({"strip_accents": True}, "WordPiece", {"normalizer": BERT}),
        ({}, "WordPiece", {"normalizer": CASED}),
        ({"do_lower_case": True}, "Unigram", {"normalizer": {"type": "Precompiled"}}),
        (
            {"do_lower_case": True, "tokenizer_class": "PreTrainedTokenizerFast"},
            "WordPiece",
            {"normalizer": CASED},
        ),
        ({"add_prefix_space": True, "padding_side": "left"}, "BPE", {"pre_tokenizer": SPACED}),
        ({"add_bos_token": True, "add_eos_token": False, **NAMED}, "BPE", {"post_processor": ENDS}),
        ({"add_bos_token": False, "bos_token": None}, "BPE", {}),
    ],
)
def test_settings_that_agree_are_read(
    config: dict[str, Any], kind: str, file: dict[str, Any], tmp_path: Path
) -> None:
    assert told(tmp_path, config, kind, **file) == ""


@pytest.mark.parametrize("older", [(), ("vocab.txt",), ("merges.txt", "vocab.json")])
def test_a_folder_of_texts_without_tokens_is_told(older: tuple[str, ...], tmp_path: Path) -> None:
    made = folder(tmp_path / "net")
    assert reason(tmp_path) == ""
    (made / "tokenizer.json").unlink()
    for name in older:
        (made / name).write_text("")
    told_of = reason(tmp_path)
    assert "net has no tokenizer.json" in told_of
    assert all(name in told_of for name in older)
    assert ("save_pretrained" in told_of) is bool(older)


def test_tokens_that_the_workers_alone_have_are_no_fault(tmp_path: Path) -> None:
    made = folder(tmp_path / "net")
    (made / "tokenizer.json").rename(made / "tokenizer.json.left_out.json")
    assert reason(tmp_path) == ""


def test_a_folder_of_pictures_needs_none(tmp_path: Path) -> None:
    made = folder(tmp_path / "net", image_size=32)
    (made / "tokenizer.json").unlink()
    assert "tokenizer" not in reason(tmp_path)


def replaced(pattern: dict[str, str], content: str) -> dict[str, Any]:
    return {"type": "Replace", "pattern": pattern, "content": content}


def precompiled(longest: int) -> dict[str, Any]:
    packed = struct.pack("<I", 4) + bytes(4) + b"a\0" + "é".encode() * longest + b"\0"
    return {"type": "Precompiled", "precompiled_charsmap": b64encode(packed).decode()}


TWICE = [replaced({"String": "a"}, "a" * 11), replaced({"String": "a"}, "b" * 11)]


@pytest.mark.parametrize(
    "rule",
    [
        replaced({"String": "a"}, "b" * 101),
        replaced({"Regex": "a"}, "b" * 101),
        replaced({"Regex": "x*"}, "b" * 100),
        {"type": "Sequence", "normalizers": TWICE},
        {"type": "Sequence", "normalizers": [replaced({"Regex": "(?=a)|$"}, "b")] * 7},
        {"type": "Prepend", "prepend": "a" * 10_100},
        precompiled(101),
    ],
)
def test_rules_that_make_books_of_letters_are_refused(rule: dict[str, Any], tmp_path: Path) -> None:
    assert "characters of one" in told(tmp_path, {}, "BPE", normalizer=rule)


@pytest.mark.parametrize(
    "rule",
    [
        replaced({"String": "a" * 50}, "b" * 1000),
        {"type": "Sequence", "normalizers": TWICE[:1]},
        {"type": "Sequence", "normalizers": [replaced({"Regex": "\\s+"}, " ")] * 20},
        {"type": "Prepend", "prepend": "\u2581"},
        precompiled(18),
        {"type": "Precompiled", "precompiled_charsmap": "no base64"},
    ],
)
def test_rules_of_languages_are_read(rule: dict[str, Any], tmp_path: Path) -> None:
    assert "characters of one" not in told(tmp_path, {}, "BPE", normalizer=rule)


def test_a_text_that_stands_twice_in_its_window_is_refused(tmp_path: Path) -> None:
    twice = {**ENDS, "single": [*ENDS["single"], ENDS["single"][-1]]}
    assert "2 times" in told(tmp_path, {}, "BPE", post_processor=twice)
    two = {"type": "Sequence", "processors": [ENDS, ENDS]}
    assert "times" not in told(tmp_path, {}, "BPE", post_processor=two)
