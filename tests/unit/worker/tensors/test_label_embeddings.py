"""Label names pass the backbone once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch

from app.core.backbones import BACKBONES
from app.core.errors import HeadstartError
from app.infra import weights
from tests import tiny_clip
from worker.ml.engines import Engine
from worker.tensors import label_embeddings
from worker.tensors.label_embeddings import LabelEmbeddings


class CountingEngine:
    """An engine whose embedding of a text is its length, and which counts the texts."""

    def __init__(self, backbone: str, fingerprint: str = "f", precision: str = "f32") -> None:
        self.precision = precision
        self.spec, self.fingerprint, self.seen = BACKBONES[backbone], fingerprint, [""]
        self.seen.clear()

    def embed(self, batch: Sequence[str]) -> Any:
        self.seen += batch
        return np.array([[len(text)] for text in batch], np.float32)


def text_engine(fingerprint: str = "f", precision: str = "f32") -> CountingEngine:
    return CountingEngine("all-MiniLM-L6-v2", fingerprint, precision)


def of(known: LabelEmbeddings, engine: CountingEngine, *classes: str) -> torch.Tensor | None:
    found = known.of(cast("Engine", engine), classes, ("{}",), None)
    return None if found is None else found.rows


def test_rows_are_in_the_classes_order_and_readable() -> None:
    engine = text_engine()
    found = of(LabelEmbeddings(), engine, "lost_card", "pin", "lost card")
    assert found is not None
    assert found[:, 0].tolist() == [9, 3, 9]
    assert engine.seen == ["lost card", "pin"]


def test_known_names_pass_no_second_time_new_ones_do() -> None:
    engine, known = text_engine(), LabelEmbeddings()
    of(known, engine, "a", "b")
    of(known, engine, "b", "a", "c")
    assert engine.seen == ["a", "b", "c"]


@pytest.mark.parametrize("other", [text_engine("g"), text_engine("f", "bf16")])
def test_other_weights_or_another_precision_are_asked_again(other: CountingEngine) -> None:
    known = LabelEmbeddings()
    of(known, text_engine(), "a")
    of(known, other, "a")
    assert other.seen == ["a"]


def test_images_have_none() -> None:
    assert of(LabelEmbeddings(), CountingEngine("efficientnet_lite0"), "a") is None


def test_those_used_longest_ago_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_embeddings, "MOST", 2)
    engine, known = text_engine(), LabelEmbeddings()
    for name in ("a", "b", "a", "c", "a", "b"):
        of(known, engine, name)
    assert engine.seen == ["a", "b", "c", "b"]


def test_several_prompts_are_one_unit_row() -> None:
    engine = text_engine()
    found = LabelEmbeddings().of(cast("Engine", engine), ["a_b"], ("{}", "an {}!"), None)
    assert engine.seen == ["a b", "an a b!"]
    assert found is not None
    assert found.rows.tolist() == [[1.0]]


class Silent(CountingEngine):
    """Gives NaN of one name."""

    def embed(self, batch: Sequence[str]) -> Any:
        return np.array([[np.nan if text == "bad" else 1.0] for text in batch], np.float32)


def test_a_name_without_finite_numbers_is_named() -> None:
    with pytest.raises(HeadstartError, match="'bad'") as caught:
        of(LabelEmbeddings(), Silent("all-MiniLM-L6-v2"), "good", "bad")
    assert caught.value.code == "not_finite"


def test_a_tower_that_reads_all_names_alike_is_refused(tmp_path: Path) -> None:
    model = tiny_clip.network()
    tiny_clip.save(model, tmp_path / "clip")
    spec = weights.get("clip", tmp_path)
    assert label_embeddings._tower(spec, tmp_path).embed(["red disc"]).isfinite().all()
    with torch.no_grad():
        model.text_model.final_layer_norm.weight.zero_()
    tiny_clip.save(model, tmp_path / "clip")
    with pytest.raises(HeadstartError, match=r"tower of texts gives the same .*label_names"):
        label_embeddings._tower(spec, tmp_path)
