"""Texts longer than the encoder's window: cut at it, or read in windows.

Each text is several sentences of other classes around those of its own: only at its end, or at a
place of its own. A head is logistic regression on the embeddings alone: n-grams say nothing.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from app.core.backbones import MOST_WINDOWS
from benchmarks.record import record, shared_data
from worker.ml.engines import TextEngine, load_engine

Rows = NDArray[np.float32]
CLASSES, TRAINED, ASKED, SEEDS = 6, 5, 8, 3
FIGURE = "accuracy over 6 classes of 5 examples, and milliseconds of embedding"
SENTENCES = 45
"""Of about 15 pieces: a text has some 700."""


def main() -> None:
    """Measure, print and record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.parse_args()
    by_class = _read(shared_data() / "banking77" / "train.jsonl")
    found: dict[str, object] = {}
    for name, place in PLACES.items():
        found[name] = _accuracies(by_class, place)
    found["milliseconds"] = _costs(by_class)
    record("long_texts", figure=FIGURE, method=str(__doc__), results=found)


def _read(path: Path) -> dict[str, list[str]]:
    by_class: dict[str, list[str]] = defaultdict(list)
    for line in path.read_text("utf-8").splitlines():
        row = json.loads(line)
        by_class[row["label"]].append(row["text"])
    return by_class


PLACES: Mapping[str, Callable[[random.Random], Sequence[int]]] = {
    "verdict_at_the_end": lambda _: range(SENTENCES - 9, SENTENCES),
    "verdict_at_the_start": lambda _: range(9),
    "verdict_anywhere": lambda draw: draw.sample(range(SENTENCES), 9),
    "all_of_it": lambda _: range(SENTENCES),
}
"""Which of a text's sentences are of its own class."""


def _accuracies(
    by_class: Mapping[str, list[str]], place: Callable[[random.Random], Sequence[int]]
) -> dict[str, float]:
    """Means over seeds; `former` is a head fitted on cut texts that is asked with windows."""
    told: dict[str, list[float]] = defaultdict(list)
    for seed in range(SEEDS):
        draw = random.Random(seed)
        texts, labels = _texts(by_class, draw, place)
        known = np.arange(len(texts)) % (TRAINED + ASKED) < TRAINED
        cut, whole = _embed(texts, windows=1), _embed(texts, windows=MOST_WINDOWS)
        for name, rows, asked in (
            ("cut", cut, cut), ("windows", whole, whole), ("former", cut, whole),
        ):  # fmt: skip
            head = LogisticRegression(C=30, max_iter=500).fit(rows[known], labels[known])
            told[name].append(float(head.score(asked[~known], labels[~known])))
    return {name: round(float(np.mean(some)), 4) for name, some in told.items()}


def _texts(
    by_class: Mapping[str, list[str]],
    draw: random.Random,
    place: Callable[[random.Random], Sequence[int]],
) -> tuple[list[str], NDArray[np.int64]]:
    chosen = draw.sample(sorted(by_class), CLASSES)
    others = [text for name in sorted(set(by_class) - set(chosen)) for text in by_class[name]]
    texts, labels = [], []
    for label, name in enumerate(chosen):
        for _ in range(TRAINED + ASKED):
            sentences = draw.sample(others, SENTENCES)
            for at in place(draw):
                sentences[at] = draw.choice(by_class[name])
            texts.append(" ".join(sentences))
            labels.append(label)
    return texts, np.array(labels)


def _embed(texts: Sequence[str], *, windows: int) -> Rows:
    ENGINE.encoder.most_windows = windows
    return ENGINE.embed(list(texts))


def _costs(by_class: Mapping[str, list[str]]) -> dict[str, float]:
    """Of one text, and of a batch of 32, by what they are read as."""
    long = " ".join(text for some in by_class.values() for text in some)[:40_000]
    told = {}
    for name, text in (("one_window", long[:900]), ("most_windows", long)):
        for count in (1, 32):
            ENGINE.embed([text] * count)
            began = time.perf_counter()
            ENGINE.embed([text] * count)
            told[f"{name}_{count}"] = round(1000 * (time.perf_counter() - began), 1)
    return told


ENGINE = cast("TextEngine", load_engine("all-MiniLM-L6-v2", None, device="cpu"))

if __name__ == "__main__":
    main()
