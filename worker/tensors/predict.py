"""What the tensor process answers to `predict`: cached rows through one head, as JSON lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
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
from worker.ml.engines.tunable import serving
from worker.ml.features import spaces
from worker.ml.heads import scoring, transduction
from worker.ml.heads.scoring import LiveHead, Prediction


def predict(
    request: Mapping[str, Any],
    features: Mapping[str, Tensor],
    *,
    texts: Sequence[str] | None,
    spec: BackboneSpec,
) -> dict[str, Any]:
    """Write an item of an answer for each row of `features` (view → [n, D]) to `out`.

    `texts` are what the rows are embeddings of, where they are texts. Answers the label of each, or
    the labels; and of rows that should be smoothed over one another, why they were not.
    Raises model_corrupt.
    """
    head = live_head(
        load_file(request["head"]),
        request["config"],
        suffix=lambda depth: serving(
            request["backbone"],
            depth,
            _weights_dir(request),
            cache_dir=_engines_dir(request),
        ),
    )
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
        told, predictions = _over_one_another(request, head, predictions, rows, spec)
    scores = [scores_of(labels, one) for one in predictions]
    extra = f',"smoothed":{"true" if told["left_off"] is None else "false"}' if told else ""
    lines = [
        render(one, index=index, options=options, extra=extra) for index, one in enumerate(scores)
    ]
    _write(Path(request["out"]), lines)
    return {"labels": [_said(one, options) for one in scores], **told}


def _over_one_another(
    request: Mapping[str, Any],
    head: LiveHead,
    predictions: list[Prediction],
    features: Mapping[str, Tensor],
    spec: BackboneSpec,
) -> tuple[dict[str, Any], list[Prediction]]:
    """The predictions, smoothed where that is asked for and should help; else why they are not.

    Whether an input is unknown, it alone says.
    """
    if not request.get("use_unlabelled"):
        return {}, predictions
    if spec.reads.read_by_heads:
        return {"left_off": asdict(transduction.OF_TEXTS)}, predictions
    probabilities = torch.stack([one.probabilities for one in predictions])
    made = spaces.transform(tuple(spec.layout), head.config.statistics, head.config.shares)
    rows = made("late", features[spaces.primary(features)])
    smooth, why = transduction.over(probabilities, rows, per_class=request["per_class"])
    both = zip(predictions, smooth, strict=True)
    told = None if why is None else asdict(why)
    return {"left_off": told}, [replace(one, probabilities=p) for one, p in both]


def _weights_dir(request: Mapping[str, Any]) -> Path | None:
    return Path(request["weights_dir"]) if request["weights_dir"] else None


def _engines_dir(request: Mapping[str, Any]) -> Path | None:
    return Path(request["engines_dir"]) if request["engines_dir"] else None


def _said(scores: Scores, options: Options) -> str | list[str]:
    """The label, or all of a head that says several."""
    places = scores.said(options)
    return scores.label if places is None else [scores.labels.names[at] for at in places]


def _write(path: Path, lines: Sequence[bytes]) -> None:
    with storage_errors():
        path.write_bytes(b"".join(line + b"\n" for line in lines))
