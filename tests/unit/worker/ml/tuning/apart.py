"""A device of its own that computes on the CPU and, as a GPU does, refuses to mix with it.

So a machine without a GPU finds what forgets to move a tensor. Run as a module it tunes and embeds
there and prints, as JSON, how far from the CPU's numbers each is: a device is registered for a
whole process, so tests run it in one of their own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils import backend_registration
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from app.core.modalities import TUNED_VIEWS, Depth, mapped
from tests.unit.worker.ml.tiny_encoder import tiny_texts
from tests.unit.worker.ml.tiny_network import seen, tiny_suffix
from worker.ml.backbones.sources import described
from worker.ml.backbones.suffix import Suffix
from worker.ml.engines.base import Engine
from worker.ml.engines.torch_engine import load_torch
from worker.ml.folds import Folds
from worker.ml.tasks import Support
from worker.ml.tuning.cross_tuned import CrossTuning
from worker.ml.tuning.descent import TrainingPlan
from worker.ml.tuning.rows import BATCH, PictureRows, TextRows, TuningRows

NAME = "apart"
COLOURS = ("red", "green", "white")
CPU = torch.device("cpu")
MIXED = frozenset(
    {"aten::copy_", "aten::_to_copy", "aten::to", "aten::index", "aten::index_put_"},
)
"""What takes tensors of both: copies, and indices that lie on the CPU."""
Errors = dict[str, float]


class KilledError(Exception):
    """The worker dies."""


class ApartTensor(Tensor):
    """A tensor there; `inner` has its numbers."""

    inner: Tensor

    @staticmethod
    def __new__(cls, inner: Tensor) -> ApartTensor:
        made: ApartTensor = Tensor._make_wrapper_subclass(
            cls,
            inner.size(),
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            device=torch.device(NAME, 0),
        )
        made.inner = inner
        return made

    def numpy(self, *, force: bool = False) -> NDArray[Any]:
        """Refused, as of a GPU's tensor."""
        raise TypeError(f"a tensor on {self.device} has no numpy array (force={force})")

    __array__ = numpy

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return run(func, args, kwargs or {})


class ApartMode(TorchDispatchMode):
    """What is made on the device by its name."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return run(func, args, kwargs or {})


def run(func: Any, args: Any, kwargs: Mapping[str, Any]) -> Any:
    """One operation, by the CPU's; raises RuntimeError where tensors of both devices meet."""
    leaves = tree_leaves((args, kwargs))
    there = [one for one in leaves if isinstance(one, ApartTensor)]
    here = [one for one in leaves if isinstance(one, Tensor) and not isinstance(one, ApartTensor)]
    name = func._schema.name
    if there and any(one.dim() for one in here) and name not in MIXED:
        raise RuntimeError(f"{name}: tensors on two devices")
    with torch.inference_mode(False), torch.no_grad():  # or views of buffers could not be made
        made = func(*tree_map(_to_cpu, args), **tree_map(_to_cpu, dict(kwargs)))
        if name == "aten::copy_":
            return args[0]
        asked = [one.type for one in leaves if isinstance(one, torch.device)]
        if not (asked[0] == NAME if asked else there):
            return made
        own = {id(one.inner): one for one in there if func._schema.is_mutable}
        return tree_map(lambda one: own[id(one)] if id(one) in own else _wrapped(one), made)


def _wrapped(one: Any) -> Any:
    return ApartTensor(one) if isinstance(one, Tensor) else one


def _to_cpu(one: Any) -> Any:
    if isinstance(one, ApartTensor):
        return one.inner
    return CPU if isinstance(one, torch.device) and one.type == NAME else one


class ApartModule(backend_registration._DummyBackendModule):
    """What torch asks of a device's module."""

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        """Of autocast, which is off there."""
        return [torch.bfloat16]


@contextmanager
def apart() -> Iterator[torch.device]:
    """The device, and modules that move to it."""
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    try:
        with ApartMode():
            yield torch.device(NAME, 0)
    finally:
        torch.__future__.set_overwrite_module_params_on_conversion(False)


