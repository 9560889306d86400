"""From feature rows to the items of an answer: scores, and explanations where asked for."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Sequence

import numpy as np
import torch
from pydantic_core import to_json

from app.core.backbones import BackboneSpec
from app.core.errors import HeadstartError
from app.core.modalities import is_mapped, is_pixels, pictured
from worker.answers.rendering import Scores, render
from worker.answers.scoring import Rows, ServingHead, is_finite, predict
from worker.ml.heads import occlusion, scoring
from worker.predictor.calls import PendingInput
from worker.predictor.prediction_cache import PredictionCache

NEIGHBOURS = 5
Tokens = Callable[[Sequence[str]], list[int]]
"""How many tokens each text is."""
Answers = list[bytes | HeadstartError]
"""Items of an answer, or what is wrong with their inputs."""


class Answerer:
    """Turns one backbone's feature rows into items of an answer; threads may share it."""

    def __init__(
        self,
        spec: BackboneSpec,
        cache: PredictionCache,
        tokens: Tokens,
        *,
        not_finite: Callable[[], HeadstartError],
        own_not_finite: Callable[[ServingHead], HeadstartError],
    ) -> None:
        """`not_finite` makes the error of an input whose rows are not, or raises what is wrong
        with the backbone; `own_not_finite` that of one whose scores are not.
        """
        self._spec, self._cache, self._tokens = spec, cache, tokens
        self._not_finite, self._own_not_finite = not_finite, own_not_finite

    def __call__(self, items: Sequence[PendingInput], rows: Sequence[Rows]) -> Answers:
        """One answer an item and each of its riders; `rows[i]` is [pictures, D], in the order of
        the item's pictures; behind them what a network of its own reads, activations or pixels.

        Where an item wants a saliency map, the rows of its picture with each window hidden follow.
        Rows that are not finite make no answer: the error is in its place.
        """
        if any(item.riders for item in items):
            items, rows = _spread(items, rows)
        finite = [bool(np.isfinite(row).all()) for row in rows]
        answers: Answers = [b"" if all(finite) else self._not_finite()] * len(items)
        for views, places in _by_views(items, finite).items():
            chosen = [items[place] for place in places]
            group = self._group(views, chosen, [rows[place] for place in places])
            for place, answer in zip(places, group, strict=True):
                answers[place] = answer
        return answers

    def _group(
        self, views: tuple[str, ...], items: Sequence[PendingInput], rows: Sequence[Rows]
    ) -> Answers:
        pictures = len(set(map(pictured, views))) or 1
        stacked = np.stack([row[:pictures] for row in rows])
        if not views:
            return [*self._embeddings(items, stacked[:, 0])]
        features = self._features(views, stacked)
        heads: list[ServingHead] = [item.call.head for item in items]
        texts = self._texts(items)
        scores = predict(features, heads, layout=self._spec.layout, texts=texts)
        return [
            self._answer(item, its_scores, row)
            if is_finite(its_scores)
            else self._wrong(item.call.head)
            for item, its_scores, row in zip(items, scores, rows, strict=True)
        ]

    def _wrong(self, head: ServingHead) -> HeadstartError:
        """What is told of one input: where nothing is wrong with it, that is told in its place, as
        other heads share the batch.
        """
        try:
            return self._own_not_finite(head)
        except HeadstartError as error:
            return error

    def _features(self, views: Sequence[str], stacked: Rows) -> dict[str, Rows]:
        """Each view's [n, D], or of activations or pixels [n, width], of [n, pictures, …]."""
        pictures, width = list(dict.fromkeys(map(pictured, views))), self._spec.width
        return {
            view: stacked[:, pictures.index(pictured(view)), width:]
            if is_mapped(view) or is_pixels(view)
            else stacked[:, pictures.index(view), :width]
            for view in views
        }

    def _texts(self, items: Sequence[PendingInput]) -> list[str] | None:
        """What the rows are embeddings of, where the heads read that too."""
        if not self._spec.reads.read_by_heads:
            return None
        return [str(item.input.data, "utf-8") for item in items]

    def _answer(self, item: PendingInput, scores: Scores, rows: Rows) -> bytes:
        if item.key:
            self._cache.put(item.key, scores)
        options = item.call.request.options
        extra = self._explained(item, scores, rows) if options.explain else ""
        if options.tokens:
            extra += self._counted(item, scores)
        if options.score and scores.score is not None:
            extra += f',"score":{scores.score:.9g}'
        return render(scores, index=item.index, options=options, extra=extra)

    def _explained(self, item: PendingInput, scores: Scores, rows: Rows) -> str:
        """Further members of the item's JSON."""
        head: ServingHead = item.call.head
        extra = ""
        if "neighbours" in item.call.request.options.explain:
            extra += f',"neighbours":{self._neighbours(head, rows)}'
        if item.wants_saliency:
            extra += f',"saliency":"{self._saliency(head, scores, rows)}"'
        return extra

    def _counted(self, item: PendingInput, scores: Scores) -> str:
        """How many tokens the text and the label are, as a further member."""
        text = str(item.input.data, "utf-8") if item.input.kind == "text" else None
        counts = self._tokens([scores.label] if text is None else [text, scores.label])
        return f',"tokens":[{0 if text is None else counts[0]},{counts[-1]}]'

    def _neighbours(self, head: ServingHead, rows: Rows) -> str:
        """The most similar training examples, as JSON; none where the head keeps none."""
        views = head.live.config.views
        if "exemplars" not in head.live.artifact.tensors:
            return "[]"
        pictures = len(head.live.config.pictures)
        made = self._features(views, rows[None, :pictures])
        features = {view: torch.from_numpy(own) for view, own in made.items()}
        (nearest,) = scoring.nearest(
            features, [head.live], layout=self._spec.layout, count=NEIGHBOURS
        )
        listed = [
            {
                "example_id": one.id,
                "label": one.label,
                **({} if one.labels is None else {"labels": one.labels}),
                "similarity": round(one.similarity, 6),
            }
            for one in nearest
        ]
        return to_json(listed).decode()

    def _saliency(self, head: ServingHead, scores: Scores, rows: Rows) -> str:
        """A PNG as a `data:` URL; `rows` [pictures + windows, D]: windows are hidden in the first
        picture.
        """
        views, count = head.live.config.views, occlusion.WINDOWS
        pictures = len(head.live.config.pictures)
        hidden_rows = np.repeat(rows[None, :pictures], count, 0)
        hidden_rows[:, 0] = rows[pictures:]
        features = self._features(views, hidden_rows)
        covered = predict(features, [head] * count, layout=self._spec.layout)
        best = scores.labels.names.index(scores.label)
        hidden = np.array([one.probabilities[best] for one in covered], np.float32)
        values = occlusion.saliency(scores.probabilities[best], hidden)
        image = b64encode(occlusion.png(values, self._spec.input_size))
        return "data:image/png;base64," + image.decode()

    def _embeddings(self, items: Sequence[PendingInput], rows: Rows) -> list[bytes]:
        """The last layer, of each backbone L2-normalised, of length one together, as base64 of
        little-endian float32.
        """
        parts = [_unit(rows[:, block.start : block.stop]) for block in self._spec.lasts]
        unit = np.hstack(parts) / np.float32(len(parts) ** 0.5)
        return [
            b'{"index":%d,"embedding":"%s"%s}'
            % (item.index, b64encode(row.astype("<f4").tobytes()), self._read(item))
            for item, row in zip(items, unit, strict=True)
        ]

    def _read(self, item: PendingInput) -> bytes:
        """How many tokens the text is, as a further member, where that is asked."""
        if not item.call.request.options.tokens or item.input.kind != "text":
            return b""
        return b',"tokens":%d' % self._tokens([str(item.input.data, "utf-8")])[0]


