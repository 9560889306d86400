"""Where any image network can be read: its levels, and what its classifier reads.

One pass over noise tells: which modules follow each other on the way down, at which resolution
each works, and which layer writes the answer. So no list of architectures is kept, and a network
from any library, or from a user, is read as the ones that are kept by hand.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn

from app.core.errors import HeadstartError

Kind = Literal["map", "rows", "tokens", "vector"]
"""[n, c, h, w] · [n, h, w, c] · [n, t, c] · [n, c]."""
BATCH = 2
MOST_PREFIX = 16
"""Tokens before those of patches, at most: [CLS], a distillation token, registers."""
LEAST_RESOLUTIONS = 3
"""Of a part's own parts: with so many, the levels are inside it."""
DEPTHS = 4
"""Levels of a network that keeps its resolution: after a quarter of its blocks, and so on."""


@dataclass(frozen=True)
class Tap:
    """What `module` gives (or, with `before`, is given): `channels` numbers at each place.

    The first `prefix` tokens are of no place. The module "" is the network itself.
    """

    module: str
    kind: Kind
    channels: int
    prefix: int = 0
    before: bool = False

    def cells(self, x: Tensor) -> Tensor:
        """[n, c, places]."""
        if self.kind == "map":
            return x.flatten(2)
        if self.kind == "rows":
            return x.flatten(1, 2).transpose(1, 2)
        return x[:, self.prefix :].transpose(1, 2) if self.kind == "tokens" else x[..., None]


@dataclass(frozen=True)
class _Seen:
    """One module's pass: the shapes of what it was given and gave, and their means over places.

    Means are taken at once: what follows may write into the same memory.
    """

    name: str
    given: torch.Size
    gave: torch.Size
    mean_given: Tensor
    mean_gave: Tensor | None

    @classmethod
    def of(cls, name: str, given: Tensor, gave: Tensor) -> _Seen:
        """What is kept of a pass."""
        tap = _tap(name, gave.shape)
        own = None if tap is None else tap.cells(gave).mean(-1)
        return cls(name, given.shape, gave.shape, _mean(given), own)


def _mean(x: Tensor) -> Tensor:
    """[n, c] of a vector or a map."""
    return x.flatten(2).mean(-1) if x.dim() == 4 else x.clone()


def tensor_of(value: Any) -> Tensor | None:
    """The first tensor of what a module gives: blocks give tuples, or objects with fields."""
    if isinstance(value, Tensor):
        return value
    if isinstance(value, Mapping):
        value = tuple(value.values())
    return tensor_of(value[0]) if isinstance(value, Sequence) and value else None


def find(
    net: nn.Module, pixels: Tensor, *, headless: bool = False, first_rule: bool = False
) -> list[Tap]:
    """The levels of a network in eval mode, early to late, the embedding last.

    By the `first_rule` the steps inside a block counted as blocks where a network has fewer of
    those: what was found by it then is told apart by that.

    `pixels` are noise [2, 3, s, s]; what is `headless` answers its embedding. Raises
    weights_invalid for a network whose answer is no vector.
    """
    seen, answer = _watched(net, pixels)
    maps = list(_maps(net, seen, pixels.shape[-1], first_rule=first_rule))
    last, vector = _embedding(net, [] if headless else _behind(maps, seen), answer)
    mean = seen[maps[-1].module].mean_gave if maps else None
    return maps if mean is not None and _same(mean, vector) else [*maps, last]


