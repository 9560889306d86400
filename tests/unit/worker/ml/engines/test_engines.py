"""Engines agree with each other and with themselves; their keys say what decides the numbers."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from app.core.errors import HeadstartError
from tests.unit.worker.ml.drawn_images import encoded, picture
from worker.ml.engines import default_device, embedding_key, load_engine, openvino_graph
from worker.ml.engines.openvino_engine import OpenVinoImages
from worker.ml.engines.openvino_graph import stored
from worker.ml.engines.torch_engine import load_torch
from worker.ml.images.views import VIEWS, decode_to

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def batch() -> NDArray[np.uint8]:
    """Six different pictures, [6, 224, 224, 3]."""
    rng = np.random.default_rng(0)
    shades = [np.roll(picture(60 + 20 * i, 90), i, axis=2) for i in range(4)]
    noise = [rng.integers(0, 256, (40, 40, 3), dtype=np.uint8) for _ in range(2)]
    return np.stack(
        [decode_to(encoded(image, "PNG"), "squish", 224) for image in (*shades, *noise)]
    )


def cosines(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


def test_openvino_and_torch_agree_in_every_block(
    image_engine: Any, torch_engine: Any, batch: NDArray[np.uint8]
) -> None:
    ours, theirs = image_engine.embed(batch), torch_engine.embed(batch)
    assert ours.dtype == theirs.dtype == np.float32
    assert ours.shape == theirs.shape == (6, image_engine.spec.width)
    for block in image_engine.spec.layout:
        columns = slice(block.start, block.stop)
        assert cosines(ours[:, columns], theirs[:, columns]).min() > 0.999
    assert np.isfinite(ours.astype(np.float16)).all()


def test_a_rows_numbers_do_not_depend_on_its_batch(
    image_engine: Any, batch: NDArray[np.uint8]
) -> None:
    together = image_engine.embed(batch)
    alone = np.concatenate([image_engine.embed(batch[i : i + 1]) for i in range(len(batch))])
    many = image_engine.embed(np.concatenate([batch] * 4))
    assert np.abs(together - alone).max() < 1e-3
    assert np.abs(many[-6:] - together).max() < 1e-3
    assert image_engine.embed(batch[:0]).shape == (0, image_engine.spec.width)


def test_another_side_is_read_too(image_engine: Any, torch_engine: Any) -> None:
    large = decode_to(encoded(picture(), "PNG"), "large", 224)[None]
    assert large.shape[1] == 288
    assert cosines(image_engine.embed(large), torch_engine.embed(large)).min() > 0.999


def test_threads_may_share_an_engine(image_engine: Any, batch: NDArray[np.uint8]) -> None:
    expected = image_engine.embed(batch)
    with ThreadPoolExecutor(4) as pool:
        for rows in pool.map(image_engine.embed, [batch] * 8):
            assert np.abs(rows - expected).max() < 1e-3


@pytest.mark.parametrize("shape", [(1, 224, 200, 3), (1, 224, 224, 1), (224, 224, 3)])
def test_what_is_no_batch_is_refused(image_engine: Any, shape: tuple[int, ...]) -> None:
    with pytest.raises(HeadstartError) as caught:
        image_engine.embed(np.zeros(shape, np.uint8))
    assert caught.value.code == "invalid_value"


def test_a_stored_graph_gives_the_same_numbers(
    image_engine: Any, engine_cache: Path, batch: NDArray[np.uint8]
) -> None:
    again = load_engine(
        "efficientnet_lite0", None, device="cpu", cache_dir=engine_cache, threads=1, precision="f32"
    )
    assert np.abs(again.embed(batch) - image_engine.embed(batch)).max() < 1e-3
    assert embedding_key(again, "squish") == embedding_key(image_engine, "squish")


def test_a_warm_start_needs_no_torch(image_engine: Any, engine_cache: Path) -> None:
    script = f"""
