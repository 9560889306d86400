"""From stored bytes to a head that serves, and from feature rows to answers."""

from __future__ import annotations

from array import array
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from app.core.backbones import BackboneSpec
from app.core.errors import HeadstartError
from app.core.messages import Target
from app.infra.storage import Storage
from worker import model_store
from worker.ml import occlusion, serving
from worker.ml.heads.base import HeadArtifact
from worker.serving.answers import Labels, Scores, render
from worker.serving.jobs import Item
from worker.serving.prediction_cache import PredictionCache

Rows = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class ServingHead:
    """A verified head and its labels as JSON; immutable, so any number of batches may hold it."""

    live: serving.LiveHead
    labels: Labels
    nbytes: int


def load_head(storage: Storage, target: Target) -> ServingHead:
    """Read, verify and check a head. Raises model_corrupt, storage_unavailable."""
    stored = model_store.load(storage, target.artifact, target.sha256)
    tensors = {name: torch.from_numpy(np.array(value)) for name, value in stored.tensors.items()}
    live = live_head(tensors, stored.card.get("config"))
    return ServingHead(live, Labels(live.classes), live.nbytes + _overhead(live.classes))


def live_head(tensors: dict[str, torch.Tensor], config: Any) -> serving.LiveHead:
    """A head of verified tensors and the card's `config`. Raises model_corrupt."""
    try:
        return serving.load(HeadArtifact(tensors=tensors, config=config))
    except (KeyError, TypeError, ValueError) as error:
        raise HeadstartError("model_corrupt", f"the stored head misses {error}") from error


def scores_of(labels: Labels, prediction: serving.Prediction) -> Scores:
    """A prediction as what is remembered and rendered of it."""
    probabilities: Any = prediction.probabilities.numpy()
    return Scores(labels, array("f", probabilities.tobytes()))


def _overhead(classes: Sequence[str]) -> int:
    """Bytes beside the tensors: objects, and each label twice."""
    return 4096 + sum(2 * (60 + len(name)) for name in classes)


class Answerer:
    """Turns one backbone's feature rows into items of an answer; threads may share it."""

    def __init__(self, spec: BackboneSpec, cache: PredictionCache) -> None:
        self._spec, self._cache = spec, cache

    def __call__(self, items: Sequence[Item], rows: Sequence[Rows]) -> list[bytes]:
        """One answer an item; `rows[i]` is [views, D], in the order of the views of i's head.

        Where an item wants a saliency map, the rows of its picture with each window hidden follow.
        """
        answers: list[bytes] = [b""] * len(items)
        groups: dict[tuple[str, ...], list[int]] = {}
        for place, item in enumerate(items):
            views = item.job.head.live.views if item.job.head is not None else ()
            groups.setdefault(views, []).append(place)
        for views, places in groups.items():
            chosen = [items[place] for place in places]
            found = self._group(views, chosen, [rows[place] for place in places])
            for place, answer in zip(places, found, strict=True):
                answers[place] = answer
        return answers

    def _group(
        self, views: tuple[str, ...], items: Sequence[Item], rows: Sequence[Rows]
    ) -> list[bytes]:
        stacked = np.stack([row[: max(1, len(views))] for row in rows])
        if not np.isfinite(stacked).all():
            raise HeadstartError("internal", "the backbone gave numbers that are not finite")
        if not views:
            return self._embeddings(items, stacked[:, 0])
        features = {view: torch.from_numpy(stacked[:, at]) for at, view in enumerate(views)}
        heads = [item.job.head.live for item in items]
        predictions = serving.predict(
            features, heads, layout=self._spec.layout, texts=self._texts(items)
        )
        return [
            self._answer(item, prediction, row)
            for item, prediction, row in zip(items, predictions, rows, strict=True)
        ]

    def _texts(self, items: Sequence[Item]) -> list[str] | None:
        """What the rows are embeddings of, where the heads read that too."""
        if self._spec.modality != "text":
            return None
        return [str(item.input.data, "utf-8") for item in items]

    def _answer(self, item: Item, prediction: serving.Prediction, rows: Rows) -> bytes:
        scores = scores_of(item.job.head.labels, prediction)
        if item.key:
            self._cache.put(item.key, scores)
        extra = f',"saliency":"{self._saliency(item, scores, rows)}"' if item.wants_saliency else ""
        return render(scores, index=item.index, options=item.job.call.options, extra=extra)

    def _saliency(self, item: Item, scores: Scores, rows: Rows) -> str:
        """A PNG as a `data:` URL; `rows` [views + windows, D]: windows are hidden in the first."""
        head = item.job.head.live
        count = occlusion.WINDOWS
        features = {
            view: torch.from_numpy(rows[at : at + 1]).expand(count, -1)
            for at, view in enumerate(head.views)
        }
        features[head.views[0]] = torch.from_numpy(rows[len(head.views) :])
        found = serving.predict(features, [head] * count, layout=self._spec.layout)
        best = scores.labels.names.index(scores.label)
        hidden = np.array([float(one.probabilities[best]) for one in found], np.float32)
        values = occlusion.saliency(scores.probabilities[best], hidden)
        image = b64encode(occlusion.png(values, self._spec.input_size))
        return "data:image/png;base64," + image.decode()

    def _embeddings(self, items: Sequence[Item], rows: Rows) -> list[bytes]:
        """The last layer, L2-normalised, as base64 of little-endian float32."""
        last = rows[:, self._spec.last.start : self._spec.last.stop]
        unit = last / np.maximum(np.linalg.norm(last, axis=1, keepdims=True), 1e-12)
        return [
            b'{"index":%d,"embedding":"%s"}' % (item.index, b64encode(row.astype("<f4").tobytes()))
            for item, row in zip(items, unit, strict=True)
        ]
