"""Where pretrained networks come from: one module a source, each of which reads a network.

A source's `read(spec, path, side)` gives the network with its weights, and what it was taught to
read; its levels are found, not listed. Graph files have no network: `graph_files` reads them.
No torch is imported before a network is asked for: a warm start needs none.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from app.core.backbones import BackboneSpec, SourceName
from app.core.errors import HeadstartError
from app.infra import weights
from app.infra.found_backbones import hugging_face
from app.infra.found_backbones.settings_files import told
from app.infra.found_backbones.side_file import SideFile, side_file

if TYPE_CHECKING:
    from worker.ml.backbones.networks import Pyramid
    from worker.ml.backbones.tapped import ReadNetwork

VERSION = "1"
"""Part of the name of what is kept of a network: raise it when it would be read differently."""
_READERS: Mapping[SourceName, str] = {
    "torchvision": "torchvision_networks",
    "timm": "timm_networks",
    "hugging_face": "hugging_face_images",
    "torch_hub": "torch_hub",
}
_RULES = 2
"""For finding levels, so far: what was kept by fewer is found anew."""
_SPECS = TypeAdapter(BackboneSpec)
_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Supplied:
    """Weights on this machine, with what lies beside them; `sha256` is of the weights alone."""

    spec: BackboneSpec
    path: Path
    side: SideFile
    sha256: str

    @property
    def named(self) -> str:
        """A name for all that decides what is read, the version of reading included."""
        besides = _BESIDES.get(self.spec.source)
        if besides is None or not (told := besides(self.path)):
            return self.named_before
        return hashlib.sha256(f"{self.named_before}\0{told}".encode()).hexdigest()

    @property
    def named_before(self) -> str:
        """As it once was: of a folder with tensors by these alone, whatever builds the network."""
        told = f"{self.sha256}\0{VERSION}\0{self.side.model_dump_json(exclude={'device'})}"
        return hashlib.sha256(told.encode()).hexdigest()


def _settings(folder: Path) -> str:
    """What `config.json` says, but for what decides nothing: how it is laid out, say."""
    said = told(folder / hugging_face.CONFIG)
    return json.dumps({key: said[key] for key in said.keys() - _IDLE}, sort_keys=True)


def _code(folder: Path) -> str:
    """All files of a folder whose tensors lie beside what reads them; else nothing."""
    return weights.folder_sha256(folder) if weights.weights_file(folder).is_file() else ""


_IDLE = {"_name_or_path", "transformers_version"}
_BESIDES: Mapping[SourceName, Callable[[Path], str]] = {
    "hugging_face": _settings,
    "torch_hub": _code,
}


def supplied(name: str, weights_dir: Path | None) -> Supplied:
    """Raises unknown_backbone, backbone_unavailable or weights_invalid."""
    spec = weights.get(name, weights_dir)
    path = weights.require(spec, weights_dir).path
    own = spec.source == "own"  # kept by hand: a file beside it says nothing of it
    side = SideFile() if own or weights_dir is None else side_file(name, weights_dir)
    return Supplied(spec=spec, path=path, side=side, sha256=weights.sha256(path))


def image_network(name: str, weights_dir: Path | None) -> tuple[BackboneSpec, Pyramid]:
    """What is known of an image backbone, and its frozen network.

    Raises unknown_backbone, backbone_unavailable, weights_invalid, or export_unsupported for a
    graph file.
    """
    from worker.ml.backbones.networks import pyramid
    from worker.ml.backbones.tapped import tapped

    found = supplied(name, weights_dir)
    if found.spec.source == "own":
        return found.spec, pyramid(name, weights_dir)[0]
    if found.spec.source == "graph":
        told = f"{name} is a graph file, which OpenVINO alone runs"
        raise HeadstartError("export_unsupported", told)
    return tapped(found.spec, _reader(found.spec)(found.spec, found.path, found.side))


def fingerprint(spec: BackboneSpec, weights_dir: Path | None) -> str:
    """A hash of all that decides an embedding.

    Of our own networks that is the weights': their preprocessing never changes. Others' may, by a
    side file, or with the version of the library that taught them; and of a few networks other
    levels are found than once.
    """
    found = supplied(spec.name, weights_dir)
    return found.sha256 if spec.source == "own" else _as_taught(spec, found.named)


def former(spec: BackboneSpec, weights_dir: Path | None) -> tuple[str, ...]:
    """What models say that are older than the rule by which `fingerprint` is made now."""
    found = supplied(spec.name, weights_dir)
    changed = spec.source != "own" and found.named != found.named_before
    return (_as_taught(spec, found.named_before),) if changed else ()


def _as_taught(spec: BackboneSpec, named: str) -> str:
    again = (spec.level_rule,) if spec.level_rule > 1 else ()
    taught = repr((spec.mean, spec.std, spec.input_size, *again))
    return hashlib.sha256(f"{named}\0{taught}".encode()).hexdigest()


def described(name: str, weights_dir: Path | None, cache_dir: Path | None) -> BackboneSpec:
    """A backbone with its width and levels, which only its network tells; `cache_dir` keeps them.

    Raises unknown_backbone, backbone_unavailable or weights_invalid.
    """
    found = supplied(name, weights_dir)
    if found.spec.layout:
        return found.spec
    told = _told_by(found)
    file = None if cache_dir is None else cache_dir / f"{name}-{told[:24]}-{_RULES}.json"
    kept = _kept(file)
    known = kept or _told(found, weights_dir)
    if file is not None and kept is None:
        _keep(file, known)
    return known


def _told_by(found: Supplied) -> str:
    """A name for all that decides what is known: what a folder says of pixels may change alone."""
    taught = (found.spec.mean, found.spec.std, found.spec.input_size)
    return hashlib.sha256(f"{found.named}\0{taught!r}".encode()).hexdigest()


def _told(found: Supplied, weights_dir: Path | None) -> BackboneSpec:
    if found.spec.source == "graph":
        from worker.ml.backbones.sources import graph_files

        return graph_files.describe(found.spec, found.path, found.side)
    return image_network(found.spec.name, weights_dir)[0]


def _kept(file: Path | None) -> BackboneSpec | None:
    if file is None or not file.is_file():
        return None
    try:
        return _SPECS.validate_json(file.read_bytes())
    except (OSError, ValidationError) as error:
        _log.warning("%s is made anew: %s", file.name, error)
        return None


def _keep(file: Path, spec: BackboneSpec) -> None:
    """Where it can be: otherwise the next start loads the network once more."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        fresh = file.with_suffix(".new")
        fresh.write_bytes(_SPECS.dump_json(spec))
        fresh.replace(file)
    except OSError as error:
        _log.warning("%s cannot be kept: %s", file.name, error)


def _reader(spec: BackboneSpec) -> Callable[[BackboneSpec, Path, SideFile], ReadNetwork]:
    """A source's own; its libraries are only loaded by who needs them."""
    try:
        module = import_module(f"{__name__}.{_READERS[spec.source]}")
    except ImportError as error:
        told = f"{spec.name} needs the Python package {error.name}: pip install {error.name}"
        raise HeadstartError("backbone_unavailable", told, param="model") from error
    read: Callable[[BackboneSpec, Path, SideFile], ReadNetwork] = module.read
    return read
