"""What the tensor process answers to `predict`: cached rows through one head, as JSON lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from app.core.backbones import BackboneSpec
from app.core.messages import Options
from app.infra.storage import storage_errors
from worker.answers.rendering import Labels, Scores, render
from worker.answers.scoring import live_head, scores_of
from worker.ml.heads import scoring


def predict(
    request: Mapping[str, Any],
    features: Mapping[str, Tensor],
    *,
    texts: Sequence[str] | None,
    spec: BackboneSpec,
) -> dict[str, Any]:
    """Write an item of an answer for each row of `features` (view → [n, D]) to `out`.

    `texts` are what the rows are embeddings of, where they are texts. Answers the label of each, or
    the labels.
    Raises model_corrupt.
    """
    head = live_head(load_file(request["head"]), request["config"])
    labels = Labels(head.config.classes, head.config.thresholds)
    options = Options(
        top_k=request["top_k"],
        threshold=request["unknown"],
        level=request.get("level"),
        levels=request.get("levels") or {},
    )
    rows = {view: value.float() for view, value in features.items()}
    count = len(next(iter(rows.values())))
    with torch.inference_mode():
        predictions = scoring.predict(rows, [head] * count, layout=spec.layout, texts=texts)
    scores = [scores_of(labels, one) for one in predictions]
    lines = [render(one, index=index, options=options) for index, one in enumerate(scores)]
    _write(Path(request["out"]), lines)
    return {"labels": [_said(one, options) for one in scores]}


def _said(scores: Scores, options: Options) -> str | list[str]:
    """The label, or all of a head that says several."""
    places = scores.said(options)
    return scores.label if places is None else [scores.labels.names[at] for at in places]


def _write(path: Path, lines: Sequence[bytes]) -> None:
    with storage_errors():
        path.write_bytes(b"".join(line + b"\n" for line in lines))
