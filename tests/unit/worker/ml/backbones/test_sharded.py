"""Folders whose weights lie in several files are backbones as others are."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from app.core.errors import HeadstartError
from app.infra import weights
from app.infra.found_backbones import whole
from tests import tiny_clip, tiny_decoders
from tests.unit.worker.ml.backbones.sources import test_hugging_face_images as images
from tests.unit.worker.ml.backbones.sources.kit import noise
from worker.ml.backbones import sources
from worker.ml.backbones.text_towers import TextTower
from worker.ml.engines.torch_engine import load_torch

SIZE = "60KB"
SAID = ["money was back", "hello"]
SAVED: dict[str, Callable[[Path], Any]] = {
    "llama": lambda folder: tiny_decoders.decoder("llama", folder / "llama"),
    "vit": lambda folder: images.saved("vit", folder),
    "clip": lambda folder: tiny_clip.save(tiny_clip.network(), folder / "clip"),
}


def in_parts(folder: Path) -> list[Path]:
    """The same tensors, as transformers saves a large network."""
    from transformers import AutoModel

    AutoModel.from_pretrained(folder).save_pretrained(folder, max_shard_size=SIZE)
    (folder / "model.safetensors").unlink(missing_ok=True)
    return sorted(folder.glob("model-*.safetensors"))


def rows(name: str, folder: Path) -> np.ndarray[Any, Any]:
    engine: Any = load_torch(sources.described(name, folder, None), folder, "cpu")
    side = engine.spec.input_size
    vectors: np.ndarray[Any, Any] = engine.embed(SAID if name == "llama" else noise(side))
    return vectors


@pytest.fixture(params=list(SAVED))
def parts(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Path, list[Path]]:
    torch.manual_seed(0)
    SAVED[request.param](tmp_path)
    return request.param, tmp_path, in_parts(tmp_path / request.param)


@pytest.mark.parametrize("name", list(SAVED))
def test_several_files_are_one_network(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    SAVED[name](tmp_path)
    whole_one = rows(name, tmp_path)
    before = weights.sha256(tmp_path / name)
    assert len(in_parts(tmp_path / name)) > 1
    assert weights.availability(name, tmp_path).available
    assert weights.sha256(tmp_path / name) != before
    assert np.allclose(rows(name, tmp_path), whole_one, atol=1e-5)
    if name == "clip":
        assert TextTower(tmp_path / name).embed(SAID).shape[0] == len(SAID)


def test_a_part_that_is_missing_is_named(parts: tuple[str, Path, list[Path]]) -> None:
    name, folder, files = parts
    files[1].unlink()
    told = weights.availability(name, folder)
    assert not told.available
    assert files[1].name in str(told.reason)
    with pytest.raises(HeadstartError, match=files[1].name) as caught:
        load_torch(sources.described(name, folder, None), folder, "cpu")
    assert caught.value.code == "weights_invalid"


def test_a_part_that_is_cut_short_is_named(parts: tuple[str, Path, list[Path]]) -> None:
    name, folder, files = parts
    files[0].write_bytes(files[0].read_bytes()[:-5])
    assert files[0].name in str(weights.availability(name, folder).reason)


@pytest.mark.parametrize(
    "told",
    [
        "[]", "{}", '{"weight_map": {}}', '{"weight_map": []}', "no JSON",
        '{"weight_map": {"a": "../other.safetensors"}}', '{"weight_map": {"a": "a.bin"}}',
        '{"weight_map": {"a": 3}}', '{"weight_map": {"a": "/etc/x.safetensors"}}',
    ],
)  # fmt: skip
def test_an_index_of_something_else_is_refused(told: str, tmp_path: Path) -> None:
    (tmp_path / "other.safetensors").write_bytes(b"x")
    folder = tmp_path / "odd"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"hidden_size": 8}))
    (folder / "tokenizer.json").write_text("{}")
    (folder / whole.INDEX).write_text(told)
    assert not weights.availability("odd", tmp_path).available


def test_changed_numbers_in_a_part_are_other_weights(
    parts: tuple[str, Path, list[Path]],
) -> None:
    name, folder, files = parts
    before = weights.sha256(folder / name)
    data = bytearray(files[0].read_bytes())
    data[-1] ^= 1
    files[0].write_bytes(bytes(data))
    assert weights.sha256(folder / name) != before
