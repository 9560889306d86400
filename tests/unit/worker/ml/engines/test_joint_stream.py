"""Several backbones together, asked to stop for others' work."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.unit.worker.ml.drawn_images import encoded
from worker.ml.engines import stream
from worker.ml.engines.joint import JointImages
from worker.ml.engines.stream import embed_stream


class Brightness:
    """Says how bright a picture is, times so much."""

    best_batch = 2
    spec = SimpleNamespace(name="light", modality="image", input_size=8)

    def __init__(self, times: int) -> None:
        self.times = times

    def embed(self, batch: Any) -> Any:
        return self.times * batch.mean((1, 2), dtype=np.float32)


def both() -> Any:
    engine: Any = object.__new__(JointImages)
    engine.parts = (Brightness(1), Brightness(2))
    return engine


def pictures(count: int) -> list[bytes]:
    return [encoded(np.full((8, 8, 3), level, np.uint8), "PNG") for level in range(count)]


def test_rows_lie_side_by_side_however_few_are_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "HELD", 3)
    blobs = [*pictures(6), b"no picture"]
    found = list(embed_stream(both(), iter(blobs), threads=1))
    assert [index for index, _ in found] == list(range(7))
    for index, row in found[:6]:
        assert np.asarray(row).tolist() == [index] * 3 + [2 * index] * 3
    assert getattr(found[6][1], "code", None) == "image_invalid"


def test_after_a_part_it_is_asked_whether_to_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "HELD", 3)
    taken: list[int] = []
    for index, _ in embed_stream(
        both(), iter(pictures(9)), threads=1, stopped=lambda: len(taken) >= 4
    ):
        taken.append(index)
    assert taken == list(range(6))
