"""Deep pictures over HTTP: one scale for a dataset, the same in its models, batches and bundles."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tests.e2e.conftest import Service
from tests.e2e.test_upload_to_prediction import fine_tune, upload

RANDOM = np.random.default_rng(0)
BRIGHTNESS = {"dim": 700, "bright": 3600}


def lamp(peak: int) -> bytes:
    """A 12-bit lamp of some size, somewhere, as a 16-bit PNG; classes differ in brightness only."""
    rows, columns = np.mgrid[:64, :64]
    x, y = RANDOM.uniform(20, 44, 2)
    spread = RANDOM.uniform(6, 14)
    values = peak * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * spread**2))
    return encoded(values + RANDOM.uniform(0, 40, values.shape))


def encoded(values: NDArray[Any]) -> bytes:
    out = io.BytesIO()
    Image.fromarray(values.astype(np.uint16)).save(out, "PNG")
    return out.getvalue()


def lamps() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for label, peak in BRIGHTNESS.items():
            for number in range(8):
                archive.writestr(f"{label}/{number}.png", lamp(peak))
    return out.getvalue()


def test_brightness_is_learned_and_told_everywhere(service: Service, tmp_path: Path) -> None:
    held_out = {label: [lamp(peak) for _ in range(4)] for label, peak in BRIGHTNESS.items()}
    with service.client() as client:
        dataset = upload(client, lamps())
        assert dataset["pixel_scale"] == {"low": 0.0, "high": 4095.0}
        job = fine_tune(client, dataset["id"])
        model = f"/v1/models/{job['fine_tuned_model']}"
        answers = {}
        for label, pictures in held_out.items():
            files = [("files", (f"{n}.png", data)) for n, data in enumerate(pictures)]
            answers[label] = client.post(f"{model}/predictions", files=files).json()["data"]
            assert [one["label"] for one in answers[label]] == [label] * len(pictures)
        card = client.get(f"{model}/artifacts/model.json").json()
        assert card["config"]["pixel_scale"] == dataset["pixel_scale"]
        bundle = client.get(f"{model}/artifacts/onnx", headers={"Prefer": "wait=100"})
    with zipfile.ZipFile(io.BytesIO(bundle.content)) as archive:
        archive.extractall(tmp_path)
    (folder,) = tmp_path.iterdir()
    (tmp_path / "one.png").write_bytes(held_out["dim"][0])
    said = subprocess.run(
        [sys.executable, str(folder / "run.py"), str(tmp_path / "one.png")],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\t")
    assert said[1] == "dim"
    assert abs(float(said[2]) - answers["dim"][0]["probability"]) < 0.03


def test_pictures_of_one_colour_are_named(service: Service) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for label in ("a", "b"):
            for number in range(3):
                archive.writestr(f"{label}/{number}.png", lamp(2000 + 300 * number))
        blank = encoded(np.full((64, 64), 700))
        archive.writestr("b/blank.png", blank)
    with service.client() as client:
        dataset = upload(client, out.getvalue())
        named = [one for one in dataset["problems"] if one["code"] == "image_blank"]
        assert [(one["path"], one["excluded"]) for one in named] == [("b/blank.png", False)]
        assert json.dumps(dataset["pixel_scale"]) != "null"
