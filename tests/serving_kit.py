"""A real model and a real predictor for tests: digits, a real backbone, a fit, a stored head."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from sklearn.datasets import load_digits

from app.core.messages import Target
from app.infra import storage_keys
from app.infra.settings import Settings
from app.infra.storage import open_storage
from worker.formats import models
from worker.ml import fit
from worker.ml.engines import load_engine
from worker.ml.images.views import decode_to
from worker.ml.tasks import Support, Task

BACKBONE = "efficientnet_lite0"


@lru_cache
def digit_pngs(per_class: int, classes: int = 3, skip: int = 0) -> list[tuple[bytes, str]]:
    """Handwritten digits as PNGs with their labels, class by class."""
    digits = load_digits()
    found: list[tuple[bytes, str]] = []
    for label in range(classes):
        rows = np.flatnonzero(digits.target == label)[skip : skip + per_class]
        found += [(png(digits.images[row] * 15.9), str(label)) for row in rows]
    return found


def png(pixels: np.ndarray[Any, Any], side: int = 64) -> bytes:
    """Grey pixels as the bytes of a PNG."""
    image = Image.fromarray(pixels.astype(np.uint8)).resize((side, side))
    out = io.BytesIO()
    image.save(out, "png")
    return out.getvalue()


@lru_cache
def engine(cache_dir: Path) -> Any:
    """The engine that training uses."""
    return load_engine(BACKBONE, None, cache_dir=cache_dir)


@dataclass(frozen=True)
class Stored:
    """A stored model and what it was fitted on."""

    target: Target
    embeddings: np.ndarray[Any, Any]


def store_model(
    settings: Settings,
    *,
    organisation: str = "org",
    name: str = "m1",
    seed: int = 0,
    views: Sequence[str] = ("squish",),
    weights_sha256: str | None = None,
    fitted_on: str | None = None,
    several: bool = False,
) -> Stored:
    """Fit a head on these views of digits and store it, the way the trainer does.

    Or as if it had been fitted on other weights, or on the engine `fitted_on`; with `several`, one
    that may say several of the classes, or none.
    """
    examples = digit_pngs(10)
    embed = engine(settings.data_dir / "engines")
    features = {view: _embedded(embed, view, examples) for view in views}
    classes = sorted({label for _, label in examples})
    places = torch.tensor([classes.index(label) for _, label in examples])
    support = Support(
        features={view: torch.from_numpy(rows) for view, rows in features.items()},
        labels=places,
        marks=torch.nn.functional.one_hot(places).bool() if several else None,
        groups=torch.arange(len(examples)),
        ids=[f"ex_{place}" for place in range(len(examples))],
        classes=classes,
    )
    fitted = fit.fit(
        Task(
            method="auto",
            hyperparameters={},
            support=support,
            layout=embed.spec.layout,
            backbone=BACKBONE,
            weights_sha256=embed.weights_sha256,
            seed=seed,
        )
    )
    target = store_head(
        settings,
        fitted.head,
        embed,
        organisation=organisation,
        name=name,
        weights_sha256=weights_sha256,
        fitted_on=fitted_on,
    )
    return Stored(target, features[views[0]])


def _embedded(embed: Any, view: Any, examples: Sequence[tuple[bytes, str]]) -> Any:
    pixels = [decode_to(data, view, embed.spec.input_size) for data, _ in examples]
    return embed.embed(np.stack(pixels))


_COUNT = count(1)
TEXT_BACKBONE = "all-MiniLM-L6-v2"
TEXTS = [
    ("my card has not arrived yet", "card"),
    ("where is the card I ordered", "card"),
    ("the new card is still not here", "card"),
    ("please reset my password", "password"),
    ("I forgot the password", "password"),
    ("my password does not work any more", "password"),
]


def store_text_model(settings: Settings, *, organisation: str = "org", name: str = "t1") -> Target:
    """Fit a head on a few sentences and store it."""
    embed: Any = load_engine(TEXT_BACKBONE, None, cache_dir=settings.data_dir / "engines")
    texts, labels = [text for text, _ in TEXTS], [label for _, label in TEXTS]
    classes = sorted(set(labels))
    support = Support(
        features={"text": torch.from_numpy(embed.embed(texts))},
        labels=torch.tensor([classes.index(label) for label in labels]),
        groups=torch.arange(len(texts)),
        ids=[f"ex_{place}" for place in range(len(texts))],
        classes=classes,
        texts=texts,
    )
    fitted = fit.fit(
        Task(
            method="auto",
            hyperparameters={},
            support=support,
            layout=embed.spec.layout,
            backbone=TEXT_BACKBONE,
        )
    )
    return store_head(settings, fitted.head, embed, organisation=organisation, name=name)


def store_head(
    settings: Settings,
    head: Any,
    embed: Any,
    *,
    organisation: str,
    name: str,
    weights_sha256: str | None = None,
    fitted_on: str | None = None,
) -> Target:
    """Write the artifact of a head over the engine `embed`; the target names it.

    A number makes `name` unique: files of tests share a predictor, in whatever order they come.
    """
    name = f"{name}-{next(_COUNT)}"
    folder = settings.data_dir / "staging" / name
    folder.mkdir(parents=True)
    save_file(
        {key: value.contiguous() for key, value in head.tensors.items()}, folder / models.HEAD
    )
    prefix = storage_keys.artifact(organisation_id=organisation, name=name, fence=1)
    backbone = embed.spec.name
    weights = {"name": backbone, "weights_sha256": weights_sha256 or embed.weights_sha256}
    computed = {"precision": fitted_on or embed.precision}
    card = {"config": head.config.as_json(), "backbone": weights | computed}
    artifact = models.write(open_storage(settings), folder, prefix, card)
    return Target(
        model=f"ft:{backbone}:{organisation}::{name}",
        backbone=backbone,
        artifact=artifact.prefix,
        sha256=artifact.sha256,
    )


@contextmanager
def predictor(
    settings: Settings, *, module: str = "worker.predictor", **environment: str
) -> Iterator[subprocess.Popen[bytes]]:
    """The predictor's own process, ready; ended by SIGTERM."""
    names = {"HEADSTART_DATA_DIR": str(settings.data_dir), **environment}
    process = subprocess.Popen([sys.executable, "-m", module], env={**os.environ, **names})
    try:
        wait_ready(settings, process)
        yield process
    finally:
        process.terminate()
        process.wait(300)


def wait_ready(settings: Settings, process: subprocess.Popen[bytes]) -> None:
    """Until /readyz says 200 (at most five minutes: machines may be busy)."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        assert process.poll() is None, "the predictor ended"
        if _ready(settings.predictor.removeprefix("unix:")):
            return
        time.sleep(0.05)
    raise AssertionError("the predictor was not ready in time")


def _ready(path: str) -> bool:
    import socket

    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(path)
            connection.sendall(b"GET /readyz HTTP/1.1\r\nhost: p\r\n\r\n")
            return connection.recv(1000).startswith(b"HTTP/1.1 200")
        except OSError:
            return False


def labels_of(examples: Sequence[tuple[bytes, str]]) -> list[str]:
    """The labels, in order."""
    return [label for _, label in examples]
