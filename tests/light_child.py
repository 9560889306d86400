"""A tensor process without tensors, for tests of everything around it: it starts in no time.

It speaks the real protocol and passes the same conformance test as the real one. It has both
precisions unless LIGHT_UNITS says `f32`. A job's hyperparameters tell it how to behave: `seconds`
to take, `steps` to report, `poison` to die of.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import numpy as np
from safetensors.numpy import load_file, save

from app.core.errors import HeadstartError
from app.core.modalities import View
from app.infra.precision import precision_of
from app.infra.storage import storage_errors
from app.infra.telemetry import tracing
from worker.formats import segments
from worker.formats.channel import Message
from worker.tensors.process import Report, Stopped, serve

DIM = 8
BATCH = 16
WINDOW = 100
"""Bytes of a text that are one window; two are read."""


class Light:
    """The handler of every request."""

    def __init__(self, stopped: Stopped) -> None:
        self._stopped = stopped

    def handle(self, request: Message, report: Report) -> dict[str, Any]:
        if request["backbone"] == "missing":
            raise HeadstartError("backbone_unavailable", "put it somewhere")
        if request["op"] == "engine":
            return facts(request)
        if request["op"] == "embed":
            return embed(request, report, self._stopped)
        if request["op"] == "inspect":
            return {"pixel_scale": None, "blank": []}
        if request["op"] == "predict":
            return predict(request)
        if request["op"] == "likeness":
            return likeness(request)
        if request["op"] in ("near_copies", "near_texts"):
            return {"pairs": []}
        if request["op"] == "truncated":
            return {"truncated": list(range(len(request["items"]["length"])))}
        if request["op"] == "unread":
            return {"unread": [at for at, one in enumerate(blobs(request["items"])) if _odd(one)]}
        return fit(request, report)

    def rest(self) -> None:
        """There is nothing to prepare."""


def engine_of(request: Message) -> str:
    """`light` unless somebody asks for a precision: `light-f32`, or `light-bf16` with units."""
    wanted = request["fitted"] or request["precision"]
    if wanted in ("auto", "light"):
        return "light"
    if "bf16" in wanted and os.environ.get("LIGHT_UNITS") == "f32":
        if not request["fitted"]:
            raise HeadstartError("precision_unavailable", "no units")
        return "light-f32"
    return f"light-{precision_of(wanted)}"


def facts(request: Message) -> dict[str, Any]:
    modality = "text" if "MiniLM" in request["backbone"] else "image"
    views = ["text"] if modality == "text" else get_args(View)
    name, engine = request["backbone"].lower(), engine_of(request)
    return {
        "backbone": request["backbone"],
        "modality": modality,
        "dim": DIM,
        "precision": engine,
        "weights_sha256": "0" * 64,
        "fingerprint": f"light {name}",
        "weights_source": "none",
        "preprocessing": "light",
        "libraries": {},
        "keys": {view: f"{engine}-{name}-{view}" for view in views},
        **({"window": WINDOW, "reads": 2 * WINDOW} if modality == "text" else {}),
    }


def embed(request: Message, report: Report, stopped: Stopped) -> dict[str, Any]:
    """A vector made of each content's hash; those that begin with `bad` cannot be decoded,
    and batches that end in a `slow` or `bad slow` one take a tenth of a second."""
    rows, faults, vectors = [], [], []
    done = 0
    for index, data in enumerate(blobs(request["items"])):
        if data.startswith(b"die"):
            os.kill(os.getpid(), signal.SIGKILL)
        while data.startswith(b"endless"):
            time.sleep(1.0)
        if data.startswith(b"bad"):
            faults.append({"index": index, "code": "image_invalid", "message": "bad"})
        else:
            rows.append(index)
            digest = hashlib.sha256(data + request["view"].encode()).digest()
            vectors.append(np.frombuffer(digest[: 2 * DIM], np.uint16) / 65536)
        done = index + 1
        if done % BATCH == 0:
            report("progress", {"done": done})
            if b"slow" in data[:8]:
                time.sleep(0.1)
            if stopped():
                break
    if vectors:
        segments.save(Path(request["out"]), np.stack(vectors).astype(np.float16))
    return {"rows": rows, "faults": faults, "done": done}


def blobs(items: dict[str, Any]) -> Iterator[bytes]:
    packs = [Path(pack).read_bytes() for pack in items["packs"]]
    for pack, offset, length in zip(items["pack"], items["offset"], items["length"], strict=True):
        yield packs[pack][offset : offset + length]


def fit(request: Message, report: Report) -> dict[str, Any]:
    """Sleep, report, and write class means: as much of a head as the store asks for."""
    wish = request["hyperparameters"]
    if wish.get("poison"):
        os.kill(os.getpid(), signal.SIGKILL)
    if wish.get("diverge"):
        raise HeadstartError("diverged", "too steep", param="learning_rate")
    if wish.get("bug"):
        raise RuntimeError("nobody expected this")
    steps = wish.get("steps", 0)
    for step in range(1, steps + 1):
        time.sleep(wish.get("seconds", 0) / steps)
        report("event", {"step": step, "data": {"train_loss": 1 / step}})
    if not steps:
        time.sleep(wish.get("seconds", 0))
    support = request["support"]
    classes = support["classes"]
    weight = np.zeros((DIM, len(classes)), np.float16)
    for view in support["views"].values():
        files = [segments.load(Path(path)) for path in view["segments"]]
        places = zip(view["segment"], view["row"], support["labels"], strict=True)
        for segment, row, label in places:
            weight[:, label] += files[segment][row]
    head = save({"weight": weight, "bias": np.zeros(len(classes), np.float32)})
    with storage_errors():
        Path(request["out"]).write_bytes(head)
    accuracy = {"value": 0.5, "low": 0.1, "high": 0.9}
    return {
        "config": {
            "format": 1,
            "method": request["method"],
            "read": folders_of(request),
            "others": len(request["others"]),
            "classes": classes,
            "prediction_views": sorted(support["views"])[-1:],
        },
        "evaluation": {"accuracy": accuracy},
        "hyperparameters": {**wish, "statistics": None},
        "advice": {},
        "seconds": 0.0,
    }


def folders_of(request: Message) -> list[str]:
    """The caches that a fit reads, by name: of what it trains on, is judged by, and starts from."""
    sets = [request["support"], *([request["validation"]] if request["validation"] else [])]
    views = [view for one in [*sets, *request["others"]] for view in one["views"].values()]
    return sorted({Path(path).parent.name for view in views for path in view["segments"]})


def predict(request: Message) -> dict[str, Any]:
    """Each row's class by the head's weights, with a probability of one."""
    head, classes = load_file(request["head"]), request["config"]["classes"]
    (view,) = request["views"].values()
    files = [segments.load(Path(path)) for path in view["segments"]]
    places = zip(view["segment"], view["row"], strict=True)
    scores = [files[segment][row] @ head["weight"] + head["bias"] for segment, row in places]
    labels = [classes[int(np.argmax(score))] for score in scores]
    with storage_errors(), Path(request["out"]).open("w", encoding="utf-8") as out:
        for index, label in enumerate(labels):
            told = {"index": index, "label": label, "probability": 1.0, "unknown": False}
            if request["use_unlabelled"]:
                told["smoothed"] = len(labels) > 3
            out.write(json.dumps(told, separators=(",", ":")) + "\n")
    if not request["use_unlabelled"]:
        return {"labels": labels}
    few = {"code": "too_few_inputs", "message": "fewer than four"}
    return {"labels": labels, "left_off": None if len(labels) > 3 else few}


def likeness(request: Message) -> dict[str, Any]:
    """The greatest cosine of each row with any of the others."""
    rows, others = (_rows(request[name]) for name in ("rows", "others"))
    cosines = rows @ others.T
    return {"cosines": cosines.max(1).tolist(), "apart": 0.0}


def _rows(view: dict[str, Any]) -> np.ndarray[Any, Any]:
    files = [segments.load(Path(path)) for path in view["segments"]]
    places = zip(view["segment"], view["row"], strict=True)
    found = np.stack([files[segment][row] for segment, row in places]).astype(np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def _odd(text: bytes) -> bool:
    """Whether most of its characters have three bytes, as those of far scripts have."""
    return 2 * len(text.decode(errors="replace")) < len(text)


if __name__ == "__main__":
    tracing.collect(os.environ.get("HEADSTART_OTLP_ENDPOINT", ""), "tensors")
    serve(int(sys.argv[1]), Light)
