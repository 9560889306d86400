"""Feature spaces: what heads see of a backbone's vector. Head-independent, once a row.

`last`  the last layer's embedding, length one.
`late`  mean, max and deviation of the later levels, each block half-whitened by generic statistics
        and of length one, later levels weighing more.
`mid`   the earlier levels of `late` by themselves, `top` its last two.
`all`   mean and max of every level as they are, each block of length one.
`raw`   the last layer's embedding as it is.
`tuned` the last layer's embedding of a head's own tuned network, as it is (`heads.scoring`).
`look`  the last layer's embedding, half-whitened, length one: a part of `late` at a fixed length.

Of several backbones a space is theirs side by side, each at the length of its share's root: inner
products are the mean of the backbones' own by their shares.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from app.core.backbones import Block, member_names, taken_apart
from app.core.manifest import Modality
from app.core.modalities import MODALITIES, PRIMARY
from worker.ml.features.whitening import Statistics, Whitening, late, load

TUNED = "tuned"
"""The last layer's embedding as a head's own tuned suffix makes it: of that head alone."""

RAMP = (0.6, 0.8, 1.0, 1.2, 1.6)
"""Weights of the late levels, early to late; other numbers of levels are read off between."""


@dataclass(frozen=True)
class Channel:
    """What a prediction reads: a space, averaged over views."""

    space: str
    views: tuple[str, ...]


def modality(features: Mapping[str, Tensor]) -> Modality:
    """What embeddings are of."""
    return next(one.name for one in MODALITIES.values() if one.primary in features)


def primary(features: Mapping[str, Tensor]) -> str:
    """The embeddings that are always there: of images those of one view."""
    return PRIMARY[modality(features)]


def last_block(layout: Sequence[Block]) -> Block:
    """The mean of the last feature map: what the backbone's own classifier read."""
    return next(block for block in reversed(layout) if block.statistic == "mean")


def last(rows: Tensor, layout: Sequence[Block]) -> Tensor:
    """The last layer's embedding, L2-normalised: [n, D] → [n, d]."""
    return unit(_raw(rows, layout))


def unit(rows: Tensor) -> Tensor:
    """Rows of length one (zero rows stay zero)."""
    return torch.nn.functional.normalize(rows, dim=-1)


@lru_cache(maxsize=32)
def transform(
    layout: tuple[Block, ...], statistics: str | None, shares: tuple[float, ...] = ()
) -> Transform:
    """The transform of a layout with the named shipped statistics, made once.

    `shares` are those of several backbones, in their order; none are equal ones.
    """
    layouts = taken_apart(layout)
    if len(layouts) == 1:
        return PartTransform(layout, load(statistics, layout) if statistics else None)
    names = member_names(statistics or "+" * (len(layouts) - 1))
    parts = [transform(own, name or None) for own, name in zip(layouts, names, strict=True)]
    return JointTransform(parts, shares or (1 / len(parts),) * len(parts))


def side_by_side(rows: Sequence[Tensor], shares: Sequence[float]) -> Tensor:
    """Rows of length one [n, d] of each backbone as one of length one, by shares that sum to 1."""
    if len(rows) == 1:
        return rows[0]
    return torch.cat([share**0.5 * x for x, share in zip(rows, shares, strict=True)], 1)


class Transform(ABC):
    """Embeddings [n, D] of one layout to any space [n, F]."""

    layout: Sequence[Block]

    @abstractmethod
    def __call__(self, space: str, rows: Tensor) -> Tensor:
        """[n, F] float32."""

    @abstractmethod
    def lift(self, space: str, weight: Tensor) -> Tensor:
        """A weight [F, k] on `late` that is one on a space which is a part of it [d, k]."""

    @abstractmethod
    def width(self, space: str) -> int:
        """How many columns a part of `late` has."""

    @property
    @abstractmethod
    def divides(self) -> bool:
        """Whether there are levels below the last two: `mid` and `top` are parts of `late` then."""

    @abstractmethod
    def parts(self, space: str, rows: Tensor) -> list[Tensor]:
        """A space of each backbone by itself [n, F]."""

    def channels(
        self, features: Mapping[str, Tensor], channels: Iterable[Channel]
    ) -> dict[Channel, Tensor]:
        """Each channel [n, F] of rows whose views are `features`, each space and view made once."""
        wanted = list(dict.fromkeys(channels))
        pairs = {(channel.space, view) for channel in wanted for view in channel.views}
        made = {(space, view): self(space, features[view]) for space, view in sorted(pairs)}
        return {c: mean([made[c.space, view] for view in c.views]) for c in wanted}

    def novelty(self, features: Mapping[str, Tensor]) -> Tensor:
        """What novelty is told by, of length one [n, d]: the last layer, whitened, primary view."""
        return self("look", features[primary(features)])


class JointTransform(Transform):
    """Of several backbones, whose vectors lie side by side."""

    def __init__(self, parts: Sequence[Transform], shares: Sequence[float]) -> None:
        self._parts, self._shares = parts, shares
        self._widths = [part.layout[-1].stop for part in parts]
        self.layout = ()

    def __call__(self, space: str, rows: Tensor) -> Tensor:
        """[n, F] float32; `raw` as it is."""
        made = self.parts(space, rows)
        return torch.cat(made, 1) if space == "raw" else side_by_side(made, self._shares)

    def parts(self, space: str, rows: Tensor) -> list[Tensor]:
        """A space of each backbone by itself [n, F]."""
        own = rows.split(self._widths, 1)
        return [part(space, x) for part, x in zip(self._parts, own, strict=True)]

    def lift(self, space: str, weight: Tensor) -> Tensor:
        """A weight on `late` that is one on a part of it: each backbone's by itself."""
        own = weight.split([part.width(space) for part in self._parts])
        return torch.cat([part.lift(space, w) for part, w in zip(self._parts, own, strict=True)])

    def width(self, space: str) -> int:
        """All backbones' columns."""
        return sum(part.width(space) for part in self._parts)

    @property
    def divides(self) -> bool:
        """Whether each backbone's do."""
        return all(part.divides for part in self._parts)


