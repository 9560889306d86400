"""What the tensor process does to `export`: the bundle of a whole network, and proof that it works.

The proof runs the bundle as its owner will, script and all, on some of the model's own training
examples, and compares it with the service's own path: its decoder, its engine, its heads.
"""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from app.core.errors import HeadstartError
from app.infra.storage import storage_errors
from worker.formats.channel import folder_named
from worker.ml.artifact import HeadArtifact, HeadConfig
from worker.ml.backbones import cuts
from worker.ml.backbones.sources import image_network
from worker.ml.engines import Engine
from worker.ml.engines.openvino_graph import image_graph
from worker.ml.engines.tunable import tunable
from worker.ml.heads import export as exporter
from worker.ml.heads import graph_export, scoring
from worker.ml.heads.bundle import run as script
from worker.ml.heads.export import ExportedNetwork
from worker.ml.heads.graph_export import HeadNetwork
from worker.ml.heads.scoring import LiveHead
from worker.tensors import parity
from worker.tensors.parity import Pictures

_NEEDS = {"onnx": "onnxruntime (or openvino)", "openvino": "openvino", "torch": "torch"}
_NETWORK = {"onnx": "network.onnx", "openvino": "network.xml", "torch": "network.pt2"}


def export(
    request: Mapping[str, Any], *, same: Engine, serving: Engine, pictures: Pictures
) -> dict[str, Any]:
    """Write the bundle to `out`; answers its parity with both engines of the model's backbone.

    `same` computes in f32 as the bundle does, `serving` in what the model is answered in. Raises
    model_corrupt, export_unsupported and export_failed.
    """
    artifact = HeadArtifact(
        tensors=load_file(request["head"]), config=HeadConfig.from_json(request["config"])
    )
    head = scoring.load(
        artifact,
        lambda depth: tunable(
            request["backbone"],
            depth,
            folder_named(request, "weights_dir"),
            cache_dir=folder_named(request, "engines_dir"),
        ),
    )
    exporter.check(head, request["format"])
    folder = Path(request["out"]).with_suffix("")
    with storage_errors():
        folder.mkdir()
        _write(request, same, head, folder)
        proof = _proven(request, head, folder, same=same, serving=serving, pictures=pictures)
        _pack(folder, Path(request["out"]))
    return proof


def _write(request: Mapping[str, Any], engine: Engine, head: LiveHead, folder: Path) -> None:
    """Everything but the proof."""
    spec, to = engine.spec, request["format"]
    inputs = exporter.inputs(head, spec)
    sides = [int(one["size"]) for one in inputs]
    weights_dir = folder_named(request, "weights_dir")
    if any(one.source == "graph" for one in spec.parts):
        graph_export.check(to, spec)
        graphs = [image_graph(spec, weights_dir, side) for side in sides]
        network = HeadNetwork(head, spec.layout)
        graph_export.write(network, graphs, width=spec.width, folder=folder)
    else:
        read = [image_network(one.name, weights_dir) for one in spec.parts]
        depth = head.config.depth
        networks = [one[1] if depth is None else cuts.cut_network(*one, depth) for one in read]
        whole = ExportedNetwork(networks, head, spec.layout)
        exporter.write(whole, sides, to=to, folder=folder)
    card = {
        **request["card"],
        "export": {
            "format": to,
            "file": _NETWORK[to],
            "inputs": inputs,
            "decode_at_least": exporter.decode_at_least(spec.input_size),
            "precision": "f32",
        },
    }
    _json(folder / "model.json", card)
    _json(folder / "labels.json", list(head.config.classes))
    shutil.copyfile(script.__file__, folder / "run.py")


def _proven(
    request: Mapping[str, Any],
    head: LiveHead,
    folder: Path,
    *,
    same: Engine,
    serving: Engine,
    pictures: Pictures,
) -> dict[str, Any]:
    """Compare, and write down the differences. Raises export_failed."""
    proof = parity.compare(
        script.Classifier(folder),
        head,
        same=same,
        serving=serving,
        pictures=pictures,
        threads=request["threads"],
    )
    _json(folder / "parity.json", proof)
    (folder / "README.md").write_text(_readme(request, head, proof), encoding="utf-8")
    difference = proof["same_precision"]["max_abs_probability_difference"]
    if not difference <= parity.tolerance(same):
        told = f"the bundle's probabilities differ from the service's by {difference:.3f} in f32"
        raise HeadstartError("export_failed", told)
    return proof


def _pack(folder: Path, out: Path) -> None:
    """One zip with a folder in it; networks hardly shrink, so nothing is compressed."""
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as bundle:
        for path in sorted(folder.iterdir()):
            bundle.write(path, f"{folder.name}/{path.name}")


def _json(path: Path, value: Any) -> None:
    path.write_text(
        json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n", encoding="utf-8"
    )


def _readme(request: Mapping[str, Any], head: LiveHead, proof: Mapping[str, Any]) -> str:
    to, same = request["format"], proof["same_precision"]
    return README.format(
        model=request["card"].get("id", ""),
        network=_NETWORK[to],
        needs=_NEEDS[to],
        views=", ".join(head.config.pictures),
        classes=len(head.config.classes),
        fitted=request["fitted"] or "an engine that its card does not name",
        exact=same["max_abs_probability_difference"],
        **proof,
    )


README = """\
# {model}

The whole network of this model: backbone, head and calibration, without any service.

    pip install pillow numpy simplejpeg {needs}
    python run.py picture.jpg

prints the path, the label and its calibrated probability; of several labels all, with commas
between and in quotes where a label has one itself. It works without simplejpeg, too; JPEGs whose
sides are far above the network's are then decoded at another scale than in the service.
JPEG, PNG, WebP, BMP, GIF, TIFF, JPEG 2000, AVIF and PNM are read; deep ones need imagecodecs and
tifffile, HEIC needs pillow-heif, DICOM needs pydicom (compressed ones pylibjpeg or gdcm as well).

- `{network}`: uint8 pixels [n, size, size, 3] (RGB, one input a view: {views}) in,
  probabilities [n, {classes}] out. Normalisation and softmax are inside.
- `labels.json`: the labels in the order of the output.
- `model.json`: how the model was made, how good it is, and under `export` what `run.py` reads.
- `run.py`: decodes, turns and resizes a picture as the model was trained, and runs the network.
- `parity.json`: {examples} {of}, and {mixtures} mixtures of two of them, through `run.py` and
  through the service.

## Precision

The bundle computes in {precision}; the model was fitted on {fitted}. In the same precision the
probabilities of bundle and service differ by at most {exact:.2g}; as the service answers this model
({service}), by at most {max_abs_probability_difference:.2g} on those pictures.

`unknown`, which the service answers too, is not part of the network.
"""
