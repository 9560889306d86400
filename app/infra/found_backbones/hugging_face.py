"""Whether a Hugging Face folder says only what is read of it; told by its files alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from app.core.backbones import BackboneSpec
from app.core.errors import HeadstartError
from app.infra.found_backbones import pictures, sentences, tokens
from app.infra.found_backbones.settings_files import refusal, told

CONFIG = "config.json"
_COUNTS = (
    "num_hidden_layers", "n_layer", "n_layers", "num_layers", "num_attention_heads", "n_head",
    "n_heads", "vocab_size", "hidden_size", "n_embd", "dim", "d_model", "max_position_embeddings",
    "n_positions", "patch_size",
)  # fmt: skip
"""Members of `config.json` that, where they are one number, count something of which there is one
at least. A file with layers that are counted as none would be read without them.
"""
_TOWERS = ("vision_config", "text_config")
_COLOURS = 3
_OTHER_FORMS = (
    "pytorch_model.bin", "pytorch_model.bin.index.json", "tf_model.h5", "flax_model.msgpack",
)  # fmt: skip


def check(folder: Path, spec: BackboneSpec) -> None:
    """Raises weights_invalid for what would be another embedding, or none."""
    config = told(folder / CONFIG)
    _check_counts(folder, config)
    _check_numbers(folder, config)
    _check_adapter(folder)
    if spec.source == "hugging_face":
        _check_colours(folder, config)
        side(folder, pictures.stated(folder), config)
    else:
        sentences.stated(folder)
        tokens.check(folder)


def side(folder: Path, read: pictures.StatedPixels, config: Mapping[str, Any]) -> int | None:
    """In pixels: what pictures are cropped or resized to, else what the network is made for."""
    tower = _vision(config)
    return read.side or pictures.side_of(tower.get("image_size"), folder / CONFIG)


def _vision(config: Mapping[str, Any]) -> Mapping[str, Any]:
    tower = config.get("vision_config")
    return tower if isinstance(tower, Mapping) else config


def _check_counts(folder: Path, config: Mapping[str, Any]) -> None:
    towers = [config.get(one) for one in _TOWERS]
    for part in (config, *(one for one in towers if isinstance(one, Mapping))):
        for key in _COUNTS:
            value = part.get(key)
            if value is None or isinstance(value, list):
                continue
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                why = f"`{key}` is {value!r}, and counts from 1: copy the folder again"
                raise refusal(folder / CONFIG, why)


def _check_colours(folder: Path, config: Mapping[str, Any]) -> None:
    channels = _vision(config).get("num_channels", _COLOURS)
    if channels != _COLOURS:
        why = f"`num_channels` is {channels!r}: networks of three colours alone are read"
        raise refusal(folder / CONFIG, why)


def _check_numbers(folder: Path, config: Mapping[str, Any]) -> None:
    quantised = config.get("quantization_config")
    if quantised:
        method = quantised.get("quant_method") if isinstance(quantised, Mapping) else quantised
        why = f"`quantization_config` says that its tensors are quantised ({method})"
        more = "they are not read: save the network in float32 or bfloat16 (`dequantize`)"
        raise refusal(folder / CONFIG, f"{why}: {more}, without this member")


def _check_adapter(folder: Path) -> None:
    """What peft saves beside a network changes every number of it."""
    found = sorted(one.name for one in folder.glob("adapter_*") if one.is_file())
    if found:
        why = "an adapter, which is not read: merge it into the weights (peft's merge_and_unload)"
        raise refusal(folder / found[0], f"{why} and save the whole network")


def is_timm(config: Mapping[str, Any]) -> bool:
    """Whether these are the settings that timm saves to the Hub, of its own networks."""
    return isinstance(config.get("architecture"), str) and "model_type" not in config


def _of_timm(place: Path, config: Mapping[str, Any]) -> HeadstartError:
    """What a folder of timm's says goes into a side file: its file is read beside that."""
    taught = config.get("pretrained_cfg")
    taught = taught if isinstance(taught, Mapping) else {}
    size = taught.get("input_size")
    side = {
        "architecture": config["architecture"],
        "input_size": size[-1] if isinstance(size, list) and size else None,
        **{key: taught.get(key) for key in ("mean", "std")},
    }
    said = json.dumps({key: value for key, value in side.items() if value})
    why = f"{place.name} is a folder of timm's, of which the file alone is read"
    moved = f"move {place.name}/model.safetensors to {place.name}.safetensors"
    told = f"{why}: {moved}, and write {said} into {place.name}.json"
    return HeadstartError("backbone_unavailable", told, param="model")


def elsewhere(place: Path) -> HeadstartError | None:
    """What to do with a folder of timm's, with one that has its weights in another form, or
    networks within.
    """
    with suppress(HeadstartError):  # of settings that cannot be read more is said elsewhere
        if is_timm(config := told(place / CONFIG)):
            return _of_timm(place, config)
    older = [one for one in _OTHER_FORMS if (place / one).is_file()]
    if older:
        why = f"{place.name} has its weights in {older[0]}, which is not read"
        more = "save it anew with `save_pretrained` of transformers, which writes model.safetensors"
        return HeadstartError("backbone_unavailable", f"{why}: {more}", param="model")
    inside = within(place)
    if inside is None:
        return None
    shown = inside.relative_to(place)
    why = f"the network lies in {place.name}/{shown}, and folders beside each other are read"
    link = f"move it up, or link to it: ln -s {place.name}/{shown} NAME"
    return HeadstartError("backbone_unavailable", f"{why}: {link}", param="model")


def within(place: Path) -> Path | None:
    """The first network of a cache (`models--org--name/snapshots/…`), or of `org/name`."""
    if (place / CONFIG).is_file():
        return None
    files = (sorted(place.glob(f"{one}/{CONFIG}")) for one in ("snapshots/*", "*"))
    return next((file.parent for some in files for file in some), None)
