"""From feature rows to scores, under any mixture of heads."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from sys import intern
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from app.core.backbones import Block
from app.core.errors import HeadstartError
from app.core.modalities import PRIMARY, Depth, mapped
from worker.answers.rendering import Labels, Scores
from worker.ml.artifact import HeadArtifact, HeadConfig
from worker.ml.engines import Engine
from worker.ml.engines.finite import not_finite, own_not_finite
from worker.ml.engines.stream import embedder
from worker.ml.heads import scoring, scoring_numpy
from worker.ml.heads.scoring_numpy import StackedHead
from worker.ml.heads.tuned_suffix import MakeSuffix

Rows = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class ServingHead:
    """A verified head and its labels as JSON; immutable, so any number of batches may hold it.

    It reads the numbers of a backbone with the weights `weights_sha256`, and of no other, read as
    `read_as` says, best as the engine `fitted` computes them. Where `stacked` is there it has the
    head's weights, and `live` only what explanations need.
    """

    live: scoring.LiveHead
    stacked: StackedHead | None
    labels: Labels
    nbytes: int
    weights_sha256: str
    fitted: str = ""
    read_as: str = ""

    @property
    def depth(self) -> Depth | None:
        """How deep its own network is tuned, if it has one."""
        return self.live.config.depth


def live_head(tensors: dict[str, Tensor], config: Any, *, suffix: MakeSuffix) -> scoring.LiveHead:
    """A head of verified tensors and the card's `config`; `suffix` is its backbone's, which only
    tuned heads ask for. Raises model_corrupt.
    """
    artifact = HeadArtifact(tensors=tensors, config=HeadConfig.from_json(config))
    return scoring.load(artifact, suffix)


def serving_head(
    live: scoring.LiveHead, *, weights_sha256: str, fitted: str = "", read_as: str = ""
) -> ServingHead:
    """The head laid out for batches, its weights in memory once."""
    stacked, size = scoring_numpy.stacked(live), live.nbytes
    if stacked is not None:
        tensors = {name: x for name, x in live.artifact.tensors.items() if name != "weight"}
        live = scoring.LiveHead(HeadArtifact(tensors, live.config))
    return ServingHead(
        live,
        stacked,
        Labels(live.config.classes, live.config.thresholds),
        size + _overhead(live),
        intern(weights_sha256),
        intern(fitted),
        intern(read_as),
    )


def predict(
    features: Mapping[str, Rows],
    heads: Sequence[ServingHead],
    *,
    layout: Sequence[Block],
    texts: Sequence[str] | None = None,
) -> list[Scores]:
    """One row's scores for each of `heads` [n]; `features[view]` is [n, D], `texts` [n]."""
    quick = [place for place, head in enumerate(heads) if head.stacked is not None]
    if len(quick) == len(heads):
        return _stacked(features, heads, quick, layout)
    scores = dict(zip(quick, _stacked(features, heads, quick, layout), strict=True))
    others = [place for place, head in enumerate(heads) if head.stacked is None]
    predictions = scoring.predict(
        {view: torch.from_numpy(rows[others]) for view, rows in features.items()},
        [heads[place].live for place in others],
        layout=layout,
        texts=[texts[place] for place in others] if texts is not None else None,
    )
    for place, prediction in zip(others, predictions, strict=True):
        scores[place] = scores_of(heads[place].labels, prediction)
    return [scores[place] for place in range(len(heads))]


def is_finite(scores: Scores) -> bool:
    """Whether they say anything: a head's own network may give NaN where its backbone does not."""
    return all(map(isfinite, scores.probabilities))


@torch.no_grad()
def not_finite_of(engine: Engine, head: scoring.LiveHead) -> HeadstartError:
    """The error of one input of which the head's own network, or the head, gave no finite numbers.

    Raises model_corrupt or weights_invalid where nothing is wrong with the input.
    """
    tuned, depth = head.tuned, head.config.depth
    if tuned is None or depth is None:
        return not_finite(engine)
    if tuned.suffix.encoder is not None:
        return own_not_finite(engine, lambda texts: tuned.read(texts).numpy())
    read = embedder(engine, mapped(PRIMARY["image"], depth))
    return own_not_finite(engine, lambda batch: tuned(torch.from_numpy(read(batch))).numpy())


def scores_of(labels: Labels, prediction: scoring.Prediction) -> Scores:
    """A prediction as what is remembered and rendered of it."""
    probabilities: Any = prediction.probabilities.numpy()
    return Scores(
        labels,
        array("f", probabilities.tobytes()),
        prediction.unknown,
        prediction.familiarity,
        prediction.score,
    )


def _stacked(
    features: Mapping[str, Rows],
    heads: Sequence[ServingHead],
    places: Sequence[int],
    layout: Sequence[Block],
) -> list[Scores]:
    laid = [made for place in places if (made := heads[place].stacked) is not None]
    if not laid:
        return []
    rows = features[PRIMARY["image"]]
    predictions = scoring_numpy.predict(
        rows if len(laid) == len(rows) else rows[places], laid, layout=layout
    )
    return [
        Scores(
            heads[place].labels,
            array("f", one.probabilities.tobytes()),
            one.unknown,
            one.familiarity,
            one.score,
        )
        for place, one in zip(places, predictions, strict=True)
    ]


def _overhead(head: scoring.LiveHead) -> int:
    """Bytes beside the tensors: objects, each label twice, the ids of exemplars."""
    config = head.config
    names = [*config.classes, *config.classes, *config.exemplar_ids]
    return 6000 + sum(60 + len(name) for name in names)