def _same(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and torch.allclose(a, b, rtol=1e-3, atol=1e-4)


def _behind(maps: Sequence[Tap], seen: Mapping[str, _Seen]) -> list[_Seen]:
    """What ended after the last level, last first: only there can the classifier be."""
    order = list(seen.values())
    start = 1 + order.index(seen[maps[-1].module]) if maps else 0
    return order[start:][::-1]


def _watched(net: nn.Module, pixels: Tensor) -> tuple[dict[str, _Seen], Tensor]:
    """The pass of every module that ran once, in the order in which they ended; and the answer."""
    seen: dict[str, _Seen] = {}
    often: set[str] = set()

    def note(name: str, _module: nn.Module, given: tuple[Any, ...], gave: Any) -> None:
        first, then = tensor_of(given), tensor_of(gave)
        if name in seen or first is None or then is None:
            often.add(name)
        else:
            seen[name] = _Seen.of(name, first, then)

    hooks = [module.register_forward_hook(partial(note, name)) for name, module in _parts(net)]
    try:
        with torch.no_grad():
            answer = tensor_of(net(pixels))
    finally:
        for hook in hooks:
            hook.remove()
    if answer is None:
        raise HeadstartError("weights_invalid", "the network gives no tensor")
    return {name: one for name, one in seen.items() if name not in often}, answer


def _parts(net: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    return ((name, module) for name, module in net.named_modules() if name)


def _maps(
    net: nn.Module, seen: Mapping[str, _Seen], side: int, *, first_rule: bool
) -> Iterator[Tap]:
    """One level each time it has halved its `side`, or after each quarter of the blocks."""
    taps = {name: tap for name in _trunk(net, "", seen) if (tap := _tap(name, seen[name].gave))}
    steps: dict[int, str] = {}
    least = side
    for name in taps:
        if 1 < (own := _side(seen[name].gave)) <= least:  # what grows again is no map
            steps[round(math.log2(side / own))], least = name, own
    if len(steps) >= LEAST_RESOLUTIONS:
        yield from (taps[name] for _, name in sorted(steps.items()))
        return
    if blocks := _blocks(net, seen, first_rule=first_rule):
        ends = [len(blocks) * quarter // DEPTHS - 1 for quarter in range(1, DEPTHS + 1)]
        yield from (_tokens(seen[blocks[end]]) for end in ends)


def _blocks(net: nn.Module, seen: Mapping[str, _Seen], *, first_rule: bool) -> list[str]:
    """A part's own parts that follow each other: the longest such list in which one kind of part
    comes again and again, else the longest. The steps inside a block are of many kinds.
    """
    lists = [_alike(net, name, seen) for name, _ in net.named_modules()]
    return max(
        (own for own in lists if len(own) >= DEPTHS),
        key=lambda own: (not first_rule and _repeats(net, own), len(own)),
        default=[],
    )


def _repeats(net: nn.Module, parts: Sequence[str]) -> bool:
    """Whether enough of them are of one kind, with numbers of their own."""
    modules = map(net.get_submodule, parts)
    kinds = Counter(type(one) for one in modules if next(one.parameters(), None) is not None)
    return max(kinds.values(), default=0) >= DEPTHS


def _trunk(net: nn.Module, name: str, seen: Mapping[str, _Seen]) -> list[str]:
    """The parts that follow each other from the pixels on, none of which has levels inside."""
    found: list[str] = []
    own = _inside(net, name, seen)
    for part in own:
        deeper = len(_resolutions(net, part, seen)) >= LEAST_RESOLUTIONS or len(own) == 1
        found += (deeper and _trunk(net, part, seen)) or [part]
    return found


def _inside(net: nn.Module, name: str, seen: Mapping[str, _Seen]) -> list[str]:
    """The parts of a part that give maps; of a list of modules, which never runs, its own."""
    found = []
    for child, _ in net.get_submodule(name).named_children():
        full = f"{name}.{child}" if name else child
        if full not in seen:
            found += _inside(net, full, seen)
        elif _side(seen[full].gave) > 1:
            found.append(full)
    return found


def _resolutions(net: nn.Module, name: str, seen: Mapping[str, _Seen]) -> set[int]:
    return {_side(seen[part].gave) for part in _inside(net, name, seen)}


def _side(shape: Sequence[int]) -> int:
    """Places along a side of a map; 0 of what is no square of a batch."""
    if shape[0] != BATCH or len(shape) not in (3, 4):
        return 0
    if len(shape) == 3:
        return math.isqrt(shape[1]) if math.isqrt(shape[1]) ** 2 == shape[1] else 0
    return int(shape[2]) if shape[2] in (shape[1], shape[3]) else 0


def _tap(name: str, shape: Sequence[int]) -> Tap | None:
    """How a map of this shape is read; None of what is no map."""
    if len(shape) < 3 or _side(shape) == 0:
        return None
    if len(shape) == 3:
        return Tap(name, "tokens", int(shape[2]))
    if shape[2] == shape[3]:
        return Tap(name, "map", int(shape[1]))
    return Tap(name, "rows", int(shape[3]))


def _alike(net: nn.Module, name: str, seen: Mapping[str, _Seen]) -> list[str]:
    """A part's own parts that all give equally many tokens: a transformer's blocks."""
    parts = [f"{name}.{c}" if name else c for c, _ in net.get_submodule(name).named_children()]
    parts = [part for part in parts if part in seen]
    shapes = {seen[part].gave for part in parts}
    shape = next(iter(shapes)) if len(shapes) == 1 else ()
    return (
        parts if len(shape) == 3 and shape[0] == BATCH and prefix_of(shape[1]) is not None else []
    )


def prefix_of(tokens: int) -> int | None:
    """How many tokens are more than the largest square; None where they are no picture's."""
    side = math.isqrt(tokens)
    more = tokens - side**2
    return more if side > 1 and more <= min(MOST_PREFIX, side) else None


def _tokens(one: _Seen) -> Tap:
    _, count, channels = one.gave
    return Tap(one.name, "tokens", int(channels), prefix=prefix_of(count) or 0)


def _embedding(net: nn.Module, behind: Sequence[_Seen], answer: Tensor) -> tuple[Tap, Tensor]:
    """What feeds the layer that writes the answer, or the answer where no layer does; [n, d]."""
    if answer.dim() != 2 or answer.shape[0] != BATCH:
        told = f"the network gives {list(answer.shape)} for {BATCH} pictures, no vector each"
        raise HeadstartError("weights_invalid", told)
    for one in behind:
        kind = _reads(net.get_submodule(one.name), one)
        if kind is not None and one.gave[1] == answer.shape[1]:
            tap = Tap(one.name, kind, int(one.mean_given.shape[1]), before=True)
            return tap, one.mean_given
    return Tap("", "vector", int(answer.shape[1])), answer


def _reads(layer: nn.Module, one: _Seen) -> Kind | None:
    """What a layer reads if it can be a classifier: a vector, or a map (by 1 x 1 convolution)."""
    if isinstance(layer, nn.Linear) and len(one.given) == len(one.gave) == 2:
        return "vector"
    return "map" if isinstance(layer, nn.Conv2d) and len(one.given) == 4 else None
