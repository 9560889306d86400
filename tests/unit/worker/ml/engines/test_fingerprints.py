"""Of what lies beside the tensors: other numbers have another fingerprint, or are refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.core.errors import HeadstartError
from tests.unit.worker.ml import tiny_encoder, tiny_image_folders
from worker.ml.backbones.sources import described
from worker.ml.engines.base import embedding_key
from worker.ml.engines.torch_engine import load_torch

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

TEXTS = ["My card was STOLEN, à Paris", "word " * 40, "ok 北京"]
PICTURES = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8)
TOKENS = "tokenizer.json"
BESIDE_TEXTS: dict[str, Any] = {
    "1_Pooling/config.json": {"word_embedding_dimension": 32, "pooling_mode": "mean"},
    "config_sentence_transformers.json": {
        "prompts": {"query": "ask: ", "passage": "say: "}, "default_prompt_name": "query",
    },
    "sentence_bert_config.json": {"max_seq_length": 24, "do_lower_case": False},
    "tokenizer_config.json": {"model_max_length": 32, "do_lower_case": True},
}  # fmt: skip
SIDES: dict[str, Any] = {
    "text": {"input_size": 28},
    "image": {"input_size": 64, "mean": [0.5, 0.4, 0.3], "std": [0.5] * 3},
}


def few_words(file: Path) -> None:
    """A vocabulary that is quickly read: special tokens, characters, and the words above."""
    told = json.loads(file.read_text())
    words = " ".join(TEXTS).lower().split()
    own = told["model"]["vocab"]
    told["model"]["vocab"] = {
        word: number
        for word, number in own.items()
        if word.startswith("[") or len(word.removeprefix("##")) == 1 or word in words
    }
    file.write_text(json.dumps(told))


def leaves(told: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to each value, but those of a vocabulary."""
    if path and path[-1] in {"vocab", "merges", "added_tokens"}:
        return
    members = told.items() if isinstance(told, dict) else enumerate(told)
    for key, value in members:
        if isinstance(value, dict | list) and value:
            yield from leaves(value, (*path, key))
        else:
            yield (*path, key)


def others(value: Any) -> list[Any]:
    """What may stand there instead."""
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 1, max(1, value // 2)]
    if isinstance(value, float):
        return [value * 1.5 + 0.1]
    if isinstance(value, str):
        return ["relu", "passage", "cls"]
    return [True, 8]


def changed(told: Any, path: tuple[Any, ...], value: Any) -> Any:
    made = json.loads(json.dumps(told))
    at = made
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    return made


def value_at(told: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        told = told[key]
    return told


def read(name: str, weights_dir: Path, batch: Any) -> tuple[str, Any] | None:
    """The key of the cache and the numbers, or None where they are refused."""
    try:
        engine: Any = load_torch(described(name, weights_dir, None), weights_dir, "cpu")
        return embedding_key(engine, "squish"), engine.embed(batch)
    except HeadstartError:
        return None


def unnoticed(name: str, weights_dir: Path, batch: Any) -> list[str]:
    """The settings that change numbers and no fingerprint, one at a time."""
    key, rows = read(name, weights_dir, batch) or pytest.fail("the network is refused as it is")
    found, moved = [], 0
    for file in [*sorted((weights_dir / name).rglob("*.json")), weights_dir / f"{name}.json"]:
        content = file.read_text()
        told = json.loads(content)
        for path in leaves(told):
            for value in others(value_at(told, path)):
                file.write_text(json.dumps(changed(told, path, value)))
                now = read(name, weights_dir, batch)
                other = now is not None and not np.array_equal(now[1], rows)
                moved += other
                if now is not None and other and now[0] == key:
                    found.append(f"{file.name}: {path} = {value!r}")
        file.write_text(content)
    assert moved >= 5, "hardly a setting changes anything: this looks at nothing"
    assert read(name, weights_dir, batch) is not None
    return found


@pytest.mark.parametrize("name", ["bert", "xlm-roberta", "gpt2"])
def test_of_texts_each_setting_that_counts_is_in_the_fingerprint(name: str, tmp_path: Path) -> None:
    tiny_encoder.saved(name, tmp_path)
    few_words(tmp_path / name / TOKENS)
    (tmp_path / name / "1_Pooling").mkdir()
    for file, told in BESIDE_TEXTS.items():
        (tmp_path / name / file).write_text(json.dumps(told))
    (tmp_path / f"{name}.json").write_text(json.dumps(SIDES["text"]))
    assert unnoticed(name, tmp_path, TEXTS) == []


@pytest.mark.parametrize("name", ["vit", "dinov2", "convnext", "swin", "clip", "siglip"])
def test_of_pictures_each_setting_that_counts_is_in_the_fingerprint(
    name: str, tmp_path: Path
) -> None:
    tiny_image_folders.saved(name, tmp_path)
    (tmp_path / f"{name}.json").write_text(json.dumps(SIDES["image"]))
    assert unnoticed(name, tmp_path, PICTURES) == []
