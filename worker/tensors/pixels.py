"""Pixels that a head's own network reads: decoded when they are asked for, and kept nowhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from app.core.errors import HeadstartError
from worker.ml.engines import Engine
from worker.ml.engines.readings import Asked, reading_of
from worker.ml.images.pixel_scale import PixelScale
from worker.tensors.blobs import blobs


def pixels(
    engine: Engine, asked: Mapping[str, Any] | None, *, scale: PixelScale | None, threads: int
) -> dict[str, Tensor]:
    """Of each view that is asked for uint8 [n, s·s·3]; none where nothing is.

    Raises what is wrong with a picture that was read before.
    """
    if asked is None:
        return {}
    made = {}
    for view in asked["views"]:
        how = Asked(view=view, threads=threads, scale=scale)
        with reading_of(engine).rows(engine, blobs(asked["items"]), how) as rows:
            made[view] = torch.from_numpy(np.stack([_flat(row) for row in rows]))
    return made


def _flat(row: Any) -> Any:
    if isinstance(row, HeadstartError):
        raise row
    return row.reshape(-1)
