"""When an embedding pass looks whether it must end, and which texts are told to be cut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from worker.ml.engines.readings import TEXT_BATCHES
from worker.tensors.handler import Tensors, _collect

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Spec:
    """Of texts."""

    modality: str = "text"


class Engine:
    """Counts the texts that it embeds."""

    best_batch = 4
    spec = Spec()

    def __init__(self) -> None:
        self.embedded = 0

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.embedded += len(texts)
        return np.ones((len(texts), 2), np.float32)


def test_texts_that_were_embedded_together_are_kept_together(tmp_path: Path) -> None:
    together = TEXT_BATCHES * Engine.best_batch
    engine: Any = Engine()
    pack = tmp_path / "pack"
    pack.write_bytes(b"x" * 3 * together)
    items = {
        "packs": [str(pack)], "pack": [0] * 3 * together,
        "offset": list(range(3 * together)), "length": [1] * 3 * together,
        "sha256": [sha256(b"x").hexdigest()] * 3 * together,
    }  # fmt: skip
    request = {"items": items, "view": "text", "threads": 1}
    told: list[int] = []
    found = _collect(engine, request, lambda _, body: told.append(body["done"]), lambda: True)
    assert found.done == engine.embedded == together
    assert told == [together]


def test_long_texts_are_embedded_a_few_together(tmp_path: Path) -> None:
    """So that who waits for the worker waits for seconds, however long they are."""
    engine: Any = Engine()
    pack = tmp_path / "pack"
    pack.write_bytes(b"x" * 100_000)
    items = {
        "packs": [str(pack)], "pack": [0] * 100, "offset": [0] * 100, "length": [2000] * 100,
        "sha256": [sha256(b"x" * 2000).hexdigest()] * 100,
    }  # fmt: skip
    request = {"items": items, "view": "text", "threads": 1}
    found = _collect(engine, request, lambda *_: None, lambda: True)
    assert found.done == engine.embedded == TEXT_BATCHES * Engine.best_batch // 8


class Windows:
    """Reads three characters of a text."""

    def truncated(self, texts: Sequence[str]) -> list[bool]:
        return [len(text) > 3 for text in texts]

    def unread(self, texts: Sequence[str]) -> list[bool]:
        return ["d" in text for text in texts]


def test_texts_that_go_on_are_named_by_their_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack = tmp_path / "pack"
    pack.write_bytes(b"abcdefgh\xff")
    items = {
        "packs": [str(pack)], "pack": [0, 0, 0], "offset": [0, 3, 7], "length": [3, 4, 2],
        "sha256": [sha256(one).hexdigest() for one in (b"abc", b"defg", b"h\xff")],
    }  # fmt: skip
    engine: Any = Engine()
    engine.encoder = Windows()
    monkeypatch.setattr(Tensors, "_engine", lambda *_: engine)
    request = {"op": "truncated", "backbone": "mine", "items": items}
    answer = Tensors(stopped=lambda: False).handle(request, lambda *_: None)
    assert answer == {"truncated": [1]}
    unread = Tensors(stopped=lambda: False).handle({**request, "op": "unread"}, lambda *_: None)
    assert unread == {"unread": [1]}
