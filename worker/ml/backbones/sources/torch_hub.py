"""A folder with `hubconf.py`: its own code builds the network, so only an operator lets it run."""

from __future__ import annotations

import ast
import logging
from pathlib import Path

import torch
from torch import nn

from app.core.backbones import BackboneSpec
from app.core.errors import HeadstartError
from app.infra import weights
from app.infra.found_backbones import HUB_FILE
from app.infra.found_backbones.settings_files import said
from app.infra.found_backbones.side_file import SideFile
from worker.ml.backbones.tapped import ReadNetwork

_log = logging.getLogger(__name__)


def read(spec: BackboneSpec, path: Path, side: SideFile) -> ReadNetwork:
    """Raises backbone_unavailable unless hub code is allowed, weights_invalid where it fails."""
    weights.check_hub_code(spec)
    net = _loaded(spec.name, path, side.entry_point or _only_entry(spec.name, path))
    if not isinstance(net, nn.Module):
        told = f"{spec.name}: hubconf.py gives {type(net).__name__}, no network"
        raise HeadstartError("weights_invalid", told)
    return ReadNetwork(
        net=net.float(), input_size=spec.input_size, mean=spec.mean, std=spec.std,
        licence=spec.licence,
    )  # fmt: skip


def _only_entry(name: str, folder: Path) -> str:
    """The one function that hubconf.py defines. Raises weights_invalid where there are several."""
    try:
        parts = ast.parse((folder / HUB_FILE).read_text("utf-8")).body
    except (OSError, ValueError, SyntaxError) as error:
        _log.warning("%s: %s: %s", name, HUB_FILE, error)
        where = f" (line {error.lineno})" if isinstance(error, SyntaxError) else ""
        told = f"{name}: {HUB_FILE} is no Python that can be read here{where}: copy it again"
        raise HeadstartError("weights_invalid", told) from error
    entries = [part.name for part in parts if isinstance(part, ast.FunctionDef)]
    entries = [entry for entry in entries if not entry.startswith("_")]
    if len(entries) == 1:
        return entries[0]
    told = f'{name}: write {{"entry_point": "…"}} into {name}.json; there are: {", ".join(entries)}'
    raise HeadstartError("weights_invalid", told)


def _loaded(name: str, folder: Path, entry: str) -> object:
    try:
        net: object = torch.hub.load(str(folder), entry, source="local", trust_repo=True)
    except Exception as error:  # it is other people's code
        _log.warning("%s: %s of %s fails", name, entry, HUB_FILE, exc_info=error)
        told = f"{type(error).__name__}: {' '.join(said(error, folder).split())[:200]}"
        why = f"{name}: {entry} of {HUB_FILE} gives no network, its code fails ({told})"
        raise HeadstartError("weights_invalid", f"{why}: mend it, or copy it again") from error
    return net
