"""What was cut out of a network, in a file: so that it is traced once, and then read.

Tracing takes seconds of CPU and hundreds of megabytes of libraries, which stay; a file takes
neither. It is a list of operators and their tensors, never code: whatever is none of torch's own
operators is not kept, and traced by every process.
"""

from __future__ import annotations

import json
import logging
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, fx, nn

from worker.ml.backbones.suffix import Cut, Suffix, laid_out
from worker.ml.checksums import checksum

VERSION = "1"
"""Part of a file's name: raise it when a graph would be written down otherwise."""
_PLAIN = (str, int, float, bool, type(None))
_OPERATOR, _PYTHON = "aten.", "operator."
_NAMED: Mapping[str, type] = {"dtype": torch.dtype, "layout": torch.layout,
                              "memory_format": torch.memory_format}  # fmt: skip
_log = logging.getLogger(__name__)


class UntoldError(ValueError):
    """A graph has a part that cannot be written down."""


def kept(file: Path | None, *, make: Callable[[], Suffix]) -> Suffix:
    """The part of a network that lies in `file`; made, and kept there, where it does not.

    Its tensors are the file's own pages. Raises as `make`.
    """
    found = None if file is None else _read(file)
    if found is not None:
        return found
    made = make()
    if file is not None:
        _keep(file, made)
    return made


def _read(file: Path) -> Suffix | None:
    """None where there is no such file, or a damaged one."""
    if not file.is_file():
        return None
    try:
        if checksum(file) != _sum(file).read_text():
            raise ValueError("it is not what was kept")
        with safe_open(file, framework="pt") as stored:
            told = json.loads(stored.metadata()["graph"])
            tensors = {name: stored.get_tensor(name) for name in told["tensors"]}
        return _rebuilt(told, tensors)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, SafetensorError) as error:
        _log.warning("the graph %s is traced anew: %s", file.name, error)
        return None


def _keep(file: Path, suffix: Suffix) -> None:
    """Where it can be: otherwise the next process traces it once more. Its sum comes first: a file
    whose sum is another's is not read.
    """
    try:
        written = _written(suffix)
        told = {"graph": json.dumps(written.told)}
        file.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=file.parent) as folder:
            fresh = Path(folder) / file.name
            save_file(written.tensors, fresh, metadata=told)
            _sum(fresh).write_text(checksum(fresh))
            _sum(fresh).replace(_sum(file))
            fresh.replace(file)
    except (OSError, UntoldError, SafetensorError) as error:
        _log.warning("the graph %s cannot be kept: %s", file.name, error)


def _sum(file: Path) -> Path:
    return file.with_suffix(".crc32")


@dataclass
class _Written:
    """A graph as JSON, and its tensors by name."""

    told: dict[str, Any] = field(default_factory=dict)
    tensors: dict[str, Tensor] = field(default_factory=dict)


def _written(suffix: Suffix) -> _Written:
    """Raises UntoldError."""
    graph = suffix.graph
    if not isinstance(graph, fx.GraphModule) or suffix.encoder is not None:
        raise UntoldError("it is no graph of operators")
    tensors, same, asked = _tensors(graph)
    told = {
        "cut": [suffix.cut.level, list(suffix.cut.shape)],
        "stages": suffix.stages,
        "decay": suffix.decay,
        "start": list(suffix.start),
        "tensors": {
            name: {"parameter": isinstance(one, nn.Parameter), "gradient": one.requires_grad}
            for name, one in asked.items()
        },
        "same": same,
        "nodes": [_node(node) for node in graph.graph.nodes],
    }
    return _Written(told, tensors)


def _tensors(
    graph: fx.GraphModule,
) -> tuple[dict[str, Tensor], dict[str, str], dict[str, Tensor]]:
    """Those that nodes read, packed and as they are, by name; and whose other name one is."""
    first: dict[int, str] = {}
    same: dict[str, str] = {}
    asked: dict[str, Tensor] = {}
    for node in graph.graph.find_nodes(op="get_attr"):
        name = str(node.target)
        one = operator.attrgetter(name)(graph)
        if not isinstance(one, Tensor):
            raise UntoldError(f"{name} is no tensor")
        known = first.setdefault(id(one), name)
        if known == name:
            asked[name] = one
        else:
            same[name] = known
    packed = {name: _packed(one) for name, one in asked.items()}
    return packed, same, asked


