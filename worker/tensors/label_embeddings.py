"""A backbone's embeddings of label names, each name passed through it once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import Tensor

from app.core.backbones import BackboneSpec
from app.infra import weights
from worker.ml.engines import Engine, TextEngine, alive
from worker.ml.engines.finite import not_finite
from worker.ml.engines.joint import parts_of
from worker.ml.features.label_names import said
from worker.ml.tasks import USUAL_SCALE

if TYPE_CHECKING:
    from worker.ml.backbones.text_towers import TextTower

MOST = 10_000
_Key = tuple[str, str, str]
"""Fingerprint and precision of the engine, and what is said of a name."""


@dataclass(frozen=True)
class NameRows:
    """Rows [C, D] of classes by their names; cosines times `scale` are logits."""

    rows: Tensor
    scale: float


class LabelEmbeddings:
    """Remembers the names used last, so that a refit of the same classes passes none again."""

    def __init__(self) -> None:
        self._known: OrderedDict[_Key, Tensor] = OrderedDict()
        self._scales: dict[str, float] = {}

    def of(
        self,
        engine: Engine,
        classes: Sequence[str],
        prompts: Sequence[str],
        weights_dir: Path | None,
    ) -> NameRows | None:
        """Of the readable labels in their order, the mean over prompts; None where the backbone
        reads no names. Raises weights_invalid, and not_finite for a name that it gives no numbers
        of.
        """
        if engine.spec.reads.read_by_heads:
            return NameRows(
                self._mean(engine, classes, prompts, lambda told: _by_engine(engine, told)),
                USUAL_SCALE,
            )
        parts = parts_of(engine)
        if not any(one.spec.two_towers for one in parts):
            return None
        beside = [self._of_tower(one, classes, prompts, weights_dir) for one in parts]
        scale = next(self._scales[o.fingerprint] for o in parts if o.spec.two_towers)
        return NameRows(torch.cat(beside, 1), scale)

    def _of_tower(
        self,
        engine: Engine,
        classes: Sequence[str],
        prompts: Sequence[str],
        weights_dir: Path | None,
    ) -> Tensor:
        """In the space of the part's pictures; zeros where it has no other tower."""
        if not engine.spec.two_towers:
            return torch.zeros(len(classes), engine.spec.last.width)

        def embed(texts: Sequence[str]) -> Tensor:
            tower = _tower(engine.spec, weights_dir)
            self._scales[engine.fingerprint] = tower.scale
            return tower.embed(texts)

        return self._mean(engine, classes, prompts, embed)

    def _mean(
        self,
        engine: Engine,
        classes: Sequence[str],
        prompts: Sequence[str],
        embed: Callable[[Sequence[str]], Tensor],
    ) -> Tensor:
        """[C, D]; what is not known yet is passed through at once."""
        source = (engine.fingerprint, engine.precision)
        keys = [[(*source, said(label, prompt)) for prompt in prompts] for label in classes]
        every = list(dict.fromkeys(key for some in keys for key in some))
        new = [key for key in every if key not in self._known]
        if new:
            self._known.update(zip(new, embed([text for *_, text in new]), strict=True))
        rows = torch.stack(
            [torch.stack([self._known[key] for key in some]).mean(0) for some in keys]
        )
        self._forget(every)
        return rows if len(prompts) == 1 else torch.nn.functional.normalize(rows, dim=-1)

    def _forget(self, used: Sequence[_Key]) -> None:
        for key in used:
            self._known.move_to_end(key)
        while len(self._known) > MOST:
            self._known.popitem(last=False)


def _by_engine(engine: Engine, texts: Sequence[str]) -> Tensor:
    """[n, D], all of them finite."""
    rows = torch.from_numpy(np.asarray(cast("TextEngine", engine).embed(texts)))
    for text, row in zip(texts, rows, strict=True):
        if not bool(row.isfinite().all()):
            raise not_finite(engine, f"the class name {text[:100]!r}")
    return rows


def _tower(spec: BackboneSpec, weights_dir: Path | None) -> TextTower:
    from worker.ml.backbones.text_towers import TextTower  # seconds, which few backbones need

    tower = TextTower(weights.require(spec, weights_dir).path)
    alive.check_tower(spec.name, tower)
    return tower
