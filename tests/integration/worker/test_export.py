"""Exports: bundles that answer as the service does, run by their own script in another process."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from sqlalchemy.orm import Session

from app.core import exports as names
from app.core.errors import HeadstartError
from app.infra.orm import DatasetRow, DatasetVersionRow, ModelRow, WorkRow
from app.infra.repositories import exports
from tests.integration.worker.conftest import REAL, training
from tests.worker_kit import Kit, add_dataset, add_job, open_kit, picture, pictures
from worker.ml.artifact import HeadArtifact, HeadConfig
from worker.ml.engines import load_engine
from worker.ml.engines.stream import embed_stream
from worker.ml.heads import export as exporter
from worker.ml.heads import scoring

CLASSES = 3


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory, engines: Path) -> Iterator[Kit]:
    """One service for the whole file: its models stay as they are."""
    folder = tmp_path_factory.mktemp("kit")
    (folder / "engines").symlink_to(engines)
    made = open_kit(folder)
    yield made
    made.engine.dispose()


@pytest.fixture(scope="module")
def trained(kit: Kit) -> Iterator[ModelRow]:
    """A model of three kinds of pictures, and a trainer that still runs."""
    with training(kit, REAL):
        version = add_dataset(kit, pictures(4, CLASSES))
        job = kit.wait_job(add_job(kit, version), 200)
        assert job.status == "succeeded", job.error
        yield kit.read(lambda session: session.get_one(ModelRow, job.model_id))


def export(kit: Kit, model: ModelRow, export_format: str) -> zipfile.ZipFile:
    """The bundle that a GET asks for."""
    row = exported(kit, model, export_format)
    assert row.state == "done", row.error
    return zipfile.ZipFile(kit.storage.fetch(names.key_of(model.artifact, export_format)))


def exported(kit: Kit, model: ModelRow, export_format: str) -> WorkRow:
    """The work that it becomes, once it has ended."""

    def ask(again: float | None) -> WorkRow:
        return kit.commit(
            lambda session: exports.ask(
                session, session.get_one(ModelRow, model.id), export_format, stale=again
            )
        )

    ask(ask(None).finished_at)

    def ended() -> WorkRow | None:
        row = kit.read(lambda session: exports.find(session, model, export_format))
        return row if row is not None and row.finished_at is not None else None

    return kit.wait(ended, 200)


def jpeg(seed: int, kind: int, size: tuple[int, int]) -> bytes:
    """A picture as cameras make them."""
    buffer = io.BytesIO()
    with Image.open(io.BytesIO(picture(seed, kind, 200))) as image:
        image.resize(size, Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def served(kit: Kit, model: ModelRow, data: bytes, engines: Path) -> tuple[str, float]:
    """The label and the probability that the service's own path gives in f32."""
    tensors = load_file(kit.storage.fetch(f"{model.artifact}/head.safetensors"))
    head = scoring.load(
        HeadArtifact(tensors=tensors, config=HeadConfig.from_json(model.card["config"]))
    )
    engine = load_engine(model.backbone, None, cache_dir=engines, precision="f32")
    features = {}
    for view in head.config.views:
        ((_, row),) = embed_stream(engine, [data], view=view, threads=1)
        features[view] = torch.from_numpy(row[None])
    (found,) = scoring.predict(features, [head], layout=engine.spec.layout)
    return found.label, float(found.probabilities.max())


NEEDS = {"onnx": "onnxruntime", "openvino": "openvino", "torch": "torch"}


@pytest.mark.parametrize("export_format", names.FORMATS)
def test_a_bundle_answers_as_the_service_does(
    kit: Kit, trained: ModelRow, export_format: str, tmp_path: Path, engines: Path
) -> None:
    bundle = export(kit, trained, export_format)
    bundle.extractall(tmp_path)
    (folder,) = tmp_path.iterdir()
    parity = json.loads((folder / "parity.json").read_text())
    assert parity["labels_equal"]
    assert (parity["examples"], parity["mixtures"]) == (8, 8)
    assert parity["precision"] == "f32"
    assert parity["service"] == trained.card["backbone"]["precision"]
    same = parity["same_precision"]
    assert same["service"] == "openvino-f32"
    assert same["max_abs_probability_difference"] <= same["tolerance"] == 0.005, parity
    if parity["service"] == same["service"]:
        told = parity["max_abs_probability_difference"]
        assert told == same["max_abs_probability_difference"]
    assert json.loads((folder / "labels.json").read_text()) == ["c0", "c1", "c2"]
    said = (folder / "README.md").read_text()
    assert trained.id in said
    assert f"the model was fitted on {trained.card['backbone']['precision']}" in said
    files = {f"{seed}.jpg": jpeg(seed, seed % CLASSES, (300, 420)) for seed in range(2)}
    files["small.png"] = picture(7, 2, 48)
    files["large.jpg"] = jpeg(3, 1, (2600, 1900))
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    if find_spec(NEEDS[export_format]) is None:
        pytest.skip(f"{NEEDS[export_format]} is not installed")
    answers = subprocess.run(
        [sys.executable, str(folder / "run.py"), *files],
        capture_output=True, text=True, check=True, cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "OMP_NUM_THREADS": "2"},
    )  # fmt: skip
    for line, (name, data) in zip(answers.stdout.splitlines(), files.items(), strict=True):
        path, label, probability = line.split("\t")
        wanted, share = served(kit, trained, data, engines)
        assert (path, label) == (name, wanted)
        assert float(probability) == pytest.approx(share, abs=0.005), (export_format, name)


def test_a_card_that_was_changed_goes_into_no_bundle(kit: Kit, trained: ModelRow) -> None:
    """`config` is bound by the head itself; its figures are by what was registered."""
    path = kit.storage.fetch(f"{trained.artifact}/model.json")
    before = path.read_bytes()
    card = json.loads(before)
    path.write_text(json.dumps({**card, "evaluation": {"accuracy": 1.0}}))
    try:
        row = exported(kit, trained, "openvino")
    finally:
        path.write_bytes(before)
    assert (row.state, (row.error or {})["code"]) == ("failed", "model_corrupt")


def test_a_model_outlives_its_dataset(kit: Kit, trained: ModelRow) -> None:
    def drop(session: Session) -> None:
        version = session.get_one(DatasetVersionRow, trained.version_id)
        session.delete(session.get_one(DatasetRow, version.dataset_id))

    kit.commit(drop)
    bundle = export(kit, trained, "onnx")
    (name,) = (one for one in bundle.namelist() if one.endswith("parity.json"))
    parity = json.loads(bundle.read(name))
    assert "drawn" in parity["of"]
    assert parity["labels_equal"]


def test_a_head_that_torch_cannot_follow_is_refused(tmp_path: Path) -> None:
    config = {
        "format": 1, "classes": ["a", "b"], "method": "matching", "channels": [],
        "temperature": 1.0,
        "unknown": {"spreads": [1, 1], "thresholds": [], "estimable": False},
        "prediction_views": ["squish"],
    }  # fmt: skip
    head = scoring.load(
        HeadArtifact(tensors={"bias": torch.zeros(2)}, config=HeadConfig.from_json(config))
    )
    exporter.check(head, "onnx")
    with pytest.raises(HeadstartError) as refused:
        exporter.check(head, "torch")
    assert refused.value.code == "export_unsupported"
