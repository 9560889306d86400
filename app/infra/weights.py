"""Which backbones this machine has besides ours, and in which folder or package weights lie."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import struct
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Literal, NamedTuple

import structlog

from app.core.backbones import (
    BACKBONES,
    JOINT,
    BackboneSpec,
    SourceName,
    combined,
    how_to_supply,
    member_names,
)
from app.core.errors import HeadstartError
from app.infra import found_backbones
from app.infra.found_backbones import (
    GGUF_SUFFIX,
    GRAPH_FOLDER,
    GRAPH_SUFFIXES,
    HUB_FILE,
    gguf_header,
    graph_header,
    hugging_face,
    left_out,
    sentences,
    settings_files,
    whole,
)
from app.infra.found_backbones.side_file import side_file
from app.infra.settings import Settings, load_settings

log = structlog.get_logger(__name__)

SUFFIXES = (".safetensors", ".pth")
_REFUSED = ".refused"
_SETTINGS = (
    "config.json", "tokenizer.json", "preprocessor_config.json", "1_Pooling/config.json",
    "config_sentence_transformers.json", "modules.json", "sentence_bert_config.json",
    "tokenizer_config.json", "processor_config.json",
)  # fmt: skip
"""What decides, beside the tensors, whether a folder can be read."""


class Availability(NamedTuple):
    """Whether a backbone's weights are on this machine, and why not."""

    available: bool
    reason: str | None


class Source(NamedTuple):
    """Where weights are: `kind` is folder, package or download (a past one)."""

    kind: Literal["folder", "package", "download"]
    path: Path


def registry(weights_dir: Path | None) -> dict[str, BackboneSpec]:
    """Every backbone known here: ours, torchvision's, and each that lies in `weights_dir`."""
    local = {spec.name: spec for spec in found_backbones.found(weights_dir)}
    return {**local, **found_backbones.torchvision_specs(), **BACKBONES}


def known(name: str, weights_dir: Path | None) -> BackboneSpec | None:
    """What `registry` has under `name`, without a look at any other."""
    theirs = BACKBONES.get(name) or found_backbones.torchvision_specs().get(name)
    return theirs or found_backbones.named(name, weights_dir)


def get(name: str, weights_dir: Path | None = None) -> BackboneSpec:
    """The spec of `name`, or of several backbones `a+b`.

    Raises `unknown_backbone`, and what `combined` raises.
    """
    spec = known(name, weights_dir)
    if spec is None and JOINT in name:
        return combined([get(one, weights_dir) for one in member_names(name)])
    if spec is None:
        told = f"No backbone is called {name!r}. Known: {', '.join(registry(weights_dir))}."
        raise HeadstartError("unknown_backbone", told, param="model")
    return spec


def window(folder: Path, *, older: bool = False) -> int:
    """The most tokens that a text encoder was made for, special ones included.

    RoBERTa-like position tables begin after the padding id; a packed file is a plain BERT, and says
    how many positions it has. Once less was heeded of what narrows it: `older` says what came of
    that. Raises weights_invalid.
    """
    if folder.suffix == GGUF_SUFFIX:
        return gguf_header.stated(folder).window
    if not folder.is_dir():
        return _positions(folder)
    config = settings_of(folder / "config.json")
    read = sentences.stated(folder)
    stated = sentences.most_tokens(folder, read)
    if older:
        stated = None if read.older else read.most
    table = _count(config.get("max_position_embeddings")) or _count(config.get("n_positions"))
    table, pad = table or 512, _count(config.get("pad_token_id"))
    most = min(_count(stated) or table, table - 1 - (pad if pad < table else 0))
    if most < 1:
        raise HeadstartError("weights_invalid", f"{folder.name}: config.json leaves no window")
    return most


