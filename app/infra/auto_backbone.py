"""What `auto` means for a modality on this machine, and what idle time embeds for it."""

from __future__ import annotations

from dataclasses import dataclass

from app.core.backbones import E5, BackboneSpec, combined
from app.core.manifest import Modality
from app.core.modalities import Depth
from app.infra import weights
from app.infra.settings import Settings, split_list

AUTO = "auto"


@dataclass(frozen=True, kw_only=True)
class AutoBackbone:
    """The backbones that `auto` is made of here, and those of it whose weights are missing."""

    spec: BackboneSpec
    missing: tuple[BackboneSpec, ...]


def auto_backbone(
    modality: Modality, settings: Settings, *, depth: Depth | None = None
) -> AutoBackbone:
    """Those that are meant and here; for what tunes one network, at a `depth`, the first that can
    be. Raises backbone_unavailable where none of them is here.
    """
    meant = wanted(modality, settings)
    if depth is not None:
        meant = [one for one in meant if depth in one.depths][:1] or meant
    here = [one for one in meant if weights.find(one.name, settings.weights_dir) is not None]
    if not here:
        weights.require_all(combined(meant), settings.weights_dir)
    missing = tuple(one for one in meant if one not in here)
    return AutoBackbone(spec=combined(here), missing=missing)


def wanted(modality: Modality, settings: Settings) -> list[BackboneSpec]:
    """Those that are meant, here or not: PREDICTION_BACKBONES, or else the default one and, for
    texts, the encoder of many languages.
    """
    listed = [weights.get(name, settings.weights_dir) for name in listed_backbones(settings)]
    own = [one for one in listed if one.modality == modality]
    if own:
        return own
    default = {
        "image": [settings.default_backbone_image],
        "text": [settings.default_backbone_text, E5.name],
    }[modality]
    return [weights.get(name, settings.weights_dir) for name in dict.fromkeys(default)]


def listed_backbones(settings: Settings) -> list[str]:
    """The names in PREDICTION_BACKBONES."""
    return list(dict.fromkeys(split_list(settings.prediction_backbones)))


def further(modality: Modality, settings: Settings, *, beside: str) -> list[BackboneSpec]:
    """What of `auto` is here beside the backbone that an upload was embedded with."""
    meant = wanted(modality, settings)
    here = [one for one in meant if weights.find(one.name, settings.weights_dir) is not None]
    return [one for one in here if one.name != beside]