def _packed(tensor: Tensor) -> Tensor:
    """With its numbers in order, in memory of its own."""
    return tensor.detach().cpu().clone(memory_format=torch.contiguous_format)


def _node(node: fx.Node) -> dict[str, Any]:
    return {
        "op": node.op,
        "name": node.name,
        "target": _target(node),
        "args": _told(node.args),
        "kwargs": {name: _told(value) for name, value in node.kwargs.items()},
    }


def _target(node: fx.Node) -> str:
    """As `_operator` finds it again."""
    if node.op in ("placeholder", "get_attr", "output"):
        return str(node.target)
    if node.op == "call_function":
        target: Any = node.target
        if isinstance(target, torch._ops.OpOverload) and str(target).startswith(_OPERATOR):
            return str(target)
        name = str(getattr(target, "__name__", ""))
        if getattr(operator, name, None) is target:
            return f"{_PYTHON}{name}"
    raise UntoldError(f"{node.op} of {node.target}")


def _operator(target: str) -> Any:
    if target.startswith(_OPERATOR):
        return operator.attrgetter(target)(torch.ops)
    if target.startswith(_PYTHON):
        return getattr(operator, target.removeprefix(_PYTHON))
    raise ValueError(f"{target} is no operator")


def _told(value: Any) -> Any:
    """An argument as JSON: lists are lists, and all that JSON does not know is an object."""
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, fx.Node):
        return {"node": value.name}
    if isinstance(value, tuple | list):
        return {"tuple" if isinstance(value, tuple) else "list": [_told(one) for one in value]}
    if isinstance(value, slice):
        return {"slice": [_told(one) for one in (value.start, value.stop, value.step)]}
    if isinstance(value, torch.device):
        return {"device": str(value)}
    for kind, its_type in _NAMED.items():
        if isinstance(value, its_type):
            return {kind: str(value).removeprefix("torch.")}
    raise UntoldError(f"an argument is a {type(value).__name__}")


def _argument(told: Any, nodes: Mapping[str, fx.Node]) -> Any:
    if not isinstance(told, dict):
        return told
    ((kind, value),) = told.items()
    if kind == "node":
        return nodes[value]
    if kind in ("tuple", "list", "slice"):
        parts = [_argument(one, nodes) for one in value]
        return slice(*parts) if kind == "slice" else tuple(parts) if kind == "tuple" else parts
    return torch.device(value) if kind == "device" else _of_torch(kind, value)


def _of_torch(kind: str, name: str) -> Any:
    found = getattr(torch, name)
    if not isinstance(found, _NAMED[kind]):
        raise TypeError(f"{name} is no {kind}")
    return found


def _rebuilt(told: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Suffix:
    owner = _owner(told, tensors)
    graph, nodes = fx.Graph(), dict[str, fx.Node]()
    for one in told["nodes"]:
        nodes[one["name"]] = graph.create_node(
            one["op"],
            _operator(one["target"]) if one["op"] == "call_function" else one["target"],
            _argument(one["args"], nodes),
            {name: _argument(value, nodes) for name, value in one["kwargs"].items()},
            name=one["name"],
        )
    graph.lint()
    made = fx.GraphModule(owner, graph)
    level, shape = told["cut"]
    tuned = dict(made.named_parameters())
    start = {name: laid_out(tuned[name].detach()) for name in told["start"]}
    cut = Cut(level=level, shape=tuple(shape))
    return Suffix(cut, made, start, stages=told["stages"], decay=told["decay"])


def _owner(told: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> nn.Module:
    """A module with the tensors where their names say."""
    owner = nn.Module()
    made: dict[str, Tensor] = {}
    for name, how in told["tensors"].items():
        value = tensors[name]
        made[name] = nn.Parameter(value, how["gradient"]) if how["parameter"] else value
    given: Sequence[tuple[str, Tensor]] = [
        *made.items(), *((name, made[first]) for name, first in told["same"].items())
    ]  # fmt: skip
    for name, value in given:
        *path, leaf = name.split(".")
        at = owner
        for part in path:
            if part not in at._modules:
                at.add_module(part, nn.Module())
            at = at.get_submodule(part)
        if isinstance(value, nn.Parameter):
            at.register_parameter(leaf, value)
        else:
            at.register_buffer(leaf, value)
    return owner