import sys
from pathlib import Path
from worker.ml.engines import load_engine
load_engine("efficientnet_lite0", None, device="cpu", cache_dir=Path({str(engine_cache)!r}))
assert not {{"torch", "openvino_telemetry.main"}} & sys.modules.keys()
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)


def test_the_key_tells_apart_what_decides_the_numbers(image_engine: Any, torch_engine: Any) -> None:
    keys = {embedding_key(image_engine, view) for view in VIEWS}
    assert len(keys) == len(VIEWS)
    assert embedding_key(torch_engine, "squish") not in keys
    assert image_engine.precision == "openvino-f32"
    assert torch_engine.precision == "torch-f32-cpu"


def test_a_fixed_network_refuses_another_side(torch_engine: Any) -> None:
    fixed = OpenVinoImages.__new__(OpenVinoImages)
    fixed.spec = replace(torch_engine.spec, fixed_size=True)
    with pytest.raises(HeadstartError, match="224"):
        fixed.embed(np.zeros((1, 288, 288, 3), np.uint8))


def test_passes_take_no_more_pictures_than_are_told() -> None:
    engine, sizes = OpenVinoImages.__new__(OpenVinoImages), list[int]()

    class Request:
        def infer(self, given: list[NDArray[np.uint8]], *, share_inputs: bool) -> list[Any]:
            assert share_inputs
            sizes.append(len(given[0]))
            return [given[0].reshape(len(given[0]), -1).astype(np.float32)]

    pictures = np.arange(9 * 12, dtype=np.uint8).reshape(9, 2, 2, 3)
    rows = engine._passed(Request(), pictures, together=4)
    assert sizes == [4, 4, 1]
    assert (rows == pictures.reshape(9, -1)).all()


def test_the_device_is_the_cpu_where_no_driver_is() -> None:
    assert default_device() in ("cpu", "cuda")
    with pytest.raises(HeadstartError) as caught:
        load_engine("no-such-backbone", None)
    assert caught.value.code == "unknown_backbone"


@pytest.mark.parametrize(
    "name", ["efficientnet_lite1", "efficientnet_lite2", "mobilenet_v2", "squeezenet1_1"]
)
def test_the_other_backbones_come_by_the_same_road(
    name: str, shared_weights: Path, engine_cache: Path, batch: NDArray[np.uint8]
) -> None:
    ours: Any = load_engine(
        name, shared_weights, device="cpu", cache_dir=engine_cache, precision="f32"
    )
    theirs: Any = load_torch(ours.spec, shared_weights, "cpu")
    assert cosines(ours.embed(batch), theirs.embed(batch)).min() > 0.999


def small_graph() -> Any:
    return openvino_graph._convert(torch.nn.Linear(2, 2), torch.zeros(1, 2), [[-1, 2]])


@pytest.mark.parametrize(
    ("suffix", "damage"),
    [
        (".xml", lambda data: b"<net"),
        (".bin", lambda data: data[: len(data) // 2]),
        (".bin", lambda data: bytes([data[0] ^ 64, *data[1:]])),  # which reads as another number
        (".crc32", lambda data: b"\xff" + data),
    ],
)
def test_a_damaged_stored_graph_is_made_anew(
    tmp_path: Path, suffix: str, damage: Callable[[bytes], bytes]
) -> None:
    made: list[int] = []
    for _ in range(2):
        stored(tmp_path, ("flat",), make=lambda: made.append(1) or small_graph())
    assert len(made) == 1
    (path,) = tmp_path.glob(f"*{suffix}")
    path.write_bytes(damage(path.read_bytes()))
    again = stored(tmp_path, ("flat",), make=lambda: made.append(1) or small_graph())
    assert len(made) == 2
    assert again.inputs


def test_a_graph_that_cannot_be_stored_still_works(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert stored(tmp_path / "file" / "folder", ("flat",), make=small_graph).inputs
    assert stored(None, ("flat",), make=small_graph).inputs
