"""Folders that transformers reads: its network, every tensor of it from the file, and none left."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModel
from transformers.utils import logging

from app.core.errors import HeadstartError
from app.infra.found_backbones.settings_files import said
from worker.ml.backbones.weights import why

_POOLER = "pooler"
"""What reads states for a task of its own; an embedding without it is whole."""
_UNREAD = ("mask_token", "position_ids", "inv_freq", "masked_bias", "num_batches_tracked")
"""Leaves that older versions kept and newer ones count out, or that only teaching reads."""
_TOLD = 5


def loaded(folder: Path) -> tuple[Any, list[str]]:
    """The network, and the names of what the file has not, or in another shape.

    Raises weights_invalid for a folder that is not read, and for a file with more of this very
    network than its settings say: what is left out would be another network's embedding.
    """
    logging.disable_progress_bar()
    try:
        model, loading = AutoModel.from_pretrained(
            str(folder), local_files_only=True, use_safetensors=True, trust_remote_code=False,
            attn_implementation="eager", dtype=torch.float32, output_loading_info=True,
        )  # fmt: skip
    except Exception as error:  # of a stranger's settings the library raises what it likes
        raise HeadstartError(
            "weights_invalid", f"{folder.name}: {why(said(error, folder))}"
        ) from error
    _check_left(folder.name, model, map(str, loading["unexpected_keys"]))
    return model, [str(key) for key in (*loading["missing_keys"], *loading["mismatched_keys"])]


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
    told = ", ".join(more[:_TOLD]) + (f" and {len(more) - _TOLD} more" if more[_TOLD:] else "")
    raise HeadstartError(
        "weights_invalid",
        f"{name}: the file has tensors that the network of its config.json does not read: {told}: "
        "copy both from one place",
    )


def _is_within(key: str, own: set[str]) -> bool:
    parts = key.split(".")
    return parts[0] in own and _POOLER not in parts and parts[-1] not in _UNREAD
