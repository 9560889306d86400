"""A whole network in one file: pixels of each view in, calibrated probabilities out.

It is composed of the very functions that serve: the backbone's pyramid, the head-independent
transforms, the head. So a tracer that follows them writes down what the service computes.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

from app.core.backbones import BackboneSpec, Block
from app.core.errors import HeadstartError
from app.core.modalities import is_mapped, is_pixels, pictured
from worker.ml.heads import scoring
from worker.ml.heads.scoring import LiveHead
from worker.ml.images.views import SHRINK, as_view, view_size
from worker.ml.openvino_runtime import ov

OPSET = 18
_MOST = 4096
"""Pictures in one batch, at most: torch.export wants a bound."""


class ExportedNetwork(nn.Module):
    """uint8 [n, s, s, 3], of each backbone one tensor a picture of the head → float32 [n, k].

    The backbone of a tuned head is a `CutNetwork`.
    """

    def __init__(
        self, backbones: Sequence[nn.Module], head: LiveHead, layout: Sequence[Block]
    ) -> None:
        super().__init__()
        self.backbones = nn.ModuleList(backbones)
        self._config = head.config
        self._likely = scoring.traceable(head, layout)
        self._width = layout[-1].stop

    def forward(self, *pixels: Tensor) -> Tensor:
        pictures = self._config.pictures
        passed = [
            backbone(pixels[part * len(pictures) + place])
            for part, backbone in enumerate(self.backbones)
            for place in range(len(pictures))
        ]
        rows = {one: _beside(passed[at :: len(pictures)]) for at, one in enumerate(pictures)}
        width = self._width
        features = {
            view: rows[pictured(view)][:, width:]
            if is_mapped(view) or is_pixels(view)
            else rows[view][:, :width]
            for view in self._config.views
        }
        return self._likely(features)


def _beside(rows: Sequence[Tensor]) -> Tensor:
    return rows[0] if len(rows) == 1 else torch.cat(list(rows), 1)


def inputs(head: LiveHead, spec: BackboneSpec) -> list[dict[str, str | int]]:
    """The network's inputs in order: which view, and its side in pixels.

    Of several backbones each with the sides that a large JPEG keeps as it is decoded for it.
    """
    listed: list[dict[str, str | int]] = []
    for part in spec.parts:
        own = {"decode_at_least": decode_at_least(part.input_size)} if spec.members else {}
        for view in head.config.pictures:
            side = view_size(as_view(view), part.input_size)
            listed.append({"view": view, "size": side, **own})
    return listed


def decode_at_least(size: int) -> int:
    """The sides that a large JPEG keeps when it is decoded smaller, as in `preprocessing`."""
    return SHRINK * view_size("large", size)


def check(head: LiveHead, to: str) -> None:
    """Raises export_unsupported: a head of its support's rows looks at their labels as it runs."""
    if to == "torch" and "weight" not in head.artifact.tensors:
        raise HeadstartError(
            "export_unsupported",
            f"torch.export cannot follow a {head.config.method} head; take `onnx` or `openvino`",
            param="name",
        )


def write(network: ExportedNetwork, sizes: Sequence[int], *, to: str, folder: Path) -> None:
    """Write the network into `folder` in the format `to`; `sizes` are the inputs' sides."""
    examples = tuple(torch.zeros((2, size, size, 3), dtype=torch.uint8) for size in sizes)
    with torch.inference_mode(False), torch.no_grad(), _quiet():
        _WRITERS[to](network.eval(), examples, folder)


Examples = tuple[Tensor, ...]


def _onnx(network: nn.Module, examples: Examples, folder: Path) -> None:
    """By torch's tracing exporter: the newer one needs a package that nothing else does."""
    names = [f"pixels_{index}" for index in range(len(examples))]
    torch.onnx.export(
        network,
        examples,
        folder / "network.onnx",
        input_names=names,
        output_names=["probabilities"],
        dynamic_axes={name: {0: "pictures"} for name in [*names, "probabilities"]},
        opset_version=OPSET,
        dynamo=False,
    )


def _openvino(network: nn.Module, examples: Examples, folder: Path) -> None:
    shapes = [ov.PartialShape([-1, *one.shape[1:]]) for one in examples]
    example = examples if len(examples) > 1 else examples[0]
    model = ov.convert_model(network, example_input=example, input=shapes)
    for index, port in enumerate(model.inputs):
        port.get_tensor().set_names({f"pixels_{index}"})
    model.outputs[0].get_tensor().set_names({"probabilities"})
    ov.save_model(model, folder / "network.xml", compress_to_fp16=False)


def _torch(network: nn.Module, examples: Examples, folder: Path) -> None:
    """A program without code to unpickle."""
    pictures = torch.export.Dim("pictures", min=1, max=_MOST)
    shapes = (tuple({0: pictures} for _ in examples),)
    program = torch.export.export(network, examples, dynamic_shapes=shapes)
    torch.export.save(program, folder / "network.pt2")


_WRITERS: Mapping[str, Callable[[nn.Module, Examples, Path], None]] = {
    "onnx": _onnx,
    "openvino": _openvino,
    "torch": _torch,
}


@contextmanager
def _quiet() -> Iterator[None]:
    """Exporters warn of their own age."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
