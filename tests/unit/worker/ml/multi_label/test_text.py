"""Several labels a text: words and embeddings, each label for itself."""

from __future__ import annotations

import pytest
import torch

from app.core.backbones import Block
from app.core.errors import HeadstartError
from worker.ml import fit
from worker.ml.heads import scoring
from worker.ml.tasks import Support, Task

LAYOUT = (Block(level=0, statistic="mean", start=0, stop=16),)
WORDS = ("refund", "late", "broken")


def texts(n: int, seed: int = 0) -> Support:
    generator = torch.Generator().manual_seed(seed)
    marks = torch.rand(n, 3, generator=generator) < 0.4
    points = torch.randn(3, 16, generator=torch.Generator().manual_seed(7))
    rows = marks.float() @ points + 0.4 * torch.randn(n, 16, generator=generator)
    said = [
        " ".join(["parcel", str(at), *(w for w, has in zip(WORDS, own, strict=True) if has)])
        for at, own in enumerate(marks.tolist())
    ]
    return Support(
        features={"text": rows.half()},
        labels=torch.zeros(n, dtype=torch.long),
        groups=torch.arange(n),
        ids=[f"ex_{seed}_{at}" for at in range(n)],
        classes=WORDS,
        texts=said,
        marks=marks,
    )


def made(method: str = "auto", **given: object) -> fit.Fit:
    return fit.fit(
        Task(
            method=method,
            hyperparameters=given,
            support=texts(48),
            layout=LAYOUT,
            backbone="made-up",
        )
    )


@pytest.mark.parametrize("method", ["auto", "ridge", "logistic"])
def test_labels_of_texts_are_learned(method: str) -> None:
    found, new = made(method), texts(40, seed=3)
    p = scoring.probabilities(found.head, new.features, layout=LAYOUT, texts=new.texts)
    said = p >= torch.tensor(found.head.config.thresholds)
    assert new.marks is not None
    assert float((said == new.marks).double().mean()) > 0.85
    head = scoring.load(found.head)
    rows = {"text": new.features["text"].float()}
    answers = scoring.predict(rows, [head] * 40, layout=LAYOUT, texts=new.texts)
    torch.testing.assert_close(answers[0].probabilities, p[0], atol=1e-5, rtol=1e-4)


def test_label_names_are_examples_of_one_label_and_refused() -> None:
    with pytest.raises(HeadstartError) as caught:
        made(label_names=True)
    assert caught.value.code == "invalid_hyperparameter"
