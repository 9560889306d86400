"""Graph files (TFLite, frozen .pb, SavedModel, ONNX), read by OpenVINO's own front ends.

The tap is what feeds the last layer that writes the answer, found by walking back from the output;
where the answer comes from a pool, it is the embedding itself. A side file may name another tensor.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from app.core.backbones import BackboneSpec, Block
from app.core.errors import HeadstartError
from app.infra.found_backbones import graph_header
from app.infra.found_backbones.side_file import SideFile
from worker.ml.openvino_runtime import ov

_log = logging.getLogger(__name__)
Model = Any
Output = Any
_AFTER = frozenset({
    "Add", "Subtract", "Multiply", "Divide", "Convert", "FakeQuantize", "Softmax", "Sigmoid",
    "LogSoftmax", "Reshape", "Squeeze", "Unsqueeze", "Transpose", "Clamp", "Relu", "Result",
})  # fmt: skip
"""What comes between the classifier and the answer."""
BYTE, SIGNED, FLOATS = "u8", "i8", ("f32", "f16")
_CLASSIFIERS = frozenset({"MatMul", "Convolution"})


@dataclass(frozen=True, kw_only=True)
class TappedGraph:
    """The names of a graph's embedding, the input of pictures, and how that wants them.

    `number` is the format: a byte, a byte less 128, or a float.
    """

    names: frozenset[str]
    reads: str
    colours_last: bool
    number: str


def tapped(name: str, path: Path, side: SideFile) -> TappedGraph:
    """For who runs the file itself. Raises weights_invalid."""
    model = _read(name, path)
    port = _pictures(name, model)
    return TappedGraph(
        names=frozenset(_tap(name, model, side.tap).get_names()),
        reads=port.get_any_name(),
        colours_last=_colours_last(port),
        number=_number(name, port),
    )


def describe(spec: BackboneSpec, path: Path, side: SideFile) -> BackboneSpec:
    """What its graph says. Raises weights_invalid."""
    model = _read(spec.name, path)
    port = _pictures(spec.name, model)
    size = _size(spec.name, port, side)
    if _number(spec.name, port) in FLOATS and side.mean is None:
        raise HeadstartError("weights_invalid", graph_header.unsaid_range(spec.name))
    dim = _width(spec.name, _tap(spec.name, model, side.tap))
    return replace(spec, dim=dim, layout=(Block(0, "mean", 0, dim),), input_size=size)


def graph(spec: BackboneSpec, path: Path, side: SideFile) -> Model:
    """uint8 [n, s, s, 3] → float32 [n, d], for any n. Raises weights_invalid."""
    from openvino import opset13 as ops

    model = _read(spec.name, path)
    tap = _tap(spec.name, model, side.tap)
    flat = ops.reshape(ops.convert(tap, "f32"), ops.constant(np.array([-1, spec.dim])), False)
    cut = ov.Model([ops.result(flat)], model.get_parameters(), spec.name)
    return _prepared(spec, cut)


def _prepared(spec: BackboneSpec, model: Model) -> Model:
    """Pictures as they come: any number of them, bytes, colours last."""
    from openvino.preprocess import ColorFormat, PrePostProcessor

    port = _pictures(spec.name, model)
    side, last = spec.input_size, _colours_last(port)
    shape = [-1, side, side, 3] if last else [-1, 3, side, side]
    try:
        model.reshape({port: ov.PartialShape(shape)})
    except RuntimeError as error:
        _log.warning("%s cannot read several pictures at a time: %s", spec.name, error)
        told = f"{spec.name} reads one picture at a time, or none of {side} x {side}: export it so "
        told += "that its first axis may have any length"
        raise HeadstartError("weights_invalid", told) from error
    number = _number(spec.name, port)
    steps = PrePostProcessor(model)
    steps.input().tensor().set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC"))
    steps.input().tensor().set_color_format(ColorFormat.RGB)
    steps.input().model().set_layout(ov.Layout("NHWC" if last else "NCHW"))
    if number != BYTE:
        made = steps.input().preprocess().convert_element_type(ov.Type.f32)
        mean, scale = shift(spec, number)
        made.mean(mean).scale(scale).convert_element_type(port.get_element_type())
    return steps.build()


def shift(spec: BackboneSpec, number: str) -> tuple[list[float], list[float]]:
    """What is taken from bytes, and what the rest is divided by: quantised ones that have a sign
    are bytes around their middle, by whatever scale the graph itself knows.
    """
    if number == SIGNED:
        return [128.0] * 3, [1.0] * 3
    return [255 * one for one in spec.mean], [255 * one for one in spec.std]


def _read(name: str, path: Path) -> Model:
    try:
        return ov.convert_model(path) if path.is_dir() else ov.Core().read_model(path)
    except Exception as error:  # the front ends raise what they like
        _log.warning("%s cannot be read: %s", name, error)
        told = f"{name}: {path.name} is damaged, or has an operation that OpenVINO does not know"
        raise HeadstartError("weights_invalid", told) from error


def _pictures(name: str, model: Model) -> Output:
    """The one input, of four axes with three colours. Raises weights_invalid."""
    ports = [port for port in model.inputs if len(port.get_partial_shape()) == 4]
    if len(model.inputs) == 1 and ports and 3 in (_axis(ports[0], 1), _axis(ports[0], 3)):
        return ports[0]
    told = f"{name} does not read RGB pictures alone: {[str(port) for port in model.inputs]}"
    raise HeadstartError("weights_invalid", told)


def _axis(port: Output, axis: int) -> int | None:
    """Its length; None where it may be any."""
    length = port.get_partial_shape()[axis]
    return length.get_length() if length.is_static else None


def _colours_last(port: Output) -> bool:
    return _axis(port, 3) == 3


def _number(name: str, port: Output) -> str:
    """Raises weights_invalid for what is neither a byte nor a float."""
    number = str(port.get_element_type().get_type_name())
    if number in (BYTE, SIGNED, *FLOATS):
        return number
    told = f"{name} reads numbers of type {number}: bytes ({BYTE}, {SIGNED}) or floats are read"
    raise HeadstartError("weights_invalid", told)


def _size(name: str, port: Output, side: SideFile) -> int:
    axes = (1, 2) if _colours_last(port) else (2, 3)
    height, width = (_axis(port, axis) for axis in axes)
    if height != width:
        raise HeadstartError("weights_invalid", f"{name} reads no squares: {height} x {width}")
    size = side.input_size or height
    if size is None:
        told = f'{name} reads any size: write {{"input_size": …}} into {name}.json'
        raise HeadstartError("weights_invalid", told)
    return size


def _tap(name: str, model: Model, named: str | None) -> Output:
    """The embedding. Raises weights_invalid where none is named so, or found."""
    if named is not None:
        return _named(name, model, named)
    node = model.outputs[0].get_node()
    while node.get_type_name() in _AFTER:
        node = _source(node)
    if node.get_type_name() in _CLASSIFIERS and _is_vector(node.input_value(0)):
        return node.input_value(0)
    return node.output(0)


def _named(name: str, model: Model, tap: str) -> Output:
    for node in model.get_ordered_ops():
        for port in node.outputs():
            if tap in port.get_names() or tap == node.get_friendly_name():
                return port
    raise HeadstartError("weights_invalid", f"{name} has no tensor {tap!r}")


def _source(node: Any) -> Any:
    """What a node works on: its first input that is no constant."""
    return next(_moving(node), node.input_value(0)).get_node()


def _moving(node: Any) -> Iterator[Output]:
    for place in range(node.get_input_size()):
        port = node.input_value(place)
        if not _is_constant(port.get_node()):
            yield port


def _is_constant(node: Any) -> bool:
    """A number of the file, dequantised or not: nothing that it is made of moves."""
    if node.get_type_name() == "Constant":
        return True
    inputs = [node.input_value(i).get_node() for i in range(node.get_input_size())]
    return bool(inputs) and all(_is_constant(one) for one in inputs)


def _is_vector(port: Output) -> bool:
    """Whether there is one place: [n, d], [n, d, 1, 1] or [n, 1, 1, d]."""
    shape = port.get_partial_shape()
    return sum(_axis(port, axis) != 1 for axis in range(1, len(shape))) == 1


def _width(name: str, tap: Output) -> int:
    """Numbers of the embedding. Raises weights_invalid for a map."""
    lengths = [_axis(tap, axis) for axis in range(1, len(tap.get_partial_shape()))]
    if lengths and _is_vector(tap) and all(length is not None for length in lengths):
        return max(length or 1 for length in lengths)
    told = f'{name}: {tap.get_partial_shape()} is no vector: name the "tap" in {name}.json'
    raise HeadstartError("weights_invalid", told)
