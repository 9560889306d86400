"""`auto` on texts: encoders' embeddings and character n-grams in one logistic regression."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from app.core.backbones import member_names
from app.core.errors import HeadstartError
from worker.ml import threads
from worker.ml.artifact import Lexical
from worker.ml.assess import distance_cooling, learning_curve, novelty
from worker.ml.assess.distance_cooling import Familiarity
from worker.ml.assess.learning_curve import Point
from worker.ml.features import label_names, ngrams, spaces
from worker.ml.fitting import text_mix
from worker.ml.fitting.text_kernel import Kernel, Mix
from worker.ml.heads import scoring_text
from worker.ml.methods.setting import Fitted, NoveltyEvidence, Setting

MOST_NESTED = 300
"""Examples up to which what judges a fold is chosen once more: of more, it makes no difference."""


def fit(setting: Setting) -> Fitted:
    """Fit on the examples' embeddings [n, D] and their texts.

    `task.label_embeddings` are the encoder's of `label_names.readable(label)`; each is one more
    example of its class if they tell classes apart. Raises modality_mismatch without texts.
    """
    texts = setting.support.texts
    if texts is None:
        raise HeadstartError("modality_mismatch", "A text head needs the examples' texts.")
    with threads.enough(len(texts) ** 2 * setting.folds.classes):
        return _fitted(setting, texts)


def _fitted(setting: Setting, texts: Sequence[str]) -> Fitted:
    """The fit at the best mixing weight, cooled where a text is unlike the others."""
    folds, kernel = setting.folds, _kernel(setting, texts)
    chosen = text_mix.choose(kernel, folds, setting.support.groups)
    mix = chosen.mix
    familiarity, factor = _familiarity(kernel, mix)
    logits, nested = torch.zeros(0, kernel.classes), None
    if folds.count:
        (out_of_fold,) = text_mix.out_of_fold(kernel, [mix], folds.fold)
        logits = distance_cooling.cooled(out_of_fold, factor)
        if len(texts) <= MOST_NESTED:
            nested = distance_cooling.cooled(_nested(setting, texts, kernel, chosen.nested), factor)
    return Fitted(
        tensors=tensors(kernel, text_mix.final(kernel, mix)),
        out_of_fold=logits,
        nested=nested,
        used=_used(setting, kernel, mix),
        shares=mix.shares if len(mix.shares) > 1 else (),
        by_class=frozenset({"weight", "bias", "bucket_weight"}),
        temperature=_temperature(setting, logits),
        cooling=factor,
        lexical=Lexical(weight=mix.lexical, folded=kernel.folded, familiarity=familiarity),
        novelty=novelty_evidence(kernel, mix.lexical),
        curve=_curve(setting, kernel, mix, logits),
    )


def _nested(setting: Setting, texts: Sequence[str], kernel: Kernel, mixes: Sequence[Mix]) -> Tensor:
    """Logits [n, C] where what is chosen for a fold is chosen without it: the mix, and whether
    label names are used.
    """
    folds = setting.folds
    kernels = {kernel.anchors > 0: kernel}
    named = [_named(setting, folds.fold != own) for own in range(folds.count)]
    for other in set(named) - kernels.keys():
        kernels[other] = _kernel(setting, texts, named=other)
    return text_mix.nested([kernels[one] for one in named], mixes, folds.fold)


def _used(setting: Setting, kernel: Kernel, mix: Mix) -> dict[str, Any]:
    """What "auto" became; of several encoders also what each counts for."""
    told = {"l2": text_mix.L2, "lexical_weight": mix.lexical, "label_names": kernel.anchors > 0}
    if len(mix.shares) == 1:
        return told
    names = member_names(setting.task.backbone)
    return told | {"encoder_shares": dict(zip(names, mix.shares, strict=True))}


def _temperature(setting: Setting, logits: Tensor) -> float:
    """Of out-of-fold logits [n, C], or of none [0, C] where there are no folds."""
    folds = setting.folds
    if not len(logits):
        return text_mix.temperature(logits, folds.labels[:0])
    return text_mix.temperature(logits[folds.known], folds.labels[folds.known])


def _kernel(setting: Setting, texts: Sequence[str], *, named: bool | None = None) -> Kernel:
    """The examples, and behind them the label names as anchors, if these are used."""
    support, folds = setting.support, setting.folds
    if named is None:
        named = _named(setting, torch.ones(len(texts), dtype=torch.bool))
    embeddings, anchors = _embeddings(setting), _names(setting) if named else None
    count = len(support.classes) if named else 0
    said = [label_names.readable(label) for label in support.classes[:count]]
    parts = embeddings if anchors is None else map(torch.cat, zip(embeddings, anchors, strict=True))
    return Kernel(
        parts=list(parts),
        table=ngrams.rows([*texts, *said]),
        labels=torch.cat([support.labels, torch.arange(count)]),
        importance=torch.cat([folds.balance.float(), torch.ones(count)]),
        classes=folds.classes,
        anchors=count,
    )


def _embeddings(setting: Setting) -> list[Tensor]:
    """Each encoder's unit rows [n, D] of the examples."""
    return setting.transform.parts("look", setting.support.features[setting.primary])


