"""Any image network as a pyramid: read by hooks where `taps` found its levels."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from app.core.backbones import STATISTICS, BackboneSpec, Block, Statistic, tiled
from app.core.errors import HeadstartError
from worker.ml.backbones.networks import Pyramid, pool
from worker.ml.backbones.taps import BATCH, Tap, find, tensor_of

Colours = tuple[float, float, float]
_log = logging.getLogger(__name__)
_SEED = 0
_SIDES = (224, 256, 384, 112, 512, 64, 32)
"""Of squares, such as networks are often made for."""


@dataclass(frozen=True, kw_only=True)
class ReadNetwork:
    """A network with its weights, in eval mode, and what it was taught to read.

    `input_size` in pixels; mean and deviation of colours in [0, 1]; what is `headless` answers its
    embedding, and has no classifier.
    """

    net: nn.Module
    input_size: int
    mean: Colours
    std: Colours
    licence: str
    headless: bool = False


class TappedPyramid(Pyramid):
    """uint8 images [n, s, s, 3] → float vectors [n, D]: one pass of the whole network."""

    def __init__(self, spec: BackboneSpec, net: nn.Module, taps: Iterable[Tap]) -> None:
        super().__init__(spec, [net])
        taps = list(taps)
        self._maps = [tap.module for tap in taps if tap.module and not tap.before]
        self.statistics = [[b.statistic for b in spec.level(i)] for i, _ in enumerate(taps)]
        self._pooled: dict[int, list[Tensor]] = {}
        for level, tap in enumerate(taps):
            self._listen(net.get_submodule(tap.module), level, tap)

    @property
    def levels(self) -> Sequence[nn.Module]:
        """What gives each level's map, early to late; not what only reads the embedding."""
        return [self.stages[0].get_submodule(name) for name in self._maps]

    def _listen(self, module: nn.Module, level: int, tap: Tap) -> None:
        if tap.before:
            module.register_forward_pre_hook(
                lambda _, given: self._note(level, tap, tensor_of(given))
            )
        else:
            module.register_forward_hook(
                lambda _, __, gave: self._note(level, tap, tensor_of(gave))
            )

    def _note(self, level: int, tap: Tap, x: Any) -> None:
        """Pooled at once: what follows may write into the same memory."""
        self._pooled[level] = pool(tap.cells(x).float(), self.statistics[level])

    def forward(self, pixels: Tensor) -> Tensor:
        self._pooled.clear()
        self.stages[0](self.normalised(pixels))
        return torch.cat([row for level in sorted(self._pooled) for row in self._pooled[level]], 1)


def tapped(spec: BackboneSpec, read: ReadNetwork) -> tuple[BackboneSpec, TappedPyramid]:
    """What is known of the backbone once its network is here, and its pyramid.

    Raises weights_invalid for a network that cannot read a batch of pictures of its own size.
    """
    net = read.net.eval().requires_grad_(False)
    taps = _levels(spec.name, read)
    _check_steady(spec.name, net, read.input_size)
    layout, first = layout_of(taps), _levels(spec.name, read, first_rule=True)
    known = replace(
        spec, dim=taps[-1].channels, layout=layout, input_size=read.input_size, mean=read.mean,
        std=read.std, licence=read.licence, fixed_size=not _any_side(read, taps),
        level_rule=1 if taps == first else 2,
    )  # fmt: skip
    return known, TappedPyramid(known, net, taps)


def layout_of(taps: Iterable[Tap]) -> tuple[Block, ...]:
    """Mean, max and deviation of each map; a vector as it is."""
    return tiled((i, _statistics(tap), tap.channels) for i, tap in enumerate(taps))


def _statistics(tap: Tap) -> tuple[Statistic, ...]:
    return ("mean",) if tap.kind == "vector" else STATISTICS


def _levels(name: str, read: ReadNetwork, *, first_rule: bool = False) -> list[Tap]:
    side = read.input_size
    try:
        return find(read.net, _noise(side), headless=read.headless, first_rule=first_rule)
    except HeadstartError as error:
        raise HeadstartError(error.code, f"{name}: {error.message}") from error
    except Exception as error:  # a network may raise anything on a shape that it does not read
        _log.warning("%s, of %s x %s: %s", name, side, side, error)
        raise _unread(name, read) from error


def _unread(name: str, read: ReadNetwork) -> HeadstartError:
    """By the side that it reads instead, if there is one: otherwise no other would help."""
    why = f"{name} does not read pictures of {read.input_size} x {read.input_size}"
    other = next((side for side in _SIDES if _reads(read.net, side)), None)
    if other is None:
        more = "nor of any other side that was tried: it may read more than pictures"
        told = f"{why}, {more}; choose a network of another family"
    else:
        told = f'{why}, but of {other} x {other}: write {{"input_size": {other}}} into {name}.json'
    return HeadstartError("weights_invalid", told)


def _reads(net: nn.Module, side: int) -> bool:
    try:
        with torch.no_grad():
            net(_noise(side))
    except Exception:  # noqa: BLE001  # whatever it raises, it does not
        return False
    return True


def _check_steady(name: str, net: nn.Module, side: int) -> None:
    """Raises weights_invalid for a network that answers one picture now so, now otherwise."""
    with torch.no_grad():
        first, then = (tensor_of(net(_noise(side))) for _ in range(2))
    if first is not None and then is not None and not torch.allclose(first, then, 1e-3, 1e-4):
        why = f"{name} gives other numbers each time that it reads the same picture, as one does"
        more = "that hides parts of it by chance: choose a network of another family"
        raise HeadstartError("weights_invalid", f"{why} {more}")


def _any_side(read: ReadNetwork, taps: list[Tap]) -> bool:
    """Whether it reads larger squares too, at the same places."""
    try:
        return find(read.net, _noise(read.input_size * 9 // 7), headless=read.headless) == taps
    except Exception:  # noqa: BLE001  # whatever it raises, it does not
        return False


def _noise(side: int) -> Tensor:
    generator = torch.Generator().manual_seed(_SEED)
    return torch.randn(BATCH, 3, side, side, generator=generator)
