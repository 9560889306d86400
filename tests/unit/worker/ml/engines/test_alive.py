"""A network that reads everything alike is refused where it is loaded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from tokenizers.models import BPE, WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit

from app.core.backbones import Block
from app.core.errors import HeadstartError
from app.infra.weights import availability
from tests.unit.worker.ml.tiny_encoder import saved
from worker.ml.engines import alive, load_engine


def _engine(modality: str, gives: Callable[[Any], Any]) -> Any:
    """Of two levels of two columns each, which `gives` makes."""
    blocks = tuple(Block(level, "mean", 2 * level, 2 * level + 2) for level in (0, 1))
    spec = SimpleNamespace(
        name="odd", modality=modality, layout=blocks, input_size=32,
        level=lambda at: [one for one in blocks if one.level == at],
    )  # fmt: skip
    encoder = SimpleNamespace(windows=lambda texts: [[[ord(one[0])]] for one in texts])
    encoder.own_words = lambda: ["any"]
    return SimpleNamespace(
        spec=spec, encoder=encoder, embed=lambda batch: np.asarray(gives(batch), np.float32)
    )


def _told(engine: Any) -> str:
    with pytest.raises(HeadstartError) as refused:
        alive.check(engine)
    assert refused.value.code == "weights_invalid"
    return refused.value.message


@pytest.mark.parametrize("number", [0.0, 0.5, -3e-9])
def test_the_same_numbers_of_all_are_refused(number: float) -> None:
    for modality in ("text", "image"):
        engine = _engine(modality, lambda batch: np.full((len(batch), 4), number))
        assert "at level 1 of 2 of whatever it reads" in _told(engine)


def test_so_is_one_level_of_them() -> None:
    def half(batch: Any) -> Any:
        lengths = np.array([len(str(one)) for one in batch], np.float32)
        return np.stack([lengths, lengths, np.ones(len(batch)), np.zeros(len(batch))], 1)

    assert "at level 2 of 2" in _told(_engine("text", half))


def test_little_that_differs_is_enough() -> None:
    alive.check(_engine("image", lambda batch: batch.mean((1, 2, 3))[:, None] * np.full(4, 1e-6)))


def test_what_is_not_finite_is_told_elsewhere() -> None:
    alive.check(_engine("text", lambda batch: np.full((len(batch), 4), np.nan)))


def test_a_folder_whose_last_tensors_are_zeros_is_refused_and_listed_so(tmp_path: Path) -> None:
    saved("bert", tmp_path)
    cache, file = tmp_path / "cache", tmp_path / "bert" / "model.safetensors"
    assert load_engine("bert", tmp_path, device="cpu", cache_dir=cache).spec.name == "bert"
    state = load_file(file)
    dead = {key: torch.zeros_like(one) for key, one in state.items() if "layer." in key}
    save_file({**state, **dead}, file)
    with pytest.raises(HeadstartError, match="gives the same numbers of whatever it reads"):
        load_engine("bert", tmp_path, device="cpu", cache_dir=cache)
    assert "copy it again" in (availability("bert", tmp_path, cache).reason or "")


def test_matrices_of_whole_bytes_are_refused(tmp_path: Path) -> None:
    saved("bert", tmp_path)
    file = tmp_path / "bert" / "model.safetensors"
    state = load_file(file)
    name = next(key for key in state if key.endswith("query.weight"))
    save_file({**state, name: (100 * state[name]).to(torch.int8)}, file)
    with pytest.raises(HeadstartError, match=f"{name} is whole numbers of 8 bits"):
        load_engine("bert", tmp_path, device="cpu")


AMHARIC = "ሰላም ነው እንዴት ዛሬ ቤት ውሃ መጽሐፍ".split()


def _words(unknown: bool) -> Tokenizer:
    words = ["[UNK]", *AMHARIC] if unknown else AMHARIC
    made = Tokenizer(WordLevel({word: at for at, word in enumerate(words)}, unk_token="[UNK]"))
    made.pre_tokenizer = WhitespaceSplit()
    return made


def _characters() -> Tokenizer:
    """Pairs without one, and no word for what is unknown: it is left out."""
    letters = sorted(set("".join(AMHARIC)))
    made = Tokenizer(BPE({letter: at for at, letter in enumerate(letters)}, []))
    made.pre_tokenizer = WhitespaceSplit()
    return made


@pytest.mark.parametrize("family", ["bert", "llama"])
@pytest.mark.parametrize("made", [_words(True), _words(False), _characters()])
def test_a_vocabulary_of_one_script_is_read_by_its_own_words(
    family: str, made: Tokenizer, tmp_path: Path
) -> None:
    """A network that turns places alone makes the same of any number of unknown words."""
    saved(family, tmp_path)
    made.save(str(tmp_path / family / "tokenizer.json"))
    engine: Any = load_engine(family, tmp_path, device="cpu", precision="f32")
    assert engine.embed(AMHARIC[:2]).shape == (2, 32)
    file = tmp_path / family / "model.safetensors"
    state = load_file(file)
    table = next(key for key in state if "word_emb" in key or "embed_tokens" in key)
    same = state[table][:1].repeat(len(state[table]), 1)
    dead = {key: torch.zeros_like(one) for key, one in state.items() if "position_emb" in key}
    save_file({**state, **dead, table: same}, file)
    with pytest.raises(HeadstartError, match="gives the same numbers of whatever it reads"):
        load_engine(family, tmp_path, device="cpu", precision="f32")


def test_tokens_that_tell_no_texts_apart_are_refused(tmp_path: Path) -> None:
    saved("bert", tmp_path)
    Tokenizer(WordLevel({"[UNK]": 0}, unk_token="[UNK]")).save(
        str(tmp_path / "bert" / "tokenizer.json")
    )
    with pytest.raises(HeadstartError, match="the same tokens of whatever it reads") as caught:
        load_engine("bert", tmp_path, device="cpu")
    assert caught.value.code == "weights_invalid"