def _names(setting: Setting) -> list[Tensor]:
    """Each encoder's unit rows [C, D] of the label names in canonical order."""
    named = setting.task.label_embeddings
    assert named is not None
    return [setting.canonical.rows(rows) for rows in setting.transform.parts("look", named)]


def _named(setting: Setting, rows: Tensor) -> bool:
    """Whether label names are examples, if only `rows` [n] bool tell of them."""
    wanted = setting.asked("label_names")
    if setting.task.label_embeddings is None or wanted is not None:
        return setting.task.label_embeddings is not None and bool(wanted)
    both = _names(setting), _embeddings(setting)
    names, texts = (spaces.side_by_side(one, [1 / len(one)] * len(one)) for one in both)
    return label_names.helpful(names, texts[rows], setting.support.labels[rows])


def _likeness(mix: Mix) -> Mix:
    """By what a text is told to be unlike the others: of several encoders by the first, as one of
    many languages finds all texts alike, and is no less sure of those that it knows less.
    """
    return Mix(lexical=mix.lexical, shares=(1.0, *(0.0 for _ in mix.shares[1:])))


def _familiarity(kernel: Kernel, mix: Mix) -> tuple[Familiarity, Tensor]:
    """The support's, and the factor that each example's logits are divided by."""
    similarity = kernel.similarity(_likeness(mix))
    usual = distance_cooling.of_support(similarity)
    return usual, usual.factor(similarity)


def _curve(setting: Setting, kernel: Kernel, mix: Mix, logits: Tensor) -> list[Point]:
    """Accuracy at all that a fold's fit has, and of a few examples at a quarter and at half."""
    folds = setting.folds
    if not folds.count:
        return []
    points = [_point(logits, folds.labels, folds.known, _per_class(setting))]
    originals = folds.originals
    chosen = originals[text_mix.few(folds.labels[originals], folds.classes)]
    thin, few = kernel.take(chosen), folds.take(chosen)
    for size in learning_curve.sizes(few.labels, few.fold)[-2:]:
        masks = learning_curve.masks(few.labels, few.fold, size)
        (rough,) = text_mix.out_of_fold(
            thin, [mix], few.fold, trained=masks, tolerance=text_mix.ROUGH
        )
        points.append(_point(rough, few.labels, folds.known[chosen], size))
    return points


def _per_class(setting: Setting) -> float:
    """Examples of a class that a fold's fit has."""
    return setting.folds.per_class * (setting.folds.count - 1) / setting.folds.count


def _point(logits: Tensor, labels: Tensor, known: Tensor, per_class: float) -> Point:
    right = (logits.argmax(1) == labels)[known]
    accuracy = float(right.double().mean())
    return Point(per_class=float(per_class), accuracy=accuracy, judged=len(right))


def novelty_evidence(kernel: Kernel, w: float) -> NoveltyEvidence:
    """By the embedding and the words alike; folded n-grams are all shared."""
    shared = torch.ones(kernel.count)
    if not kernel.folded:
        shared = _elsewhere(kernel.table)[: kernel.count]
    return NoveltyEvidence(
        kept=Tensor.half, confidence=novelty.plain_confidence, lexical_weight=w, shared=shared
    )


def _elsewhere(table: ngrams.SparseRows) -> Tensor:
    """The share [N] of each row's n-grams that another row has too, by squared weight."""
    buckets, rows = np.unique(table.buckets, return_counts=True)
    return scoring_text.coverage(ngrams.within(table, buckets[rows > 1]))


def tensors(kernel: Kernel, final: text_mix.Final) -> dict[str, Tensor]:
    """The head's tensors; the support's mean row is one more column beside the classes."""
    total = len(kernel.labels)
    share = (torch.arange(total) < kernel.count).float()[:, None] / kernel.count
    buckets, embedding, lexical = kernel.weights(final.mix, final.weight)
    _, mean, lexical_mean = kernel.spread(_likeness(final.mix), share)
    first = kernel.parts[0].shape[1]
    mean[:first] /= max(final.mix.shares[0], 1e-3) ** 0.5  # inputs' rows are by their own shares
    return {
        "weight": embedding.contiguous(),
        "mean": mean.half().contiguous(),
        "bias": final.bias.float().contiguous(),
        "buckets": buckets,
        "bucket_weight": lexical.contiguous(),
        "bucket_mean": lexical_mean.half().contiguous(),
    }
