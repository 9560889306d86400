"""Whether what a network says of a text is of that text alone, and of a graph as of its network.

A text shares its pass with others, filled up to the longest. A network that reads what fills up
answers by who else asked; one whose code branches on lengths is traced for the one that was shown.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from app.core.errors import HeadstartError
from app.infra.found_backbones.hugging_face import CONFIG
from app.infra.found_backbones.settings_files import said, told
from worker.ml.engines.base import Vectors
from worker.ml.engines.texts import Encoder, Forward, Tokens

if TYPE_CHECKING:
    from worker.ml.backbones.encoders import PooledEncoder

VERSION = "1"
"""Part of the name of a graph that was held against its network: raise it when more is shown."""
LENGTHS = (3, 8, 13, 40, 150)
"""Tokens of what is shown, as far as the network reads so many: around the length of a trace, more,
and more than the windows of local attention usually are.
"""
_OWN, _CONVERTED = 1e-3, 2e-2
"""How far rows of length one may be apart: of one network in float32, and of two ways to run it."""
_OTHER = "choose a network of another family"
_NO_MEMORY = re.compile(r"allocat|bad_alloc|out of memory", re.IGNORECASE)
_log = logging.getLogger(__name__)


class OwnRows(NamedTuple):
    """What a network itself says of the texts, given as numbers of tokens."""

    texts: list[list[int]]
    rows: Vectors


def network_alone(
    path: Path, encoder: Encoder, *, layer: int | None
) -> tuple[PooledEncoder, OwnRows]:
    """The network, and what it says of texts alone. Raises weights_invalid where its answer to a
    text hangs on what fills that up.
    """
    import torch

    from worker.ml.backbones.encoders import text_network, words

    def forward(ids: Tokens, mask: Tokens) -> Vectors:
        with torch.no_grad():
            rows: Vectors = network.forward(torch.from_numpy(ids), torch.from_numpy(mask)).numpy()
        return rows

    with told_as(path, "does not read texts as tokens and a mask"):
        network = text_network(path, encoder.pooling, layer=layer)
        shown = _shown(encoder, words(network.encoder))
        own = OwnRows(shown, _alone(shown, forward))
        _check_filled(path, own, forward(*encoder.padded(shown)))
    return network, own


def _check_filled(path: Path, own: OwnRows, filled: Vectors) -> None:
    if _apart(own.rows, filled) > _OWN:
        what = "reads what fills up a text beside longer ones, so that an embedding would hang on"
        raise _refused(path, f"{what} the other texts of its request")


def check_graph(path: Path, encoder: Encoder, own: OwnRows, forward: Forward) -> None:
    """Raises weights_invalid for a graph that gives other numbers than its network."""
    for given in (_alone(own.texts, forward), forward(*encoder.padded(own.texts))):
        if _apart(own.rows, given) > _CONVERTED:
            what = "goes other ways for texts of other lengths, which a graph cannot"
            raise _refused(path, f"{what}, and OpenVINO runs no other here")


@contextmanager
def told_as(path: Path, what: str) -> Iterator[None]:
    """Whatever is raised in here is weights_invalid, as a network `what`; but a lack of memory."""
    try:
        yield
    except (HeadstartError, MemoryError):
        raise
    except Exception as error:  # of a stranger's network torch and OpenVINO raise what they like
        words = said(error, path)
        if _NO_MEMORY.search(words):
            raise
        _log.warning("%s %s: %s", path.name, what, words)
        raise _refused(path, what) from error


def _refused(path: Path, what: str) -> HeadstartError:
    config = told(path / CONFIG) if path.is_dir() else {}
    family = config.get("model_type")
    named = f"its network, of the family {family!r}," if isinstance(family, str) else "its network"
    return HeadstartError("weights_invalid", f"{path.name}: {named} {what}: {_OTHER}")


def _shown(encoder: Encoder, words: int) -> list[list[int]]:
    """Numbers of tokens, of which none fills up."""
    any_of = np.random.default_rng(0)
    lengths = [length for length in LENGTHS if length <= encoder.most] or [encoder.most]
    known = [number for number in range(words) if number != encoder.pad] or [encoder.pad]
    return [any_of.choice(known, length).tolist() for length in lengths]


def _alone(shown: Iterable[list[int]], forward: Forward) -> Vectors:
    """Each by itself, with nothing that fills up."""
    ids = (np.array([one], np.int64) for one in shown)
    return np.concatenate([forward(one, np.ones_like(one)) for one in ids])


def _apart(own: Vectors, given: Vectors) -> float:
    """The greatest distance; of numbers that are not finite more is said elsewhere."""
    if not np.isfinite(own).all():
        return 0.0
    return float(np.nan_to_num(np.linalg.norm(own - given, axis=1), nan=np.inf).max())
