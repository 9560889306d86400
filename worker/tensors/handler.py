"""What the tensor process computes: engines, embeddings, fits. Files in, files out."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save

from app.core import hyperparameters
from app.core.backbones import BackboneSpec
from app.core.errors import HeadstartError
from app.core.modalities import mapped
from app.infra import weights
from app.infra.precision import Precision, precision_of
from app.infra.storage import storage_errors
from worker.formats import models, segments
from worker.formats.channel import Message, folder_named
from worker.ml import memory
from worker.ml.engines import Engine, TextEngine, default_device, embedding_key
from worker.ml.engines.joint import JointTexts, joint
from worker.ml.engines.precision import precisions
from worker.ml.engines.readings import reading_of
from worker.ml.engines.stream import embed_stream
from worker.ml.features import label_names
from worker.ml.fit import fit as fit_head
from worker.ml.images import apart, pixel_scale
from worker.ml.images.pixel_scale import PixelScale
from worker.ml.images.views import PREPROCESSING_VERSION
from worker.ml.tasks import USUAL_SCALE, Support, Task
from worker.tensors import held_out, tuning
from worker.tensors.blobs import blobs, opened
from worker.tensors.kept_engines import KeptEngines
from worker.tensors.label_embeddings import LabelEmbeddings, NameRows
from worker.tensors.likeness import likeness
from worker.tensors.near_copies import Fingerprints, near_copies
from worker.tensors.near_texts import near_texts
from worker.tensors.pixels import pixels
from worker.tensors.predict import predict

Report = Callable[[str, dict[str, Any]], None]

LIBRARIES = ("torch", "torchvision", "openvino", "numpy", "safetensors", "pillow")


class Tensors:
    """Handles the parent's requests one after the other; `stopped` asks to end an embedding."""

    def __init__(self, *, stopped: Callable[[], bool]) -> None:
        memory.keep_to(memory.TRAINER_SHARE)
        self._stopped = stopped
        self._engines = KeptEngines()
        self._names = LabelEmbeddings()
        self._prints = Fingerprints()

    def handle(self, request: Message, report: Report) -> dict[str, Any]:
        """The result of one request. Raises HeadstartError."""
        answer: Mapping[str, Callable[[], dict[str, Any]]] = {
            "engine": lambda: facts_of(self._engine(request), request),
            "inspect": lambda: _inspect(request),
            "embed": lambda: self._embed(request, report),
            "truncated": lambda: self._truncated(request),
            "unread": lambda: self._unread(request),
            "fit": lambda: self._fit_unless_stopped(request, report),
            "tunable": lambda: tuning.check(self._engine(request).spec, request),
            "tuning_seconds": lambda: tuning.seconds(self._engine(request).spec, request),
            "predict": lambda: self._predict(request),
            "likeness": lambda: self._likeness(request),
            "near_copies": lambda: self._near_copies(request),
            "near_texts": lambda: _near_texts(request),
            "export": lambda: self._export(request),
        }
        with apart.everything(request.get("apart", False)):
            return answer[request["op"]]()

    def rest(self) -> None:
        """Run the next step of getting ready, if there is one."""
        self._engines.rest()

    def _engine(self, request: Message, precision: Precision | None = None) -> Engine:
        """The engine of the request's backbone, in `precision` or in what the request asks for;
        of several backbones, theirs. Raises backbone_unavailable, precision_unavailable.
        """
        spec = weights.get(request["backbone"], folder_named(request, "weights_dir"))
        self._engines.make_room({one.name for one in spec.parts})
        engines = [self._one({**request, "backbone": one.name}, precision) for one in spec.parts]
        return joint(engines)

    def _one(self, request: Message, precision: Precision | None) -> Engine:
        """That of one backbone."""
        network = request["backbone"], precision or _precision(request)
        weights_dir, cache_dir = (
            folder_named(request, "weights_dir"),
            folder_named(request, "engines_dir"),
        )
        return self._engines.get(network, weights_dir, cache_dir)

    def _embed(self, request: Message, report: Report) -> dict[str, Any]:
        """Write the rows [n, D] fp16 of what could be decoded to `out`, in order."""
        engine = self._engine(request)
        embedded = _collect(engine, request, report, self._stopped)
        if embedded.vectors:
            segments.save(Path(request["out"]), np.stack(embedded.vectors))
        return {"rows": embedded.rows, "faults": embedded.faults, "done": embedded.done}

    def _fit_unless_stopped(self, request: Message, report: Report) -> dict[str, Any]:
        """Only a training that can go on where it got to stops."""
        try:
            return self._fit(request, report)
        except tuning.StoppedError:
            return {"stopped": True}

    def _fit(self, request: Message, report: Report) -> dict[str, Any]:
        began = time.monotonic()
        hyperparameters.check_known(request["method"], request["hyperparameters"])
        engine = self._engine(request)
        spec = engine.spec
        named = self._named(engine, request)
        tuned = tuning.of(engine, request, report, self._stopped) if request.get("tuning") else None
        task = Task(
            method=request["method"],
            hyperparameters=request["hyperparameters"],
            support=self._support(engine, request, "support"),
            validation=self._support(engine, request, "validation")
            if request["validation"]
            else None,
            others=[support(other) for other in request["others"]],
            layout=spec.layout,
            backbone=spec.name,
            weights_sha256=engine.weights_sha256,
            seed=request["seed"],
            pixel_scale=PixelScale.from_json(request.get("pixel_scale")),
            label_embeddings=None if named is None else named.rows,
            label_scale=USUAL_SCALE if named is None else named.scale,
            report=lambda event: report(*_told(event)),
            tuning=tuned,
            not_tried=request.get("not_tried", ""),
        )
        fit = fit_head(task)
        tensors = {name: value.contiguous() for name, value in fit.head.tensors.items()}
        with storage_errors():
            Path(request["out"]).write_bytes(save(tensors))
            held_out.write(Path(request["out"]).with_name(models.ANSWERS), fit.answers)
        return {
            "config": fit.head.config.as_json(),
            "evaluation": fit.evaluation,
            "hyperparameters": fit.hyperparameters,
            "advice": fit.advice,
            "seconds": time.monotonic() - began,
        }

    @staticmethod
    def _support(engine: Engine, request: Message, which: str) -> Support:
        """A labelled set with the pixels that are tuned on, if any are."""
        described, scale = request[which], PixelScale.from_json(request.get("pixel_scale"))
        made = support(described, width=engine.spec.width)
        asked, threads = described.get("pixels"), request["threads"]
        shown = pixels(engine, asked, scale=scale, threads=threads)
        return replace(made, features={**made.features, **shown})

    def _named(self, engine: Engine, request: Message) -> NameRows | None:
        """The classes by their names, where the backbone reads any and they may count."""
        asked = request["hyperparameters"]
        if asked.get("label_names", "auto") is False or "marks" in request["support"]:
            return None
        prompts = label_names.prompts(asked, engine.spec.modality)
        classes = request["support"]["classes"]
        return self._names.of(engine, classes, prompts, folder_named(request, "weights_dir"))

    def _predict(self, request: Message) -> dict[str, Any]:
        """Write an answer for each row to `out`; the engine says what the rows are made of."""
        features = {view: _features(rows) for view, rows in request["views"].items()}
        texts = request["texts"] and [blob.decode() for blob in blobs(request["texts"])]
        engine, asked = self._engine(request), request.get("pixels")
        scale = PixelScale.from_json(request["config"].get("pixel_scale"))
        features |= pixels(engine, asked, scale=scale, threads=request["threads"])
        return predict(request, features, texts=texts, engine=engine)

    def _likeness(self, request: Message) -> dict[str, Any]:
        """How near each of `rows` lies to any of `others`."""
        last = self._engine(request).spec.last
        return likeness(_features(request["rows"]), _features(request["others"]), last=last)

    def _near_copies(self, request: Message) -> dict[str, Any]:
        """Pairs of the examples that show one picture."""
        scale, threads = PixelScale.from_json(request.get("pixel_scale")), request["threads"]
        with opened(request["items"]) as blob:
            prints = self._prints.of(request["names"], blob, scale=scale, threads=threads)
        return {"pairs": near_copies(prints)}

    def _truncated(self, request: Message) -> dict[str, Any]:
        """Which of the texts go on behind what is read of them; what is no text does not."""
        encoder = cast("TextEngine", self._engine(request)).encoder
        texts = (blob.decode(errors="replace") for blob in blobs(request["items"]))
        cut = [encoder.truncated([text])[0] for text in texts]
        return {"truncated": [index for index, longer in enumerate(cut) if longer]}

    def _unread(self, request: Message) -> dict[str, Any]:
        """Of which texts no encoder knows more than hardly a piece."""
        engine = self._engine(request)
        parts = engine.parts if isinstance(engine, JointTexts) else [engine]
        encoders = [cast("TextEngine", one).encoder for one in parts]
        texts = (blob.decode(errors="replace") for blob in blobs(request["items"]))
        told = [all(one.unread([text])[0] for one in encoders) for text in texts]
        return {"unread": [index for index, one in enumerate(told) if one]}

    def _export(self, request: Message) -> dict[str, Any]:
        """Write a bundle to `out`; what makes one is only loaded by who asks for one."""
        from worker.tensors import export, parity

        items = request["items"]
        examples = parity.drawn() if items is None else list(blobs(items))
        return export.export(
            request,
            same=self._engine(request, "f32"),
            serving=self._engine(request),
            pictures=parity.Pictures(examples=examples, of=request["examples_of"]),
        )


