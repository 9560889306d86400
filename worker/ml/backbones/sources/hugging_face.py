"""Folders that transformers reads: its network, every tensor of it from the file, and none left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from logging import getLogger
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoModel
from transformers.utils import logging

from app.core.errors import HeadstartError
from app.infra.found_backbones.hugging_face import CONFIG
from app.infra.found_backbones.settings_files import refusal, said, told
from app.infra.weights import weights_file
from worker.ml.backbones.misfit import listed, several
from worker.ml.backbones.weights import State, read

_POOLER = "pooler"
"""What reads states for a task of its own; an embedding without it is whole."""
_UNREAD = ("mask_token", "position_ids", "inv_freq", "masked_bias", "num_batches_tracked")
"""Leaves that older versions kept and newer ones count out, or that only teaching reads."""
_SHARE = 3
"""A prefix is looked behind where one tensor in so many stands there."""
_log = getLogger(__name__)


def loaded(folder: Path) -> tuple[Any, list[str]]:
    """The network, and the names of what the file has not.

    Raises weights_invalid for a folder that is not read, for tensors of another shape, and for a
    file with more of this very network than its settings say: what is left out would be another
    network's embedding.
    """
    logging.disable_progress_bar()
    try:
        model, loading = _made(_kind(folder), str(folder))
    except Exception as error:  # of a stranger's settings the library raises what it likes
        raise _not_made(folder, error) from error
    if _lacks(loading):
        model, loading = _behind(folder, model) or (model, loading)
    others = sorted(loading["mismatched_keys"])
    _check_shapes(folder.name, [one for one in others if not one[0].startswith(_POOLER)])
    _check_left(folder.name, model, map(str, loading["unexpected_keys"]))
    return model, sorted({*map(str, loading["missing_keys"]), *(one[0] for one in others)})


def _kind(folder: Path) -> Any:
    """What saved it, where that is the encoder of a family that has decoders, too (T5)."""
    named = told(folder / CONFIG).get("architectures")
    name = str(named[0]) if isinstance(named, list) and len(named) == 1 else ""
    is_encoder = name.endswith(("EncoderModel", "Encoder"))
    found = getattr(transformers, name, None) if is_encoder else None
    return found if hasattr(found, "from_pretrained") else AutoModel


def _made(kind: Any, folder: str | None, **told: Any) -> tuple[Any, Any]:
    """The network, and what the library says of its tensors."""
    made: tuple[Any, Any] = kind.from_pretrained(
        folder, local_files_only=True, use_safetensors=True, trust_remote_code=False,
        attn_implementation="eager", dtype=torch.float32, output_loading_info=True,
        ignore_mismatched_sizes=True, **told,
    )  # fmt: skip
    return made


def _lacks(loading: Any) -> bool:
    others = (one[0] for one in loading["mismatched_keys"])
    return any(_is_read(str(key)) for key in (*loading["missing_keys"], *others))


def _behind(folder: Path, model: Any) -> tuple[Any, Any] | None:
    """The whole network of tensors behind a prefix, if there is one: a trainer puts `module.` or
    `model.` before every name. Raises weights_invalid where it is there several times.

    The library is asked, as it knows older names of tensors, too.
    """
    state = read(weights_file(folder))
    made = dict(_all_behind("", state, model))
    if len(made) > 1:
        raise several(folder.name, list(made))
    for prefix, found in made.items():
        _log.info("%s is read behind the prefix %r", folder.name, prefix)
        return found
    return None


def _all_behind(before: str, state: State, model: Any) -> Iterator[tuple[str, tuple[Any, Any]]]:
    """Each prefix, behind which there is much of the file and all of the network."""
    rests = [key.removeprefix(before) for key in state if key.startswith(before)]
    for part, count in Counter(rest.partition(".")[0] for rest in rests if "." in rest).items():
        prefix = f"{before}{part}."
        if count * _SHARE < len(state):
            continue
        plain = {key.removeprefix(prefix): t for key, t in state.items() if key.startswith(prefix)}
        made = _made(type(model), None, config=model.config, state_dict=plain)
        if _lacks(made[1]):
            yield from _all_behind(prefix, state, model)
        else:
            yield prefix, made


def _not_made(folder: Path, error: Exception) -> HeadstartError:
    """By the member of its settings that the library stumbled over, where it names one."""
    words = said(error, folder)
    _log.warning("%s: no network can be made: %s", folder.name, words)
    blamed = next(_blamed(told(folder / CONFIG), words), None)
    why = blamed or "no network can be made by its settings"
    more = "copy config.json again from where the weights are from, or choose another network"
    return refusal(folder / CONFIG, f"{why}: {more}")


def _blamed(config: Mapping[str, Any], words: str) -> Iterator[str]:
    """Members whose name, or whose word, stands in quotes there."""
    if "model_type" not in config:
        yield "it has no `model_type`"
    for key, value in config.items():
        names = [key, *([value] if isinstance(value, str) else [])]
        if any(f"{mark}{name}{mark}" in words for name in names for mark in "'`\""):
            yield f"no network that is known here has `{key}` {value!r}"


def _check_shapes(name: str, other: Iterable[Any]) -> None:
    """Raises weights_invalid for tensors that the settings say are of another shape."""
    told = [
        f"{key} is {list(file)} in the file and {list(wanted)} by config.json"
        for key, file, wanted in other
    ]
    if told:
        raise HeadstartError("weights_invalid", f"{name}: {listed(told)}: copy both from one place")


def _check_left(name: str, model: Any, left: Iterable[str]) -> None:
    """Heads of other tasks stand beside the network; what stands within it is its own.

    Raises weights_invalid.
    """
    prefix = f"{model.base_model_prefix}."
    parts = {name for name, _ in model.named_children()}  # of no tensors, too
    own = parts | {key.partition(".")[0] for key in model.state_dict()}
    more = sorted(key for key in left if _is_within(key.removeprefix(prefix), own))
    if not more:
        return
    raise HeadstartError(
        "weights_invalid",
        f"{name}: the file has tensors that the network of its config.json does not read: "
        f"{listed(more)}: copy both from one place",
    )


def _is_within(key: str, own: set[str]) -> bool:
    return key.partition(".")[0] in own and _is_read(key)


def _is_read(key: str) -> bool:
    parts = key.split(".")
    return _POOLER not in parts and parts[-1] not in _UNREAD