class PartTransform(Transform):
    """Of one backbone; without statistics, unwhitened."""

    def __init__(self, layout: Sequence[Block], statistics: Statistics | None) -> None:
        self.layout = layout
        self._late = _weighted(late(layout), statistics)
        self._all = [_Part(b, 1.0, None) for b in layout if b.statistic in ("mean", "max")]

    def __call__(self, space: str, rows: Tensor) -> Tensor:
        """[n, F] float32."""
        makers: Mapping[str, Callable[[Tensor], Tensor]] = {
            "last": lambda x: last(x, self.layout),
            "late": lambda x: _side_by_side(x, self._late),
            "mid": lambda x: _side_by_side(x, self._within("mid")),
            "top": lambda x: _side_by_side(x, self._within("top")),
            "all": lambda x: _side_by_side(x, self._all),
            "raw": lambda x: _raw(x, self.layout),
            "look": self._novelty,
        }
        return makers[space](rows)

    def parts(self, space: str, rows: Tensor) -> list[Tensor]:
        """The one backbone's space."""
        return [self(space, rows)]

    def weights(self, space: str) -> dict[Block, float]:
        """The blocks of `late` or `all` in their order, and what each weighs."""
        return {part.block: part.weight for part in (self._late if space == "late" else self._all)}

    def lift(self, space: str, weight: Tensor) -> Tensor:
        """A weight [F, k] on `late` that is one on a space which is a part of it [d, k]."""
        own = self._within(space)
        length = (_squares(self._late) / _squares(own)) ** 0.5
        kept = torch.cat([torch.full((part.width,), part in own) for part in self._late])
        lifted = weight.new_zeros(len(kept), weight.shape[1])
        lifted[kept] = length * weight
        return lifted

    def width(self, space: str) -> int:
        """How many columns a part of `late` has."""
        return sum(part.width for part in self._within(space))

    @property
    def divides(self) -> bool:
        """Whether there is anything in `mid`."""
        return bool(self._within("mid"))

    def _within(self, space: str) -> list[_Part]:
        """The blocks of `late` that a space has: of `look` one, of `top` those of two levels."""
        if space == "look":
            return [self._late[_place_of_last(self._late, self.layout)]]
        top = sorted({part.block.level for part in self._late})[-2:]
        return [part for part in self._late if (part.block.level in top) == (space == "top")]

    def _novelty(self, rows: Tensor) -> Tensor:
        return unit(self._late[_place_of_last(self._late, self.layout)].of(rows))


def mean(rows: Sequence[Tensor]) -> Tensor:
    """The mean of equally shaped tensors."""
    if len(rows) == 1:
        return rows[0]
    total = rows[0] + rows[1]
    for further in rows[2:]:
        total += further
    return total.div_(len(rows))


class _Part:
    """One block of a space: whitened if it can be, of length one, weighted."""

    def __init__(self, block: Block, weight: float, whitening: Whitening | None) -> None:
        self.block, self.weight = block, weight
        self.width = block.stop - block.start
        self._whitening = whitening
        if whitening is not None:
            shift = whitening.centre @ whitening.basis
            self._shift = -shift * whitening.gain
            self._down = whitening.basis * whitening.gain
            self._up = torch.cat([whitening.basis.T, whitening.centre[None]]).contiguous()

    def of(self, rows: Tensor) -> Tensor:
        """[n, D] → [n, width], not yet of length one."""
        x = rows[:, self.block.start : self.block.stop].float()
        if self._whitening is None:
            return x
        floor = self._whitening.floor
        low = torch.addmm(self._shift, x, self._down)
        low = torch.cat([low, low.new_full((x.shape[0], 1), -floor)], 1)
        return torch.addmm(x, low, self._up, beta=floor)


def _side_by_side(rows: Tensor, parts: Sequence[_Part]) -> Tensor:
    """Every part at its weight's length, the whole of length one: [n, F]."""
    length = sum(part.weight**2 for part in parts) ** 0.5
    out = []
    for part in parts:
        x = part.of(rows)
        scale = part.weight / length / torch.linalg.vector_norm(x, dim=1).clamp(min=1e-12)
        out.append(x * scale[:, None])
    return torch.cat(out, 1)


def _squares(parts: Sequence[_Part]) -> float:
    return sum(part.weight**2 for part in parts)


def _weighted(blocks: Sequence[Block], statistics: Statistics | None) -> list[_Part]:
    whitening = statistics.whitening if statistics is not None else {}
    levels = sorted({block.level for block in blocks})
    weights = dict(zip(levels, _ramp(len(levels)), strict=True))
    return [_Part(block, weights[block.level], whitening.get(block)) for block in blocks]


def _ramp(count: int) -> list[float]:
    """RAMP stretched to `count` levels."""
    if count == 1:
        return [RAMP[-1]]
    places = [level * (len(RAMP) - 1) / (count - 1) for level in range(count)]
    lower = [min(int(place), len(RAMP) - 2) for place in places]
    return [RAMP[a] + (p - a) * (RAMP[a + 1] - RAMP[a]) for a, p in zip(lower, places, strict=True)]


def _place_of_last(parts: Sequence[_Part], layout: Sequence[Block]) -> int:
    block = last_block(layout)
    return next(place for place, part in enumerate(parts) if part.block == block)


def _raw(rows: Tensor, layout: Sequence[Block]) -> Tensor:
    block = last_block(layout)
    return rows[:, block.start : block.stop].float()