def _count(value: object) -> int:
    """A whole number above 0, or 0 of what is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def _positions(packed: Path) -> int:
    """The sixth of seven sizes in the head of a packed file."""
    try:
        sizes = struct.unpack("<8x7i", _head(packed)[:36])
    except (OSError, struct.error) as error:
        raise HeadstartError("weights_invalid", f"{packed.name}: {error}") from error
    return int(sizes[5])


def _head(file: Path) -> bytes:
    if noted := left_out.noted(file):
        return noted.head
    with file.open("rb") as opened:
        return opened.read(64)


settings_of = settings_files.told


def find(name: str, weights_dir: Path | None) -> Source | None:
    """Where the weights of `name` are: the weights folder, a package, a past download; or None."""
    spec = get(name, weights_dir)
    return _in_folder(spec, weights_dir) or _in_package(spec) or _in_cache(spec)


def _in_folder(spec: BackboneSpec, weights_dir: Path | None) -> Source | None:
    if weights_dir is None:
        return None
    supplied = _SUPPLIED.get(spec.source) or _OWN[spec.modality]
    path = supplied(weights_dir / spec.name)
    return None if path is None else Source("folder", path)


def _supplied_file(named: Path) -> Path | None:
    return _first_file(named, SUFFIXES)


def _safetensors_file(named: Path) -> Path | None:
    return _first_file(named, SUFFIXES[:1])


def _first_file(named: Path, suffixes: Sequence[str]) -> Path | None:
    files = (named.with_name(f"{named.name}{suffix}") for suffix in suffixes)
    return next((path for path in files if path.is_file()), None)


def _supplied_folder(named: Path) -> Path | None:
    return named if weights_file(named).is_file() else None


def _text_source(named: Path) -> Path | None:
    return _supplied_folder(named) or _first_file(named, (GGUF_SUFFIX,))


def _graph(named: Path) -> Path | None:
    return named if (named / GRAPH_FOLDER).is_file() else _first_file(named, GRAPH_SUFFIXES)


def _hub(named: Path) -> Path | None:
    return named if (named / HUB_FILE).is_file() else None


_OWN: Mapping[str, Callable[[Path], Path | None]] = {
    "image": _supplied_file,
    "text": _text_source,
}
_SUPPLIED: Mapping[SourceName, Callable[[Path], Path | None]] = {
    "torchvision": _supplied_file,
    "timm": _safetensors_file,
    "hugging_face": _supplied_folder,
    "torch_hub": _hub,
    "graph": _graph,
}


def _in_package(spec: BackboneSpec) -> Source | None:
    if spec.package is None:
        return None
    module, inside = spec.package
    installed = importlib.util.find_spec(module)
    if installed is None or installed.origin is None:
        return None
    path = Path(installed.origin).parent / inside
    here = path.exists() or left_out.is_noted(path)
    return Source("package", path) if here else None


def _in_cache(spec: BackboneSpec) -> Source | None:
    path = download_path(spec)
    return Source("download", path) if path is not None and path.is_file() else None


def download_path(spec: BackboneSpec) -> Path | None:
    """Where torch keeps what its own library has downloaded of these weights."""
    if spec.url is None:
        return None
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    home = Path(os.environ.get("TORCH_HOME", f"{cache}/torch")).expanduser()
    return home / "hub" / "checkpoints" / spec.url.rsplit("/", 1)[1]


def availability(
    name: str, weights_dir: Path | None, cache_dir: Path | None = None
) -> Availability:
    """Whether the weights of `name` are here; if not, the reason says how to supply them.

    In `cache_dir` it is kept of which weights a network could not be made.
    """
    try:
        source = require(get(name, weights_dir), weights_dir)
    except HeadstartError as error:
        return Availability(available=False, reason=error.message)
    reason = _refusal(name, source, weights_dir, cache_dir)
    return Availability(available=reason is None, reason=reason)


def refuse(name: str, weights_dir: Path | None, cache_dir: Path, reason: str) -> None:
    """Keep why no network could be made of these weights, until they change.

    Where it cannot be kept, the next who loads them is told.
    """
    with suppress(OSError, HeadstartError):
        source = require(get(name, weights_dir), weights_dir)
        cache_dir.mkdir(parents=True, exist_ok=True)
        _refused(name, source, weights_dir, cache_dir).write_text(reason[:2000], "utf-8")


def accept(name: str, weights_dir: Path | None, cache_dir: Path) -> None:
    """Forget what was kept of these weights: a newer library may read them."""
    with suppress(OSError, HeadstartError):
        if any(cache_dir.glob(f"{name}-*{_REFUSED}")):
            source = require(get(name, weights_dir), weights_dir)
            _refused(name, source, weights_dir, cache_dir).unlink(missing_ok=True)


def _refusal(
    name: str, source: Source, weights_dir: Path | None, cache_dir: Path | None
) -> str | None:
    if cache_dir is None or not any(cache_dir.glob(f"{name}-*{_REFUSED}")):
        return None
    file = _refused(name, source, weights_dir, cache_dir)
    return file.read_text("utf-8", "replace") if file.is_file() else None


def _refused(name: str, source: Source, weights_dir: Path | None, cache_dir: Path) -> Path:
    """Called by all that decides whether they can be loaded."""
    digest = hashlib.sha256(sha256(source.path).encode())
    more = [] if weights_dir is None else [weights_dir / f"{name}.json"]
    for file in [*more, *(source.path / one for one in _SETTINGS)]:
        digest.update(_digest(file).encode() if file.is_file() else b"\0")
    return cache_dir / f"{name}-{digest.hexdigest()[:24]}{_REFUSED}"


def check_hub_code(spec: BackboneSpec) -> None:
    """Raises `backbone_unavailable` for a network whose own code must not run."""
    if spec.source == "torch_hub" and not load_settings().allow_hub_code:
        told = (
            f"{spec.name} is built by the code of its hubconf.py: an operator who trusts it sets "
            "HEADSTART_ALLOW_HUB_CODE=true"
        )
        raise HeadstartError("backbone_unavailable", told, param="model")


def require_all(spec: BackboneSpec, weights_dir: Path | None) -> None:
    """Raises `backbone_unavailable` where weights of one of its parts are missing."""
    for one in spec.parts:
        require(one, weights_dir)


def require(spec: BackboneSpec, weights_dir: Path | None) -> Source:
    """Where the weights are.

    Raises `backbone_unavailable`, which says how to supply them, and `weights_invalid` for a file
    that is cut short, and for what is wrong with what lies beside it.
    """
    check_hub_code(spec)
    side = None
    if weights_dir is not None and spec.name not in BACKBONES:
        side = side_file(spec.name, weights_dir)
    source = find(spec.name, weights_dir)
    if source is None:
        raise _absent(spec, weights_dir)
    if (file := weights_file(source.path)).is_file():
        whole.check(file)
    if (source.path / hugging_face.CONFIG).is_file():
        hugging_face.check(source.path, spec)
    if side is not None and side.mean is None and graph_header.reads_floats(source.path):
        raise HeadstartError("weights_invalid", graph_header.unsaid_range(spec.name))
    return source


def _absent(spec: BackboneSpec, weights_dir: Path | None) -> HeadstartError:
    elsewhere = None if weights_dir is None else hugging_face.elsewhere(weights_dir / spec.name)
    return elsewhere or HeadstartError("backbone_unavailable", how_to_supply(spec), param="model")


def weights_file(path: Path) -> Path:
    """The file that holds the tensors: `path` itself, or `model.safetensors` of its folder, or the
    index of several such files.
    """
    if not path.is_dir():
        return path
    one, index = path / "model.safetensors", path / whole.INDEX
    return index if index.is_file() and not one.is_file() else one


def sha256(path: Path) -> str:
    """The SHA-256 of a weights file, read once per change.

    Of a graph that keeps tensors in other files it is one over all of them. Of a folder it is that
    of `model.safetensors`, or one over its parts; where it has none, one over all of its files.
    """
    file = weights_file(path)
    if noted := left_out.noted(file):
        return noted.sha256
    if file.is_file():
        more = whole.beside(file)
        return _together(file.parent, [file, *more]) if more else _digest(file)
    return folder_sha256(path)


def folder_sha256(folder: Path) -> str:
    """One over all files of a folder, its code included."""
    files = sorted(one for one in folder.rglob("*") if one.is_file() and _counts(one))
    return _together(folder, files)


def _together(folder: Path, files: Sequence[Path]) -> str:
    """One over several files and their names."""
    told = "".join(f"{one.relative_to(folder)}\0{_digest(one)}\n" for one in files)
    return hashlib.sha256(told.encode()).hexdigest()


def _counts(file: Path) -> bool:
    """Not what running a hub's code leaves behind."""
    return "__pycache__" not in file.parts


def _digest(file: Path) -> str:
    state = file.stat()
    return _sha256(file, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=1024)
def _sha256(path: Path, _mtime: int, _size: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def absent_folder(settings: Settings) -> str | None:
    """What to say where the folder of further weights is named and not there; it may come yet."""
    if settings.weights_dir is None or settings.weights_dir.is_dir():
        return None
    told = f"HEADSTART_WEIGHTS_DIR names {settings.weights_dir}, which is not there (yet)"
    return f"{told}: only the backbones of the package can be used"


def tell_absent_folder(settings: Settings) -> None:
    """Log it, as each process does that reads weights."""
    if (told := absent_folder(settings)) is not None:
        log.warning(told)
