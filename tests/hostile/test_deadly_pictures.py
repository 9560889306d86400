"""A picture that kills whoever decodes it: at worst it fails itself."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from tests.hostile.fragile import MARK, NAME
from tests.integration.worker.conftest import training
from tests.worker_kit import Kit, add_dataset, add_job, open_kit, pictures


@pytest.fixture
def kit(tmp_path: Path) -> Iterator[Kit]:
    made = open_kit(tmp_path)
    yield made
    made.engine.dispose()


def marked(kind: str) -> bytes:
    """A sound picture that carries the mark."""
    out, note = io.BytesIO(), PngInfo()
    note.add_text("Comment", MARK.decode())
    said = {"pnginfo": note} if kind == "PNG" else {"exif": b"Exif\0\0" + MARK}
    Image.new("RGB", (40, 40), (200, 30, 40)).save(out, kind, **said)
    assert MARK in out.getvalue()
    return out.getvalue()


def test_it_is_a_problem_of_its_dataset_and_the_rest_is_trained_on(kit: Kit) -> None:
    """The PNG ends the tensor process once, then a decoder; the WebP never gets so far."""
    deadly = [("c0/deadly.png", "c0", marked("PNG")), ("c1/deadly.webp", "c1", marked("WEBP"))]
    with training(kit, NAME):
        version = add_dataset(kit, [*pictures(6), *deadly])
        job = kit.wait_job(add_job(kit, version), 240)
    assert job.status == "succeeded", job.error
    told = kit.version(version.id)
    assert told.num_examples == 12
    found = {one["path"]: one["code"] for one in told.problems}
    assert found == {"c0/deadly.png": "image_invalid", "c1/deadly.webp": "image_invalid"}
