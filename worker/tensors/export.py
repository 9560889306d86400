"""What the tensor process does to `export`: the bundle of a whole network, and proof that it works.

The proof runs the bundle as its owner will, script and all, on some of the model's own training
examples, and compares it with the service's own path: its decoder, its engine, its heads.
"""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from app.core.errors import HeadstartError
from app.infra.storage import storage_errors
from worker.ml.artifact import HeadArtifact, HeadConfig
from worker.ml.backbones.networks import pyramid
from worker.ml.engines import Engine
from worker.ml.engines.stream import Result, embed_stream
from worker.ml.heads import export as exporter
from worker.ml.heads import scoring
from worker.ml.heads.bundle import run as script
from worker.ml.heads.export import ExportedNetwork
from worker.ml.heads.scoring import LiveHead

TOLERANCE = 0.05
"""Of a probability. The service may compute in sixteen bits where the bundle has thirty-two."""
_NEEDS = {"onnx": "onnxruntime (or openvino)", "openvino": "openvino", "torch": "torch"}
_NETWORK = {"onnx": "network.onnx", "openvino": "network.xml", "torch": "network.pt2"}


def export(request: Mapping[str, Any], engine: Engine, pictures: Sequence[bytes]) -> dict[str, Any]:
    """Write the bundle to `out`; answers its parity.

    Raises model_corrupt, export_unsupported and export_failed.
    """
    artifact = HeadArtifact(
        tensors=load_file(request["head"]), config=HeadConfig.from_json(request["config"])
    )
    head = scoring.load(artifact)
    exporter.check(head, request["format"])
    folder = Path(request["out"]).with_suffix("")
    with storage_errors():
        folder.mkdir()
        _write(request, engine, head, folder)
        parity = _parity(request, engine, head, folder, pictures)
        _pack(folder, Path(request["out"]))
    return parity


def _write(request: Mapping[str, Any], engine: Engine, head: LiveHead, folder: Path) -> None:
    """Everything but the proof."""
    spec, to = engine.spec, request["format"]
    weights_dir = request["weights_dir"]
    backbone, _ = pyramid(spec.name, Path(weights_dir) if weights_dir else None)
    inputs = exporter.inputs(head, spec.input_size)
    network = ExportedNetwork(backbone, head, spec.layout)
    exporter.write(network, [int(one["size"]) for one in inputs], to=to, folder=folder)
    card = {
        **request["card"],
        "export": {
            "format": to,
            "file": _NETWORK[to],
            "inputs": inputs,
            "decode_at_least": exporter.decode_at_least(spec.input_size),
        },
    }
    _json(folder / "model.json", card)
    _json(folder / "labels.json", list(head.config.classes))
    shutil.copyfile(script.__file__, folder / "run.py")


def _parity(
    request: Mapping[str, Any],
    engine: Engine,
    head: LiveHead,
    folder: Path,
    pictures: Sequence[bytes],
) -> dict[str, Any]:
    """Compare, and write down the difference. Raises export_failed."""
    classify = script.Classifier(folder)
    theirs = torch.from_numpy(np.array(classify(pictures)))
    ours = _served(engine, head, pictures, threads=request["threads"])
    difference = float((theirs - ours).abs().max())
    parity = {
        "examples": len(pictures),
        "of": request["examples_of"],
        "max_abs_probability_difference": difference,
        "tolerance": TOLERANCE,
        "labels_equal": bool((theirs.argmax(1) == ours.argmax(1)).all()),
        "bundle": classify.runtime,
        "service": engine.precision,
    }
    _json(folder / "parity.json", parity)
    (folder / "README.md").write_text(_readme(request, head, parity), encoding="utf-8")
    if not difference <= TOLERANCE:
        told = f"the bundle's probabilities differ from the service's by {difference:.3f}"
        raise HeadstartError("export_failed", told)
    return parity


def _served(engine: Engine, head: LiveHead, pictures: Sequence[bytes], *, threads: int) -> Tensor:
    """What the service answers: [n, k]."""
    embed = partial(embed_stream, engine, pictures, threads=threads)
    features = {
        view: _rows(embed(view=view, scale=head.config.pixel_scale), len(pictures))
        for view in head.config.views
    }
    with torch.inference_mode():
        predictions = scoring.predict(features, [head] * len(pictures), layout=engine.spec.layout)
    return torch.stack([one.probabilities for one in predictions])


def _rows(stream: Iterable[Result], count: int) -> Tensor:
    embedded = dict(stream)
    rows = []
    for index in range(count):
        row = embedded[index]
        if isinstance(row, HeadstartError):
            raise row
        rows.append(row)
    return torch.from_numpy(np.stack(rows))


def drawn() -> list[bytes]:
    """Pictures for a model whose dataset is gone: smooth noise, as PNG files."""
    random = np.random.default_rng(0)
    return [_drawn(random.integers(0, 256, (8, 8, 3), np.uint8)) for _ in range(8)]


def _drawn(cells: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(cells).resize((320, 240), Image.Resampling.BICUBIC).save(buffer, "PNG")
    return buffer.getvalue()


def _pack(folder: Path, out: Path) -> None:
    """One zip with a folder in it; networks hardly shrink, so nothing is compressed."""
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as bundle:
        for path in sorted(folder.iterdir()):
            bundle.write(path, f"{folder.name}/{path.name}")


def _json(path: Path, value: Any) -> None:
    path.write_text(
        json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n", encoding="utf-8"
    )


def _readme(request: Mapping[str, Any], head: LiveHead, parity: Mapping[str, Any]) -> str:
    to = request["format"]
    inputs = ", ".join(head.config.views)
    return README.format(
        model=request["card"].get("id", ""),
        network=_NETWORK[to],
        needs=_NEEDS[to],
        views=inputs,
        classes=len(head.config.classes),
        **parity,
    )


README = """\
# {model}

The whole network of this model: backbone, head and calibration, without any service.

    pip install pillow numpy {needs}
    python run.py picture.jpg

prints the path, the label and its calibrated probability.

- `{network}`: uint8 pixels [n, size, size, 3] (RGB, one input a view: {views}) in,
  probabilities [n, {classes}] out. Normalisation and softmax are inside.
- `labels.json`: the labels in the order of the output.
- `model.json`: how the model was made, how good it is, and under `export` what `run.py` reads.
- `run.py`: decodes, turns and resizes a picture as the model was trained, and runs the network.
- `parity.json`: {examples} {of} through `run.py` and through the service:
  probabilities differ by at most {max_abs_probability_difference:.2g}.

`unknown`, which the service answers too, is not part of the network.
"""
