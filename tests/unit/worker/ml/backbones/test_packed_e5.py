"""A packed file gives the tokens and numbers that its package's own engine gives."""

from __future__ import annotations

import json
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from app.core.backbones import E5
from app.core.errors import HeadstartError
from app.infra import weights
from worker.ml.backbones.encoders import text_network
from worker.ml.backbones.packed_e5 import PackedE5
from worker.ml.backbones.packed_e5_network import PackedEmbedding
from worker.ml.backbones.text_files import fingerprint, prompted
from worker.ml.engines import Engine, load_engine
from worker.ml.features import whitening

pytestmark = pytest.mark.slow

KNOWN = json.loads(
    (Path(__file__).parents[4] / "fixtures" / "multilingual_e5_small.json").read_text("utf-8")
)


@pytest.fixture(scope="module")
def path() -> Path:
    source = weights.find(E5.name, None)
    assert source is not None
    return source.path


@pytest.fixture(scope="module")
def file(path: Path) -> PackedE5:
    return PackedE5(path)


@pytest.fixture(scope="module")
def engine(engine_cache: Path) -> Any:
    return load_engine(E5.name, None, device="cpu", cache_dir=engine_cache, precision="f32")


def fused(ids: list[int], unknown: int) -> list[int]:
    """Neighbouring unknown characters as one, as XLM-R's tokenizer has them and this engine not."""
    runs = ((one, list(run)) for one, run in groupby(ids))
    return [one for key, run in runs for one in (run[:1] if key == unknown else run)]


def test_the_tokens_are_those_of_its_own_engine(engine: Any, file: PackedE5) -> None:
    rows = KNOWN["tokens"]
    found = engine.encoder.windows([row["text"] for row in rows])
    wrong = [
        row["text"]
        for row, windows in zip(rows, found, strict=True)
        if windows != [[file.first, *fused(row["ids"], file.unknown), file.last]]
    ]
    assert len(rows) > 150
    assert wrong == []


def test_the_embeddings_are_those_of_its_own_engine(engine: Any) -> None:
    """Which rounds activations to 8 bits."""
    rows = KNOWN["embeddings"]
    theirs = np.array([row["row"] for row in rows], np.float32)
    assert (engine.embed([row["text"] for row in rows]) * theirs).sum(1).min() > 0.999


def test_torch_and_openvino_agree(engine: Any, path: Path) -> None:
    windows = engine.encoder.windows([row["text"] for row in KNOWN["tokens"][:3]])
    network = text_network(path, "mean")
    with torch.inference_mode():
        rows = [network(x, torch.ones_like(x)) for x in (torch.tensor(some) for some in windows)]
    ours = engine.embed([row["text"] for row in KNOWN["tokens"][:3]])
    assert (torch.cat(rows).numpy() * ours).sum(1).min() > 0.9999


def test_the_word_table_is_unpacked_as_it_is_read(file: PackedE5) -> None:
    width = file.sizes.hidden
    table = PackedEmbedding(file.packed("emb.word"), width)
    ids = torch.tensor([[0, 3, 41, 250_001]])
    whole = torch.from_numpy(file.floats("emb.word")).view(-1, width)
    assert len(whole) == file.sizes.vocabulary
    assert torch.equal(table(ids), whole[ids])


def test_every_window_has_the_prompt(engine: Any) -> None:
    (windows,) = engine.encoder.windows(["word " * 600])
    start = engine.encoder.windows([""])[0][0][:-1]
    assert len(windows) > 2
    assert all(window[: len(start)] == start for window in windows)
    assert engine.encoder.room == 256 - 2 - len(E5.prompt)


def test_the_prompt_is_part_of_the_key(path: Path) -> None:
    assert fingerprint(E5, path) != PackedE5(path).fingerprint()


def test_a_prompt_that_the_tokens_do_not_know_is_refused(file: PackedE5) -> None:
    with pytest.raises(HeadstartError) as caught:
        prompted(file.tokenizer(), ("nosuchpiece",))
    assert caught.value.code == "weights_invalid"


@pytest.mark.parametrize("size", [0, 3, 50, 4_000_000, 5_000_000])
def test_a_file_that_is_cut_short_is_refused(path: Path, tmp_path: Path, size: int) -> None:
    cut = tmp_path / "cut.bin"
    cut.write_bytes(path.read_bytes()[:size])
    with pytest.raises(HeadstartError) as caught:
        text_network(cut, "mean")
    assert caught.value.code == "weights_invalid"


def test_its_centre_is_shipped(engine: Engine) -> None:
    """Texts of nothing in common are alike as they come, and are not when the centre is off."""
    name = whitening.find(E5.name, engine.weights_sha256)
    assert name is not None
    centre = whitening.load(name, E5.layout).whitening[E5.layout[0]]
    rows = torch.from_numpy(engine.embed([row["text"] for row in KNOWN["embeddings"]]))  # type: ignore[arg-type]
    raw, centred = rows, torch.nn.functional.normalize(centre(rows), dim=1)
    apart = ~torch.eye(len(rows), dtype=torch.bool)
    assert (raw @ raw.T)[apart].min() > 0.6
    assert (centred @ centred.T)[apart].max() < 0.5
