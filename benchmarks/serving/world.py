"""What the serving figures need: a service, models by the thousand, and what processes use."""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from app.core.ids import new_id
from app.core.messages import Target
from app.infra.orm import ModelRow
from app.infra.processes.leash import leashed
from app.infra.storage import open_storage
from benchmarks.record import shared_data
from benchmarks.service import Service, class_folders, fine_tune, running, upload, wait_until_ready
from benchmarks.service import zipped as as_zip
from worker.formats import models as model_store

_TICK = os.sysconf("SC_CLK_TCK")


@dataclass
class World:
    """A running service with one real model of 5 classes, and JPEGs to ask about."""

    service: Service
    key: str
    model: str
    folder: Path
    jpegs: list[bytes]
    others: list[tuple[str, Path]]

    @property
    def url(self) -> str:
        """Where the service answers."""
        return self.service.supervisor.url

    def path(self, model: str | None = None) -> str:
        """Where predictions of a model are asked for."""
        return f"/v1/models/{model or self.model}/predictions"

    def another(self) -> str:
        """A second real model, of 5 classes that the first does not have."""
        return _train(self.service, self.others)

    def classes(self, model: str) -> set[str]:
        """The labels of a model."""
        card = self.service.client.get(f"/v1/models/{model}").json()["card"]
        return set(card["config"]["classes"])

    def targets(self, models: Sequence[str]) -> Iterator[Target]:
        """What the predictor is told of models."""
        with closing(sqlite3.connect(self.service.data_dir / "headstart.db")) as database:
            query = "SELECT id, backbone, artifact, sha256 FROM models"
            rows = {row[0]: row for row in database.execute(query)}
        for model in models:
            name, backbone, artifact, sha256 = rows[model]
            yield Target(model=name, backbone=backbone, artifact=artifact, sha256=sha256)

    def resident_mb(self, child: str) -> float:
        """Resident memory of one of the service's processes."""
        return self.service.memory(child)

    @contextmanager
    def standing_in(self, rate: float) -> Iterator[None]:
        """Meanwhile the engine computes nothing, at so many images a second."""
        self._predict_with("benchmarks.serving.stand_in", STAND_IN_RATE=str(rate))
        try:
            yield
        finally:
            self._predict_with("worker.predictor")

    def _predict_with(self, module: str, **told: str) -> None:
        supervisor = self.service.supervisor
        child = next(child for child in supervisor.children if child.name == "predictor")
        assert child.process is not None
        child.process.terminate()
        child.process.wait()
        child.command = [child.command[0], "-m", module]
        folder = str(supervisor.settings.data_dir)
        child.start(leashed(os.environ) | {"HEADSTART_DATA_DIR": folder} | told)
        while not self.service.client.get("/v2/health/ready").is_success:
            time.sleep(0.1)

    def core_seconds(self) -> dict[str, float]:
        """Processor time of each of the service's processes so far."""
        return {
            child.name: _core_seconds(child.process.pid)
            for child in self.service.supervisor.children
            if child.process is not None
        }


@contextmanager
def world(folder: Path, *, images: int = 128) -> Iterator[World]:
    """Train one model of 5 garments on 5 pictures each; ask about pictures of the test set."""
    data = shared_data() / "clothing"
    train = class_folders(data / "train", per_class=5)
    test = [path for _, path in class_folders(data / "test", per_class=images // 10 + 1)][:images]
    pictures = folder / "jpegs"
    pictures.mkdir()
    for place, path in enumerate(test):
        shutil.copy(path, pictures / f"{place:03}.jpg")
    with running() as service:
        model = _train(service, train[:25])
        key = (service.data_dir / "api-key").read_text().strip()
        jpegs = [path.read_bytes() for path in test]
        yield World(service, key, model, pictures, jpegs, train[25:])


def _train(service: Service, pictures: list[tuple[str, Path]]) -> str:
    """A model of these, once nothing of the training goes on any more."""
    dataset = upload(service.client, as_zip(pictures))["id"]
    wait_until_ready(service.client, dataset)
    model = fine_tune(service.client, dataset)["fine_tuned_model"]
    service.settle()
    return str(model)


def many_models(world: World, count: int) -> list[str]:
    """`count` more models: the real head with other numbers in it, stored and registered."""
    settings = world.service.supervisor.settings
    storage, chance = open_storage(settings), np.random.default_rng(0)
    connection = sqlite3.connect(settings.data_dir / "headstart.db", timeout=60)
    columns, row = _row(connection, world.model)
    card = world.service.client.get(f"/v1/models/{world.model}").json()["card"]
    tensors = load_file(storage.fetch(f"{row['artifact']}/{model_store.HEAD}"))
    found = []
    for _ in range(count):
        name = new_id("")
        artifact = _another_head(settings, tensors, card, name, chance)
        found.append(f"ft:efficientnet_lite0:default::{name}")
        values = {**row, "id": found[-1], "job_id": None, **artifact}
        marks = ",".join("?" * len(columns))
        connection.execute(
            f"INSERT INTO {ModelRow.__tablename__} ({','.join(columns)}) VALUES ({marks})",
            [values[column] for column in columns],
        )
    connection.commit()
    connection.close()
    return found


def _another_head(
    settings: Any, tensors: dict[str, Any], card: dict[str, Any], name: str, chance: Any
) -> dict[str, Any]:
    """A head's files, without the fsyncs of `model_store.write`: ten thousand take minutes."""
    import hashlib
    import json

    prefix = f"models/default/{name}/1"
    folder = settings.data_dir / "storage" / prefix
    folder.mkdir(parents=True)
    other = dict(tensors)
    weight = tensors["weight"]
    other["weight"] = weight + chance.normal(0, 1e-3, weight.shape).astype(weight.dtype)
    save_file(other, folder / model_store.HEAD)
    data = (folder / model_store.HEAD).read_bytes()
    sha256 = hashlib.sha256(data).hexdigest()
    head = {**card["head"], "sha256": sha256, "bytes": len(data)}
    (folder / model_store.CARD).write_text(json.dumps({**card, "head": head}))
    return {"artifact": prefix, "sha256": sha256}


def _row(connection: sqlite3.Connection, model: str) -> tuple[list[str], dict[str, Any]]:
    found = connection.execute("SELECT * FROM models WHERE id = ?", [model])
    columns = [column[0] for column in found.description]
    return columns, dict(zip(columns, found.fetchone(), strict=True))


def zipf(models: Sequence[str], length: int, *, exponent: float = 1.0) -> list[str]:
    """A sequence of models, the r-th most popular with probability ∝ 1/r^exponent."""
    weights = 1.0 / np.arange(1, len(models) + 1) ** exponent
    chance = np.random.default_rng(0)
    return [models[k] for k in chance.choice(len(models), length, p=weights / weights.sum())]


def multipart(parts: Sequence[bytes]) -> tuple[bytes, str]:
    """A body of files, and its content type."""
    head = b'Content-Disposition: form-data; name="files"; filename="a.jpg"\r\n'
    head += b"Content-Type: image/jpeg\r\n\r\n"
    pieces = [b"--bound\r\n" + head + part + b"\r\n" for part in parts]
    return b"".join(pieces) + b"--bound--\r\n", "multipart/form-data; boundary=bound"


def _core_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / _TICK