class _Pass:
    """What an embedding pass has produced so far, in the order of its items."""

    def __init__(self, total: int) -> None:
        self._seen = [False] * total
        self._faults: dict[int, HeadstartError] = {}
        self.rows: list[int] = []
        self.vectors: list[NDArray[np.float16]] = []

    def add(self, index: int, result: NDArray[np.float32] | HeadstartError) -> None:
        """The outcome of one item."""
        self._seen[index] = True
        if isinstance(result, HeadstartError):
            self._faults[index] = result
        else:
            self.rows.append(index)
            self.vectors.append(segments.halved(result))

    @property
    def done(self) -> int:
        """How many items from the first on are settled."""
        return next((i for i, seen in enumerate(self._seen) if not seen), len(self._seen))

    @property
    def faults(self) -> list[dict[str, Any]]:
        """The settled items that are bad; one further on will be met again."""
        done = self.done
        return [
            {"index": index, "code": error.code, "message": error.message}
            for index, error in sorted(self._faults.items())
            if index < done
        ]


def _told(event: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """What a fit reports, as a message to the trainer: a step's metrics, or a line to be said."""
    if event["type"] == "message":
        return "say", {"message": event["message"], "level": event["level"]}
    return "event", {"step": event["step"], "data": event["data"]}


def _collect(
    engine: Engine, request: Message, report: Report, stopped: Callable[[], bool]
) -> _Pass:
    """Embed until the end, or until a stop is asked for after what is embedded together."""
    items = request["items"]
    made = _Pass(len(items["length"]))

    def told() -> bool:
        report("progress", {"done": made.done})
        return stopped()

    stream = embed_stream(
        engine,
        blobs(items),
        view=request["view"],
        threads=request["threads"],
        scale=PixelScale.from_json(request.get("pixel_scale")),
        stopped=told,
    )
    for index, result in stream:
        made.add(index, result)
    return made


def _inspect(request: Message) -> dict[str, Any]:
    """What a version's pictures are like; nothing of them is kept."""
    pictures, taught = blobs(request["items"]), request["taught"]
    seen = pixel_scale.inspect(pictures, taught, threads=request["threads"])
    scale = None if seen.scale is None else asdict(seen.scale)
    return {"pixel_scale": scale, "blank": list(seen.blank)}


def _near_texts(request: Message) -> dict[str, Any]:
    """Pairs of the examples that have almost one text."""
    items = request["items"]
    with opened(items) as blob:
        count = len(items["length"])
        return {"pairs": near_texts(count, lambda at: blob(at).decode(errors="replace"))}


def support(described: Mapping[str, Any], *, width: int = 0) -> Support:
    """A labelled set with its cached embeddings, read from their segments; of no example at all
    rows [0, width].
    """
    texts, listed = described.get("texts"), described.get("marks")
    copies, augmented = described.get("copies"), described.get("augmented")
    return Support(
        features={
            view: _features(rows) if described["ids"] else torch.zeros(0, width).half()
            for view, rows in described["views"].items()
        },
        labels=torch.tensor(described["labels"], dtype=torch.long),
        groups=torch.tensor(described["groups"], dtype=torch.long),
        ids=described["ids"],
        classes=described["classes"],
        texts=[blob.decode() for blob in blobs(texts)] if texts is not None else None,
        marks=None if listed is None else _marks(listed, len(described["classes"])),
        copies=None if copies is None else torch.tensor(copies, dtype=torch.long),
        augmented=None if augmented is None else torch.tensor(augmented, dtype=torch.bool),
    )


def _marks(listed: Sequence[Sequence[int]], classes: int) -> torch.Tensor:
    """[n, C] bool from the classes that each example has."""
    marks = torch.zeros(len(listed), classes, dtype=torch.bool)
    for row, own in enumerate(listed):
        marks[row, list(own)] = True
    return marks


def _features(rows: Mapping[str, Any]) -> torch.Tensor:
    """[n, D] fp16; the rows of several backbones are side by side."""
    parts = [_picked(part) for part in (rows, *rows.get("beside", ()))]
    return parts[0] if len(parts) == 1 else torch.cat(parts, 1)


def _picked(rows: Mapping[str, Any]) -> torch.Tensor:
    """[n, D] fp16: rows picked from memory-mapped segments, segment by segment."""
    files = [segments.load(Path(path)) for path in rows["segments"]]
    number, row = np.array(rows["segment"]), np.array(rows["row"])
    picked = np.empty((len(row), files[0].shape[1]), np.float16)
    for index, segment in enumerate(files):
        chosen = number == index
        picked[chosen] = segment[row[chosen]]
    return torch.from_numpy(picked)


def facts_of(engine: Engine, request: Message) -> dict[str, Any]:
    """What the parent keeps of an engine (`EngineFacts`)."""
    spec = engine.spec
    source = weights.find(spec.name, folder_named(request, "weights_dir"))
    return {
        "backbone": spec.name,
        "modality": spec.modality,
        "dim": spec.dim,
        "precision": engine.precision,
        "weights_sha256": engine.weights_sha256,
        "fingerprint": engine.fingerprint,
        "former": engine.former,
        "weights_source": f"{source.kind}: {source.path.name}" if source is not None else "",
        "preprocessing": PREPROCESSING_VERSION,
        "libraries": libraries(),
        "keys": {view: embedding_key(engine, view) for view in (*spec.views, *_maps(spec))},
        **reading_of(engine).lengths(engine),
    }


def _maps(spec: BackboneSpec) -> list[str]:
    """The views of activations that may be kept: whether the network can be cut is seen then."""
    if spec.members or spec.source == "graph":
        return []
    return [mapped(view) for view in spec.reads.tuned]


@cache
def libraries() -> dict[str, str]:
    """The versions of what decides the numbers; on a GPU OpenVINO may be missing."""
    found = {}
    for name in LIBRARIES:
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def _precision(request: Message) -> Precision:
    """The setting's, or that of the engine `fitted` where there are units for it."""
    device = default_device()
    known = precisions(request["precision"], device)
    return precision_of(known.serving(request["fitted"])) or known.default_precision
