"""Generic statistics: what a backbone's features are like on inputs of nothing in particular.

A few examples cannot tell which directions of a 1,280-dimensional feature vary anyway; unrelated
pictures can. Each block is centred and half-whitened by them: (C + 0.02·mean eigenvalue)^(-e/2)
with e = ½, its largest directions kept exactly and the rest scaled alike. An encoder of texts is
only centred: half-whitening it loses accuracy.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from app.core.backbones import JOINT, Block, member_names
from app.core.errors import HeadstartError

FOLDER = Path(__file__).parent / "generic_statistics"

EXPONENT = 0.5
FLOOR = 0.02
RANK = 64


@dataclass(frozen=True)
class Whitening:
    """y = floor·(x - centre) + basis (gain · basisᵀ(x - centre)) for x [n, d], basis [d, r]."""

    centre: Tensor
    basis: Tensor
    gain: Tensor
    floor: float

    def __call__(self, x: Tensor) -> Tensor:
        """[n, d] → [n, d]."""
        centred = x - self.centre
        return torch.addmm(centred, centred @ self.basis * self.gain, self.basis.T, beta=self.floor)


@dataclass(frozen=True)
class Statistics:
    """The whitening of each block, and the name of the file that holds them."""

    name: str
    whitening: Mapping[Block, Whitening]


def late(layout: Sequence[Block]) -> list[Block]:
    """The blocks of the last five eighths of the levels: the earliest only know edges."""
    levels = sorted({block.level for block in layout})
    kept = set(levels[len(levels) * 3 // 8 :])
    return [block for block in layout if block.level in kept]


@lru_cache(maxsize=64)
def find(backbone: str, weights_sha256: str | None) -> str | None:
    """The name of the shipped statistics for exactly these weights, or None.

    Of several backbones, theirs in order, joined as their names are; empty for one without.
    """
    digests = member_names(weights_sha256 or "")
    if len(digests) > 1:
        names = [find(*of) or "" for of in zip(member_names(backbone), digests, strict=True)]
        return JOINT.join(names) if any(names) else None
    for path in sorted(FOLDER.glob(f"{backbone}.*.safetensors")):
        with safe_open(path, "pt") as file:
            if file.metadata()["weights_sha256"] == weights_sha256:
                return path.stem
    return None


@lru_cache(maxsize=16)
def load(name: str, layout: tuple[Block, ...]) -> Statistics:
    """Read shipped statistics; raises HeadstartError `model_corrupt` if they are not here."""
    path = FOLDER / f"{name}.safetensors"
    if not path.is_file():
        raise HeadstartError(
            "model_corrupt", f"The head needs the statistics {name}, which are not installed."
        )
    with safe_open(path, "pt") as file:
        by_block = {block: _read(file.get_tensor, key_of(block)) for block in late(layout)}
    return Statistics(name, by_block)


def _read(tensor: Callable[[str], Tensor], key: str) -> Whitening:
    gain = tensor(f"{key}.gain").float()
    return Whitening(
        centre=tensor(f"{key}.centre").float(),
        basis=tensor(f"{key}.basis").float(),
        gain=gain[1:],
        floor=float(gain[0]),
    )


def key_of(block: Block) -> str:
    """A block's name in the file."""
    return f"{block.level}.{block.statistic}"


def estimate(rows: Tensor, layout: Sequence[Block]) -> dict[str, Tensor]:
    """The file's tensors from embeddings [n, D] of generic pictures."""
    tensors: dict[str, Tensor] = {}
    for block in late(layout):
        whitening = whiten(rows[:, block.start : block.stop])
        key = key_of(block)
        tensors[f"{key}.centre"] = whitening.centre
        tensors[f"{key}.basis"] = whitening.basis.half().contiguous()
        tensors[f"{key}.gain"] = torch.cat([torch.tensor([whitening.floor]), whitening.gain])
    return tensors


def centred(rows: Tensor, layout: Sequence[Block]) -> dict[str, Tensor]:
    """The file's tensors that subtract the mean of generic rows [n, D], and whiten nothing."""
    tensors: dict[str, Tensor] = {}
    for block in late(layout):
        centre, key = rows[:, block.start : block.stop].double().mean(0).float(), key_of(block)
        tensors[f"{key}.centre"] = centre
        tensors[f"{key}.basis"] = torch.zeros(len(centre), 0).half()
        tensors[f"{key}.gain"] = torch.ones(1)
    return tensors


def whiten(x: Tensor, rank: int = RANK) -> Whitening:
    """The half-whitening of x [n, d] by its own covariance."""
    centre = x.double().mean(0)
    values, vectors = torch.linalg.eigh(torch.cov(x.double().T, correction=0))
    values = values.clamp(min=0)
    ridge = FLOOR * values.mean()
    rank = min(rank, len(values) - 1)
    rest = float((values[:-rank].mean() + ridge) ** (-EXPONENT / 2))
    gain = (values[-rank:] + ridge) ** (-EXPONENT / 2) - rest
    return Whitening(centre.float(), vectors[:, -rank:].float(), gain.float(), rest)


def write(tensors: Mapping[str, Tensor], *, backbone: str, weights_sha256: str) -> Path:
    """Keep the statistics under a name made of their content: a model can always find its own."""
    data = save(dict(tensors), {"backbone": backbone, "weights_sha256": weights_sha256})
    name = f"{backbone}.{hashlib.sha256(data).hexdigest()[:12]}.safetensors"
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / name
    path.write_bytes(data)
    return path
