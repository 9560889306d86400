"""The whole network of a model on a graph file: the backbone's own graph, the head's behind it."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from app.core.backbones import BackboneSpec, Block
from app.core.errors import HeadstartError
from worker.ml.heads import scoring
from worker.ml.heads.scoring import LiveHead
from worker.ml.openvino_runtime import ov


class HeadNetwork(nn.Module):
    """Embeddings [n, D], one tensor for each view of the head → float32 [n, k]."""

    def __init__(self, head: LiveHead, layout: Sequence[Block]) -> None:
        super().__init__()
        self._views = head.config.views
        self._likely = scoring.traceable(head, layout)

    def forward(self, *rows: Tensor) -> Tensor:
        features: Mapping[str, Tensor] = dict(zip(self._views, rows, strict=True))
        return self._likely(features)


def check(to: str, spec: BackboneSpec) -> None:
    """Raises export_unsupported: only OpenVINO's format holds whatever its front ends read, and
    only one backbone of such a kind.
    """
    if spec.members:
        told = f"a graph file's backbone beside others ({spec.name}) is exported as `head` only"
        raise HeadstartError("export_unsupported", told, param="name")
    if to != "openvino":
        told = f"a graph file's backbone is written as `openvino` only, not as `{to}`"
        raise HeadstartError("export_unsupported", told, param="name")


def write(network: HeadNetwork, graphs: Sequence[Any], *, width: int, folder: Path) -> None:
    """Write `network.xml`; `graphs` give the rows [n, width] of each view, in order."""
    examples = tuple(torch.zeros((2, width)) for _ in graphs)
    shapes = [ov.PartialShape([-1, width]) for _ in graphs]
    with torch.inference_mode(False), torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        example = examples if len(examples) > 1 else examples[0]
        head = ov.convert_model(network.eval(), example_input=example, input=shapes)
    pictures = [_joined(port, graph) for port, graph in zip(head.inputs, graphs, strict=True)]
    model = ov.Model(head.get_results(), pictures, "network")
    for index, port in enumerate(model.inputs):
        port.get_tensor().set_names({f"pixels_{index}"})
    model.outputs[0].get_tensor().set_names({"probabilities"})
    ov.save_model(model, folder / "network.xml", compress_to_fp16=False)


def _joined(port: Any, graph: Any) -> Any:
    """The pictures' parameter of a graph whose answer now goes where `port` was read."""
    rows = graph.outputs[0].get_node().input_value(0)
    for reader in port.get_target_inputs():
        reader.replace_source_output(rows)
    return graph.get_parameters()[0]
