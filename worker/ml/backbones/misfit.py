"""What of a file's tensors does not fit a network, and what to do about it."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence

from torch import Tensor, nn

from app.core.errors import HeadstartError
from app.core.texts import few

_TOLD = 5
_log = logging.getLogger(__name__)


def fill(name: str, net: nn.Module, state: dict[str, Tensor]) -> None:
    """Raises weights_invalid for tensors that are not this network's."""
    try:
        net.load_state_dict(state, strict=True, assign=True)
    except RuntimeError as error:
        told = misfit(net.state_dict(), state) or "its tensors are not this network's"
        raise HeadstartError("weights_invalid", f"{name}: {told}") from error


def misfit(wanted: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> str:
    """Names and shapes; that all of them lie behind a prefix; or nothing where all fit."""
    missing = [key for key in wanted if key not in state]
    if missing:
        return lacking(missing, state)
    other = [
        f"{key} is {_shape(state[key])} in the file and {_shape(one)} in the network"
        for key, one in wanted.items()
        if one.shape != state[key].shape
    ]
    if other:
        return f"{listed(other)}: it is another network's file, or of another size"
    more = sorted(state.keys() - wanted.keys())
    return f"the file has more than this network: {listed(more)}" if more else ""


def unprefixed(name: str, wanted: Iterable[str], state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors behind the one prefix that all of `wanted` have in the file, as trainers save
    them (`module.`, `model.`, `_orig_mod.`), under their own names; else all as they are.

    Raises weights_invalid where the network is there several times.
    """
    names = list(wanted)
    if all(key in state for key in names):
        return dict(state)
    prefixes = _prefixes(names, set(state))
    if len(prefixes) > 1:
        raise several(name, prefixes)
    if not prefixes:
        return dict(state)
    (prefix,) = prefixes
    _log.info("%s is read behind the prefix %r", name, prefix)
    return {key.removeprefix(prefix): one for key, one in state.items() if key.startswith(prefix)}


def several(name: str, prefixes: Sequence[str]) -> HeadstartError:
    """What is raised where nobody can tell which of them is meant."""
    why = f"{name}: the file has this network behind each of the prefixes {listed(prefixes)}"
    return HeadstartError("weights_invalid", f"{why}: keep one of them")


def lacking(missing: Sequence[str], state: Iterable[str]) -> str:
    """Which tensors the file has not, or behind which prefix it has them all."""
    if prefixes := _prefixes(missing, set(state)):
        prefix = prefixes[0]
        why = f"the file has its tensors behind the prefix {prefix!r}, such as {prefix}{missing[0]}"
        return f"{why}: save them without it"
    return f"the file has no {listed(missing)}: copy weights and settings from one place"


def listed(names: Sequence[str]) -> str:
    """The first few, and how many more there are."""
    return few(names, _TOLD)


def _prefixes(names: Sequence[str], keys: set[str]) -> list[str]:
    """What stands before each of them in the file; the shortest first."""
    ends = sorted((key for key in keys if names and key.endswith(f".{names[0]}")), key=len)
    prefixes = (key.removesuffix(names[0]) for key in ends)
    return [one for one in prefixes if all(f"{one}{key}" in keys for key in names)]


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "one number"


def classes(wanted: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> int | None:
    """How many classes the file was taught, where nothing but the last layers' rows differs."""
    other = [key for key, one in wanted.items() if key in state and one.shape != state[key].shape]
    rows = {tuple(one[key].shape[:1]) for key in other for one in (wanted, state)}
    same = all(wanted[key].shape[1:] == state[key].shape[1:] for key in other)
    own = {tuple(state[key].shape[:1]) for key in other}
    return next(iter(own))[0] if same and len(own) == 1 and len(rows) == 2 else None