def tuned_pictures(depth: Depth, device: torch.device) -> Tensor:
    """Out-of-fold logits; there of a training that was killed and has gone on."""
    support = seen(12)
    rows = PictureRows(
        [support.features[mapped(view, depth)] for view in TUNED_VIEWS],
        support.labels,
        torch.ones(len(support)),
        together=BATCH if depth == "partial" else 5,
    )
    return _tuned(tiny_suffix(depth), rows, Folds.of(support), device)


def tuned_texts(depth: Depth, device: torch.device) -> Tensor:
    """Likewise of texts, by pairs."""
    suffix, count = tiny_texts(depth), 18
    texts = [f"a {COLOURS[n % 3]} house{' by the sea' * (n % 4)}" for n in range(count)]
    labels = torch.arange(count) % 3
    support = Support(
        features={"text": torch.zeros(count, 1)},
        labels=labels,
        groups=torch.arange(count),
        ids=[str(n) for n in range(count)],
        classes=COLOURS,
    )
    rows = TextRows(texts, suffix, labels, torch.ones(count))
    return _tuned(suffix, rows, Folds.of(support), device, contrastive=True)


def _tuned(
    suffix: Suffix,
    rows: TuningRows,
    folds: Folds,
    device: torch.device,
    *,
    contrastive: bool = False,
) -> Tensor:
    plan = TrainingPlan(
        epochs=2, learning_rate=1e-3, seed=0, classes=3, device=device, contrastive=contrastive
    )
    states: list[Mapping[str, Tensor]] = []

    def keep(state: Mapping[str, Tensor]) -> None:
        states.append(state)
        if device != CPU and len(states) == 2:
            raise KilledError

    def train(kept: Mapping[str, Tensor] | None) -> Tensor:
        made = CrossTuning(
            suffix, rows, folds, plan, report=lambda _event: None, keep=keep, kept=kept
        )
        return made.run().out_of_fold[1.0]

    with suppress(KilledError):
        return train(None)
    return train(states[-1])


def embedded(name: str, inputs: Any, device: str) -> NDArray[np.float32]:
    """What the torch engine of a real backbone says."""
    engine: Engine = load_torch(described(name, None, None), None, device)
    return np.asarray(engine.embed(inputs))


def errors() -> Errors:
    """How far what is computed there is from the CPU's, by what it is."""
    told: Errors = {}

    def compare(name: str, make: Callable[[torch.device], Any]) -> None:
        here = np.asarray(make(CPU))
        with apart() as device:
            there = np.asarray(make(device))
        told[name] = float(np.abs(here - there).max())

    depths: Sequence[Depth] = ("partial", "lora", "full")
    for depth in depths:
        compare(f"{depth} of pictures", lambda device, d=depth: tuned_pictures(d, device))
    for depth in depths[1:]:
        compare(f"{depth} of texts", lambda device, d=depth: tuned_texts(d, device))
    pixels = np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3), dtype=np.uint8)
    texts = ["a house by the sea", "ein Haus", "long " * 300]
    for name, inputs in (
        ("efficientnet_lite0", pixels),
        ("all-MiniLM-L6-v2", texts),
        ("multilingual-e5-small", texts),
    ):
        compare(name, lambda device, n=name, i=inputs: embedded(n, i, str(device)))
    return told


def refused() -> bool:
    """Whether tensors of both devices are refused, and numpy arrays of the one."""
    with apart() as device:
        there = torch.zeros(3, device=device)
        for mixed in (lambda: there + torch.zeros(3), there.numpy):
            try:
                mixed()
            except (RuntimeError, TypeError):
                continue
            return False
    return True


if __name__ == "__main__":
    backend_registration._setup_privateuseone_for_python_backend(NAME, ApartModule())
    print(json.dumps({"refused": refused(), "errors": errors()}))
