"""An ONNX graph gives in onnxruntime what it gives in OpenVINO; on a GPU that is what runs it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from app.core.errors import HeadstartError
from tests.unit.worker.ml.backbones.sources.kit import noise
from worker.ml.backbones.sources import described, fingerprint, graph_files, supplied
from worker.ml.engines import load_engine, onnx_engine
from worker.ml.engines.onnx_engine import ON_CPU, ON_GPU, OnnxImages

SIDE = 32
TOLD = {"mean": [0.5, 0.4, 0.3], "std": [0.5, 0.25, 0.2]}


def small(path: Path, *, layout: str = "NCHW", reads: str = "floats", batch: Any = 1) -> None:
    """[n, 3, 32, 32] (or its colours last) → scores of 5 classes, by an embedding of 16."""
    draw = np.random.default_rng(0)
    tensors = {
        "w": draw.normal(0, 0.3, (16, 3, 3, 3)), "v": draw.normal(0, 0.3, (16, 5)),
        "scale": np.array(1 / 64), "b": draw.normal(0, 0.3, 5),
    }  # fmt: skip
    kind = TensorProto.FLOAT if reads == "floats" else TensorProto.UINT8
    shape = [batch, 3, SIDE, SIDE] if layout == "NCHW" else [batch, SIDE, SIDE, 3]
    nodes, x = [], "pixels"
    if reads == "bytes":
        nodes += [
            helper.make_node("Cast", [x], ["whole"], to=TensorProto.FLOAT),
            helper.make_node("Mul", ["whole", "scale"], ["scaled"]),
        ]
        x = "scaled"
    if layout == "NHWC":
        nodes.append(helper.make_node("Transpose", [x], ["planes"], perm=[0, 3, 1, 2]))
        x = "planes"
    nodes += [
        helper.make_node("Conv", [x, "w"], ["c"], strides=[2, 2]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("GlobalAveragePool", ["r"], ["pool"]),
        helper.make_node("Flatten", ["pool"], ["flat"]),
        helper.make_node("Gemm", ["flat", "v", "b"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["scores"], axis=-1),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("pixels", kind, shape)],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [batch, 5])],
        [numpy_helper.from_array(np.asarray(v, np.float32), k) for k, v in tensors.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(onnx.shape_inference.infer_shapes(made), str(path))


def laid(folder: Path, **told: Any) -> None:
    small(folder / "small.onnx", **told)
    (folder / "small.json").write_text(json.dumps(TOLD))


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("reads", ["floats", "bytes"])
@pytest.mark.parametrize("batch", [1, "n"])
def test_both_give_one_embedding(layout: str, reads: str, batch: Any, tmp_path: Path) -> None:
    laid(tmp_path, layout=layout, reads=reads, batch=batch)
    ours: Any = load_engine("small", tmp_path, device="cpu", precision="f32")
    theirs = OnnxImages(ours.spec, weights_dir=tmp_path, provider=ON_CPU)
    pixels = noise(SIDE, 70)
    assert theirs.embed(pixels).shape == (70, 16)
    np.testing.assert_allclose(theirs.embed(pixels), ours.embed(pixels), rtol=1e-3, atol=1e-4)
    assert theirs.embed(pixels[:0]).shape == (0, 16)
    assert (theirs.fingerprint, theirs.weights_sha256) == (ours.fingerprint, ours.weights_sha256)
    with pytest.raises(HeadstartError) as caught:
        theirs.embed_with_map(pixels)
    assert caught.value.code == "cut_unavailable"


def test_without_its_build_for_cuda_a_gpu_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    laid(tmp_path)
    monkeypatch.setattr(onnx_engine, "_providers", lambda: [ON_CPU])
    with pytest.raises(HeadstartError, match="onnxruntime-gpu") as caught:
        load_engine("small", tmp_path, device="cuda")
    assert caught.value.code == "backbone_unavailable"


def test_a_gpu_runs_it_where_it_can(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    laid(tmp_path)
    asked: list[str] = []

    def session(_spec: Any, graph: bytes, provider: str) -> Any:
        asked.append(provider)
        return onnx_engine.onnxruntime_session(graph, ON_CPU, {})

    monkeypatch.setattr(onnx_engine, "_providers", lambda: [ON_GPU, ON_CPU])
    monkeypatch.setattr(onnx_engine, "_session", session)
    engine = load_engine("small", tmp_path, device="cuda")
    assert (asked, engine.precision) == ([ON_GPU], "onnxruntime-f32-cuda")


def test_a_side_file_leaves_it_on_the_cpu_as_the_same_network(tmp_path: Path) -> None:
    laid(tmp_path)
    there: Any = load_engine("small", tmp_path, device="cpu", precision="f32")
    before = fingerprint(there.spec, tmp_path)
    (tmp_path / "small.json").write_text(json.dumps({**TOLD, "device": "cpu"}))
    engine = load_engine("small", tmp_path, device="cuda")
    assert engine.precision.startswith("openvino-")
    assert engine.fingerprint == before


def test_a_graph_that_reads_one_picture_at_a_time_is_refused(tmp_path: Path) -> None:
    small(tmp_path / "small.onnx")
    model = onnx.load(str(tmp_path / "small.onnx"))
    shape = numpy_helper.from_array(np.array([1, 16], np.int64), "one")
    model.graph.initializer.append(shape)
    (flatten,) = (node for node in model.graph.node if node.op_type == "Flatten")
    flatten.CopyFrom(helper.make_node("Reshape", ["pool", "one"], ["flat"]))
    onnx.save(model, str(tmp_path / "small.onnx"))
    (tmp_path / "small.json").write_text(json.dumps(TOLD))
    with pytest.raises(HeadstartError) as caught:
        OnnxImages(described("small", tmp_path, None), weights_dir=tmp_path, provider=ON_CPU)
    assert caught.value.code == "weights_invalid"
    assert caught.value.message.startswith("small: onnxruntime cannot run this graph")
    assert "export it again" in caught.value.message


def test_a_damaged_graph_is_told_in_our_words(tmp_path: Path) -> None:
    small(tmp_path / "small.onnx")
    (tmp_path / "small.json").write_text(json.dumps(TOLD))
    found = supplied("small", tmp_path)
    tap = graph_files.tapped("small", found.path, found.side)
    (tmp_path / "small.onnx").write_bytes(b"no protobuf at all")
    with pytest.raises(HeadstartError, match=r"small\.onnx is damaged") as caught:
        onnx_engine._graph(found, tap)
    assert caught.value.code == "weights_invalid"
