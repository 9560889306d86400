"""What TensorFlow itself has saved gives what TensorFlow says of it, with no TensorFlow here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.core.errors import HeadstartError
from tests.fixtures.unpacked import GRAPHS, said, unpack
from worker.ml.backbones.sources import described
from worker.ml.engines import load_engine

QUANTISED = 0.15
"""Of the largest number: eight bits of a network of 20 numbers that was never trained."""


@pytest.mark.parametrize("name", GRAPHS)
def test_the_tap_is_what_feeds_the_last_layer(name: str, tmp_path: Path) -> None:
    unpack(tmp_path, name)
    engine: Any = load_engine(name, tmp_path, device="cpu", precision="f32")
    assert (engine.spec.source, engine.spec.dim, engine.spec.input_size) == ("graph", 12, 32)
    with np.load(said(tmp_path)) as told:
        pixels, wanted = told["pixels"], told[GRAPHS[name][0]]
    far = np.abs(engine.embed(pixels) - wanted).max() / np.abs(wanted).max()
    assert far < (QUANTISED if name in ("lite-uint8", "lite-int8") else 1e-4)
    assert np.abs(engine.embed(pixels[:1]) - engine.embed(pixels)[:1]).max() < 1e-5


def test_bytes_with_a_sign_are_bytes(tmp_path: Path) -> None:
    for name in ("lite-uint8", "lite-int8"):
        unpack(tmp_path, name)
    ours, theirs = (
        load_engine(name, tmp_path, device="cpu", precision="f32")
        for name in ("lite-uint8", "lite-int8")
    )
    with np.load(said(tmp_path)) as told:
        pixels: Any = told["pixels"]
    assert np.abs(ours.embed(pixels) - theirs.embed(pixels)).max() < 1e-4


def test_a_saved_model_may_have_its_tap_named(tmp_path: Path) -> None:
    unpack(tmp_path, "saved-model")
    side = tmp_path / "saved-model.json"
    told = json.loads(side.read_text())
    side.write_text(json.dumps({**told, "tap": "scores"}))
    assert described("saved-model", tmp_path, None).dim == 5
    side.write_text(json.dumps({key: told[key] for key in ("mean", "std")}))
    with pytest.raises(HeadstartError, match="input_size") as caught:
        described("saved-model", tmp_path, None)
    assert caught.value.code == "weights_invalid"


def test_a_saved_model_without_its_variables_is_refused(tmp_path: Path) -> None:
    unpack(tmp_path, "saved-model")
    for file in (tmp_path / "saved-model" / "variables").iterdir():
        file.unlink()
    with pytest.raises(HeadstartError) as caught:
        load_engine("saved-model", tmp_path, device="cpu", precision="f32")
    assert caught.value.code == "weights_invalid"
