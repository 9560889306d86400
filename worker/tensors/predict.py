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
from app.core.errors import HeadstartError
from app.core.messages import Options
from app.infra.storage import storage_errors
from worker.answers.rendering import Labels, Scores, render, render_error
from worker.answers.scoring import live_head, not_finite_of, scores_of
from worker.formats.channel import folder_named
from worker.ml.engines import Engine
from worker.ml.engines.tunable import serving
from worker.ml.features import spaces
from worker.ml.heads import scoring, transduction
from worker.ml.heads.scoring import LiveHead, Prediction


def predict(
    request: Mapping[str, Any],
    features: Mapping[str, Tensor],
    *,
    texts: Sequence[str] | None,
    engine: Engine,
) -> dict[str, Any]:
    """Write an item of an answer for each row of `features` (view → [n, D]) to `out`.

    `texts` are what the rows are embeddings of, where they are texts. Answers the label of each, or
    the labels; of rows that should be smoothed over one another, why they were not; and as `faults`
    what is wrong with those that have no finite scores, whose items are errors. Raises
    model_corrupt.
    """
    spec = engine.spec
    head = live_head(
        load_file(request["head"]),
        request["config"],
        suffix=lambda depth: serving(
            request["backbone"],
            depth,
            folder_named(request, "weights_dir"),
            cache_dir=folder_named(request, "engines_dir"),
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
        fine = [at for at, one in enumerate(predictions) if one.probabilities.isfinite().all()]
        faults = _faults(engine, head, sorted(set(range(count)) - set(fine)))
        smoothed = {view: value[fine] for view, value in rows.items()}
        some = [predictions[at] for at in fine]
        told, some = _over_one_another(request, head, some, smoothed, spec) if some else ({}, [])
    scores = {at: scores_of(labels, one) for at, one in zip(fine, some, strict=True)}
    extra = f',"smoothed":{"true" if told["left_off"] is None else "false"}' if told else ""
    lines = [
        render(scores[at], index=at, options=options, extra=extra)
        if at in scores
        else render_error(faults[at], index=at)
        for at in range(count)
    ]
    _write(Path(request["out"]), lines)
    said = [_said(scores[at], options) if at in scores else "" for at in range(count)]
    return {"labels": said, **told, **_told(faults)}


def _told(faults: Mapping[int, HeadstartError]) -> dict[str, Any]:
    """Nothing where nothing is wrong."""
    listed = [
        {"index": at, "code": error.code, "message": error.message} for at, error in faults.items()
    ]
    return {"faults": listed} if listed else {}


def _faults(engine: Engine, head: LiveHead, wrong: Sequence[int]) -> dict[int, HeadstartError]:
    """Of the rows without finite scores. Raises model_corrupt where no row could have any."""
    return dict.fromkeys(wrong, not_finite_of(engine, head)) if wrong else {}


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


def _said(scores: Scores, options: Options) -> str | list[str]:
    """The label, or all of a head that says several."""
    places = scores.said(options)
    return scores.label if places is None else [scores.labels.names[at] for at in places]


def _write(path: Path, lines: Sequence[bytes]) -> None:
    with storage_errors():
        path.write_bytes(b"".join(line + b"\n" for line in lines))
