"""Pretrained networks by what lies in WEIGHTS_DIR, told by files alone: the app has no tensors.

Beside `<name>.*` or `<name>/` there may be `<name>.json`: what a file of weights does not say of
itself. What only a loaded network tells, its width and levels, is left open here.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from app.core.backbones import IMAGENET, BackboneSpec, SourceName, text_encoder
from app.core.errors import HeadstartError
from app.infra.found_backbones import gguf_header, graph_header, hugging_face, pictures
from app.infra.found_backbones.settings_files import told
from app.infra.found_backbones.side_file import side_file

GRAPH_SUFFIXES = (".tflite", ".onnx", ".pb")
GGUF_SUFFIX = ".gguf"
GRAPH_FOLDER = "saved_model.pb"
HUB_FILE = "hubconf.py"
_SUFFIXES = (GGUF_SUFFIX, *GRAPH_SUFFIXES, ".safetensors")
UNSTATED = "not stated"
SIDE = 224
"""Pixels, where nothing says how many."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_STATED: Mapping[str, set[str]] = {
    "image": {"input_size", "mean", "std", "licence"},
    "text": {"input_size", "licence", "template", "pooling", "layer"},
}
"""What a side file may say of a backbone of each modality."""
_TABLE = Path(__file__).with_name("torchvision_networks.json")

Colours = tuple[float, float, float]


@lru_cache(maxsize=1)
def torchvision() -> Mapping[str, Mapping[str, Any]]:
    """Of every classification network of torchvision: its default weights' url and transforms.

    `worker.ml.backbones.sources.torchvision_networks`, run as a module, prints it.
    """
    table: Mapping[str, Mapping[str, Any]] = json.loads(_TABLE.read_text("utf-8"))
    return table


@lru_cache(maxsize=1)
def torchvision_specs() -> Mapping[str, BackboneSpec]:
    """Every network of torchvision by its name, whether its weights are here or not."""
    return {
        name: _open(
            name, "torchvision", licence="BSD-3-Clause", input_size=told["input_size"],
            mean=tuple(told["mean"]), std=tuple(told["std"]), url=told["urls"][0],
        )
        for name, told in torchvision().items()
    }  # fmt: skip


def found(weights_dir: Path | None) -> Iterator[BackboneSpec]:
    """A backbone for each thing in the folder that reads like one, by name."""
    if weights_dir is None or not weights_dir.is_dir():
        return
    for path in sorted(weights_dir.iterdir()):
        spec = _at(path)
        if spec is not None and _NAME.fullmatch(spec.name):
            yield _stated(spec, weights_dir)


def named(name: str, weights_dir: Path | None) -> BackboneSpec | None:
    """What `found` has under `name`, told by the files of that name alone."""
    if weights_dir is None or not _NAME.fullmatch(name):
        return None
    places = sorted(weights_dir / f"{name}{suffix}" for suffix in ("", *_SUFFIXES))
    specs = [_at(path) for path in places if os.path.lexists(path)]
    found = [spec for spec in specs if spec is not None and spec.name == name]
    return _stated(found[-1], weights_dir) if found else None


def _at(path: Path) -> BackboneSpec | None:
    return _folder(path) if path.is_dir() else _file(path)


def _stated(spec: BackboneSpec, weights_dir: Path) -> BackboneSpec:
    """With what its side file says; what is wrong with that is said when it is loaded."""
    try:
        side = side_file(spec.name, weights_dir)
    except HeadstartError:
        return spec
    told = side.model_dump(include=_STATED[spec.modality], exclude_none=True)
    return replace(spec, **told)


def _file(path: Path) -> BackboneSpec | None:
    if path.suffix == GGUF_SUFFIX:
        return _gguf(path)
    if path.suffix in GRAPH_SUFFIXES:
        return _graph(path.stem, path)
    if path.suffix != ".safetensors" or path.stem in torchvision():
        return None
    return _open(path.stem, "timm")


def _graph(name: str, file: Path) -> BackboneSpec:
    size = graph_header.side(file) or SIDE
    return _open(name, "graph", input_size=size, mean=(0.0,) * 3, std=(1.0,) * 3)


def _gguf(path: Path) -> BackboneSpec | None:
    """A decoder by its width; a file that is none is said to be damaged, with no width."""
    with suppress(HeadstartError):
        told = gguf_header.stated(path)
        return text_encoder(path.stem, told.width, licence=told.licence or UNSTATED)
    return replace(text_encoder(path.stem, 0, licence=UNSTATED), layout=())


def _folder(path: Path) -> BackboneSpec | None:
    if (path / GRAPH_FOLDER).is_file():
        return _graph(path.name, path / GRAPH_FOLDER)
    if (path / HUB_FILE).is_file():
        return _open(path.name, "torch_hub")
    if (path / hugging_face.CONFIG).is_file():
        return _hugging_face(path)
    inside = hugging_face.within(path)
    spec = None if inside is None else _hugging_face(inside)
    return None if spec is None else replace(spec, name=path.name)


def _open(
    name: str,
    source: SourceName,
    *,
    licence: str = UNSTATED,
    input_size: int = SIDE,
    mean: Colours | tuple[float, ...] = IMAGENET[0],
    std: Colours | tuple[float, ...] = IMAGENET[1],
    url: str | None = None,
) -> BackboneSpec:
    """An image backbone whose levels only its network can tell."""
    return BackboneSpec(
        name=name, modality="image", dim=0, layout=(), licence=licence, input_size=input_size,
        mean=(mean[0], mean[1], mean[2]), std=(std[0], std[1], std[2]), url=url, source=source,
        fixed_size=True,
    )  # fmt: skip


def _hugging_face(folder: Path) -> BackboneSpec | None:
    """An encoder of texts by its width; what states a picture's side reads pictures.

    One whose settings cannot be read is listed, so that somebody is told why.
    """
    try:
        config = told(folder / "config.json")
    except HeadstartError:
        return _unread(folder)
    if hugging_face.is_timm(config):
        return _open(folder.name, "timm", licence=_LICENCE)
    if _reads_pictures(folder, config):
        spec = _open(folder.name, "hugging_face", licence=_LICENCE)
        with suppress(HeadstartError):  # what is wrong is said where the weights are asked for
            read = pictures.stated(folder)
            side = hugging_face.side(folder, read, config) or SIDE
            spec = replace(spec, input_size=side, mean=read.mean, std=read.std)
        return replace(spec, two_towers=_has_two_towers(folder, config))
    width = hidden_size(config)
    return None if width is None else text_encoder(folder.name, width, licence=_LICENCE)


_LICENCE = "as its folder says"


def _unread(folder: Path) -> BackboneSpec:
    if (folder / pictures.FILE).is_file():
        return _open(folder.name, "hugging_face", licence=_LICENCE)
    return replace(text_encoder(folder.name, 0, licence=_LICENCE), layout=())


def _reads_pictures(folder: Path, config: Mapping[str, Any]) -> bool:
    stated = (folder / pictures.FILE).is_file()
    return stated or "image_size" in config or "vision_config" in config


def _has_two_towers(folder: Path, config: Mapping[str, Any]) -> bool:
    """Whether names can be read, too: by a tower of texts and its tokens."""
    towers = all(isinstance(config.get(f"{one}_config"), dict) for one in ("vision", "text"))
    return towers and (folder / "tokenizer.json").is_file()


def hidden_size(config: Mapping[str, Any]) -> int | None:
    """The width of an encoder of texts, by whichever name its family has for it."""
    for key in ("hidden_size", "n_embd", "dim", "d_model"):
        size = config.get(key)
        if isinstance(size, int) and size > 0:
            return size
    return None
