"""The side that a graph reads is told by its file, whatever is in it."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from app.infra import weights
from app.infra.found_backbones import graph_header
from tests.fixtures.unpacked import GRAPHS, unpack

Axis = int | str


def exported(
    file: Path, shape: list[Axis], *, older: bool = False, number: int = TensorProto.FLOAT
) -> Path:
    """A graph that reads so; an older one lists its tensors as inputs, too."""
    kernel = numpy_helper.from_array(np.zeros((4, 3, 7, 7), np.float32), "kernel")
    given = [helper.make_tensor_value_info("pixels", number, shape)]
    listed = [helper.make_tensor_value_info("kernel", TensorProto.FLOAT, [4, 3, 7, 7])]
    graph = helper.make_graph(
        [helper.make_node("Conv", ["pixels", "kernel"], ["out"])], "small",
        [*(listed if older else []), *given],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)], [kernel],
    )  # fmt: skip
    onnx.save(helper.make_model(graph), str(file))
    return file


@pytest.mark.parametrize(
    ("shape", "side"),
    [
        (["n", 3, 96, 96], 96),
        ([1, 160, 160, 3], 160),
        (["n", 3, "height", "width"], None),
        (["n", 3, 96, 128], None),
        ([1, 1, 96, 96], None),
        (["n", 3, -1, -1], None),
    ],
)
@pytest.mark.parametrize("older", [False, True])
def test_of_onnx_it_is_the_inputs(
    shape: list[Axis], side: int | None, older: bool, tmp_path: Path
) -> None:
    assert graph_header.side(exported(tmp_path / "own.onnx", shape, older=older)) == side


@pytest.mark.parametrize(
    ("number", "floats"),
    [(TensorProto.FLOAT, True), (TensorProto.FLOAT16, True), (TensorProto.UINT8, False)],
)
@pytest.mark.parametrize("older", [False, True])
def test_a_graph_that_reads_floats_is_not_available_before_their_range_is_said(
    number: int, floats: bool, older: bool, tmp_path: Path
) -> None:
    exported(tmp_path / "own.onnx", ["n", 3, 96, 96], older=older, number=number)
    found = weights.availability("own", tmp_path)
    assert found.available is not floats
    if floats:
        assert found.reason == graph_header.unsaid_range("own")
    side = '{"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}'
    (tmp_path / "own.json").write_text(side, "utf-8")
    assert weights.availability("own", tmp_path).available


@pytest.mark.parametrize("name", GRAPHS)
def test_of_what_tensorflow_saves_it_is_listed(name: str, tmp_path: Path) -> None:
    unpack(tmp_path, name)
    assert weights.get(name, tmp_path).input_size == 32
    if name == "saved-model":  # which reads any
        (tmp_path / "saved-model.json").unlink()
        assert graph_header.side(tmp_path / name / "saved_model.pb") is None


def test_a_side_file_goes_before_it(tmp_path: Path) -> None:
    exported(tmp_path / "own.onnx", ["n", 3, 96, 96])
    assert weights.get("own", tmp_path).input_size == 96
    (tmp_path / "own.json").write_text('{"input_size": 64}')
    assert weights.get("own", tmp_path).input_size == 64
    exported(tmp_path / "own.onnx", ["n", 3, 128, 128])
    (tmp_path / "own.json").unlink()
    assert weights.get("own", tmp_path).input_size == 128


@pytest.mark.parametrize("name", ["own.onnx", "lite-int8.tflite", "nhwc.pb"])
def test_what_is_malformed_says_nothing_or_a_side(name: str, tmp_path: Path) -> None:
    file = tmp_path / name
    if name == "own.onnx":
        exported(file, ["n", 3, 96, 96])
    else:
        unpack(tmp_path, file.stem)
    whole, draw = file.read_bytes(), random.Random(0)
    for at in range(300):
        data = bytearray(whole[: draw.randrange(len(whole))] if at % 2 else whole)
        for _ in range(8 if data else 0):
            data[draw.randrange(min(len(data), 400))] = draw.randrange(256)
        file.write_bytes(data)
        side = graph_header.side(file)
        assert side is None or 0 < side < 2**31
        file.unlink()
    assert graph_header.side(file) is None


def test_no_file_is_looked_at_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = exported(tmp_path / "own.onnx", ["n", 3, 96, 96])
    monkeypatch.setattr(graph_header, "MOST_FIELDS", 10)
    assert graph_header.side(file) is None