def _spread(
    items: Sequence[PendingInput], rows: Sequence[Rows]
) -> tuple[list[PendingInput], list[Rows]]:
    """Items and riders, each with the rows of the views that its own head reads; who rides alone
    keeps all rows.
    """
    everyone = [one for item in items for one in item.together]
    theirs = [
        row if not item.riders else row[[item.pictures.index(view) for view in _pictures(one)]]
        for item, row in zip(items, rows, strict=True)
        for one in item.together
    ]
    return everyone, theirs


def _pictures(item: PendingInput) -> tuple[str, ...]:
    """The views whose pixels the item's own head reads; none for an embedding."""
    views: tuple[str, ...] = () if item.call.head is None else item.call.head.live.config.pictures
    return views


def _unit(rows: Rows) -> Rows:
    """Rows of length one."""
    unit: Rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return unit


def _by_views(
    items: Sequence[PendingInput], finite: Sequence[bool]
) -> dict[tuple[str, ...], list[int]]:
    """Places of the items with finite rows by the views that their heads read; none for
    embeddings.
    """
    groups: dict[tuple[str, ...], list[int]] = {}
    for place, item in enumerate(items):
        if not finite[place]:
            continue
        views = () if item.call.head is None else item.call.head.live.config.views
        groups.setdefault(views, []).append(place)
    return groups
