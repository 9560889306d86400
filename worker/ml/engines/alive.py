"""Whether a network tells inputs apart: one whose last tensors are zeros reads all alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np

from app.core.errors import HeadstartError
from worker.ml.engines.base import Engine, TextEngine, Vectors

if TYPE_CHECKING:
    from torch import Tensor

_TEXTS = ("The quick brown fox jumps over it.", "Где вокзал? 今天天气很好", "0123456789")
"""Where a vocabulary tells these apart; otherwise its own words are shown."""
_MOST = 3
_ALIKE = 1e-6
"""Of the greatest number: what the same numbers differ by in another place of a batch."""


def check(engine: Engine) -> None:
    """Raises weights_invalid where a level gives the same numbers of all that it is shown.

    Numbers that are not finite are told where they are met: `finite.not_finite`.
    """
    spec = engine.spec
    rows = engine.embed(_SHOWN[spec.modality](engine))
    if not np.isfinite(rows).all():
        return
    levels = sorted({block.level for block in spec.layout})
    for level in levels:
        parts = [rows[:, one.start : one.start + one.width] for one in spec.level(level)]
        if _alike(np.concatenate(parts, 1)):
            raise HeadstartError("weights_invalid", f"{spec.name} {_told(level, levels)}")


class _Tokens(Protocol):
    """What has tokens: an encoder of texts, or the tower of texts of two."""

    def windows(self, texts: Sequence[str]) -> list[list[list[int]]]: ...
    def own_words(self) -> list[str]: ...


class _NamesTower(_Tokens, Protocol):
    def embed(self, texts: Sequence[str]) -> Tensor: ...


def check_tower(name: str, tower: _NamesTower) -> None:
    """Raises weights_invalid where the names of all classes would be the same numbers."""
    if _alike(tower.embed(_told_apart(name, tower)).numpy()):
        why = f"{name}: its tower of texts {_told(0, [0])}, or leave the names out"
        raise HeadstartError("weights_invalid", f"{why} (`label_names`: false)")


def _told_apart(name: str, reader: _Tokens) -> list[str]:
    """Texts of which no two are the same tokens, in whatever order or number.

    Raises weights_invalid where not even its own words are: any text would be any other.
    """
    for texts in (_TEXTS, (*_TEXTS, *reader.own_words())):
        read = zip(texts, reader.windows(texts), strict=True)
        sets = {frozenset(chain(*windows)): text for text, windows in read if windows}
        if len(sets) > 1:
            return list(sets.values())[:_MOST]
    why = f"{name}: its tokenizer.json makes the same tokens of whatever it reads"
    raise HeadstartError("weights_invalid", f"{why}: copy it again from where the weights are from")


def _told(level: int, levels: list[int]) -> str:
    """With what to do."""
    where = "" if len(levels) == 1 else f" at level {level + 1} of {len(levels)}"
    return (
        f"gives the same numbers{where} of whatever it reads: its file is only half there, or "
        "tensors of it are all zeros: copy it again"
    )


def _alike(rows: Vectors) -> bool:
    return bool(np.ptp(rows, axis=0).max() <= _ALIKE * np.abs(rows).max())


def _pictures(engine: Engine) -> Any:
    """Noise, a slope of each colour, and stripes."""
    side = engine.spec.input_size
    noise = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
    slope = np.linspace(0, 255, side, dtype=np.uint8)
    across, down = (
        np.broadcast_to(slope, (side, side)),
        np.broadcast_to(slope[:, None], (side,) * 2),
    )
    stripes = np.where(np.arange(side)[:, None, None] % 16 < 8, 255, 0).astype(np.uint8)
    return np.stack(
        [
            noise,
            np.stack([across, down, 255 - across], -1),
            np.broadcast_to(stripes, (side, side, 3)),
        ]
    )


def _texts(engine: Engine) -> list[str]:
    return _told_apart(engine.spec.name, cast("TextEngine", engine).encoder)


_SHOWN: Mapping[str, Callable[[Engine], Any]] = {"image": _pictures, "text": _texts}
