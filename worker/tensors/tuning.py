"""What tuning needs of the tensor process: the suffix, room for it, and what a former try kept."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from app.core.backbones import BackboneSpec
from app.core.errors import HeadstartError
from app.core.modalities import is_mapped
from app.infra.storage import storage_errors
from worker.formats.channel import folder_named
from worker.ml import memory
from worker.ml.backbones.adapters import RANK, AdaptedSuffix
from worker.ml.backbones.suffix import Suffix
from worker.ml.engines import Engine, default_device
from worker.ml.engines.tunable import tunable
from worker.ml.tasks import Tuning, TuningBudget
from worker.ml.tuning import cost
from worker.ml.tuning.rows import (
    BATCH,
    TOGETHER,
    PictureRows,
    TextRows,
    TuningRows,
    bytes_needed,
    bytes_trained,
)
from worker.tensors.blobs import blobs

Report = Callable[[str, dict[str, Any]], None]

_SIGNATURE = "signature"


class StoppedError(Exception):
    """The training was asked to stop, and what it goes on from has been kept."""


def check(spec: BackboneSpec, request: Mapping[str, Any]) -> dict[str, Any]:
    """Whether a fit on so many `examples` can be made. Raises cut_unavailable, fit_too_large."""
    suffix = _suffix(spec, request)
    needed = bytes_needed(
        suffix,
        examples=request["examples"],
        vector=spec.width,
        longest=request["longest"],
    )
    _require(needed, memory.available(), "memory", spec, request)
    if default_device() != "cpu":
        room = memory.available_on_gpu(memory.TRAINER_SHARE)
        there = bytes_trained(suffix, longest=request["longest"])
        _require(there, room, "the GPU's memory", spec, request)
    return {"bytes": needed}


def _require(
    needed: int, room: int, whose: str, spec: BackboneSpec, request: Mapping[str, Any]
) -> None:
    if needed <= room:
        return
    told = (
        f"tuning {spec.name} on {request['examples']:,} examples needs about "
        f"{needed / 2**30:.1f} GiB of {whose}, and {room / 2**30:.1f} GiB are free: give fewer "
        "examples, a smaller backbone, or take the method auto"
    )
    raise HeadstartError("fit_too_large", told, param="training_file")


def seconds(spec: BackboneSpec, request: Mapping[str, Any]) -> dict[str, Any]:
    """About how long trainings on so many `examples` take, by a step on this machine: of texts on
    those that are sent, of pictures on any, as all are of one size. Raises as `check`.
    """
    check(spec, request)
    suffix, device = _suffix(spec, request), torch.device(default_device())
    labels = torch.arange(BATCH) % 2
    weights = torch.ones(BATCH)
    if suffix.encoder is not None:
        sent = [blob.decode(errors="replace") for blob in blobs(request["texts"])]
        some = [sent[row % len(sent)] for row in range(BATCH)]
        rows: TuningRows = TextRows(some, suffix, labels, weights)
    else:
        together = BATCH if request["depth"] == "partial" else TOGETHER
        drawn = torch.rand(BATCH, suffix.cut.width, generator=torch.Generator().manual_seed(0))
        rows = PictureRows([drawn], labels, weights, together=together)
    with torch.inference_mode(False):
        pace = cost.measured(suffix, rows, device)
    return {"seconds": pace.of_fit(request["examples"])}


def of(
    engine: Engine, request: Mapping[str, Any], report: Report, stopped: Callable[[], bool]
) -> Tuning:
    """The suffix of the engine's network, and where a former try got to."""
    asked = request["tuning"]
    suffix = tunable(
        engine.spec.name,
        asked["depth"],
        folder_named(request, "weights_dir"),
        cache_dir=folder_named(request, "engines_dir"),
    )
    signature = _signature(engine, request, suffix)
    return Tuning(
        suffix=suffix,
        depth=asked["depth"],
        device=default_device(),
        keep=Keeper(
            Path(asked["folder"]),
            signature,
            report,
            seconds=asked["keep_seconds"],
            stopped=stopped,
        ),
        kept=_kept(asked["kept"], signature, report),
        budget=TuningBudget(**asked["budget"]) if asked.get("budget") else None,
    )


def _suffix(spec: BackboneSpec, asked: Mapping[str, Any]) -> Suffix:
    """What is tuned at the depth that is asked for, from fresh adapters if it has any."""
    suffix = tunable(
        spec.name,
        asked["depth"],
        folder_named(asked, "weights_dir"),
        cache_dir=folder_named(asked, "engines_dir"),
    )
    if isinstance(suffix, AdaptedSuffix):
        return suffix.ranked(asked["rank"] or RANK)
    return suffix


class Keeper:
    """Writes states into a folder, at most every so many seconds, and tells the parent of each."""

    def __init__(
        self,
        folder: Path,
        signature: str,
        report: Report,
        *,
        seconds: float,
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        self._folder, self._signature, self._report = folder, signature, report
        self._seconds, self._stopped = seconds, stopped
        self._last, self._number = time.monotonic(), 0

    def __call__(self, state: Mapping[str, Tensor]) -> None:
        """Keep a state, unless one was kept a moment ago; once it is to stop, any. Raises
        StoppedError.
        """
        stopped = self._stopped()
        if stopped or time.monotonic() - self._last >= self._seconds:
            self._write(state)
        if stopped:
            raise StoppedError

    def _write(self, state: Mapping[str, Tensor]) -> None:
        self._number += 1
        file = self._folder / f"state-{self._number}.safetensors"
        packed = torch.contiguous_format  # each with its numbers in order, in memory of its own
        own = {name: value.clone(memory_format=packed) for name, value in state.items()}
        with storage_errors():
            save_file(own, file, metadata={_SIGNATURE: self._signature})
        self._report("kept", {"file": str(file), "number": self._number})
        self._last = time.monotonic()


def _kept(file: str | None, signature: str, report: Report) -> dict[str, Tensor] | None:
    """What a former try kept of exactly this fit; of another, nothing."""
    if file is None:
        return None
    try:
        with safe_open(file, framework="pt") as stored:
            if (stored.metadata() or {}).get(_SIGNATURE) != signature:
                return None
            state = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        told = f"What a former try had tuned cannot be read, so that it begins anew: {error}"
        report("say", {"message": told, "level": "warn"})
        return None
    report("say", {"message": "Tuning goes on where a former try got to", "level": "info"})
    return state


def _signature(engine: Engine, request: Mapping[str, Any], suffix: Suffix) -> str:
    """A hash of all that a training depends on: of views none but activations and pixels."""
    told = {
        "weights": engine.weights_sha256,
        "engine": engine.precision,
        "cut": [suffix.cut.level, *suffix.cut.shape, sorted(suffix.start)],
        "torch": torch.__version__,
        "hyperparameters": dict(request["hyperparameters"]),
        "seed": request["seed"],
        "depth": request["tuning"]["depth"],
        "views": sorted(filter(is_mapped, request["support"]["views"])),
        "examples": [request["support"][name] for name in ("ids", "labels", "groups")],
    }
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
