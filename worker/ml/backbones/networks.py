"""From a network to a pyramid: its stages in order, so that one pass gives every level."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import timm
import torch
from torch import Tensor, nn
from torchvision import models

from app.core.backbones import BackboneSpec, Statistic
from app.core.errors import HeadstartError
from app.infra.weights import get
from worker.ml.backbones.misfit import classes, fill, unprefixed
from worker.ml.backbones.weights import State, Weights, weights

LITE_REPEATS = {
    "efficientnet_lite0": (1, 2, 2, 3, 3, 4, 1),
    "efficientnet_lite1": (1, 3, 3, 4, 4, 5, 1),
    "efficientnet_lite2": (1, 3, 3, 4, 4, 5, 1),
}
"""Blocks of each stage."""


class Pyramid(nn.Module):
    """uint8 images [n, s, s, 3] → float vectors [n, D] in the layout of `spec`."""

    mean: Tensor
    scale: Tensor

    def __init__(self, spec: BackboneSpec, stages: Iterable[nn.Module]) -> None:
        super().__init__()
        self.stages = nn.ModuleList(stages)
        self.statistics = [[b.statistic for b in spec.level(i)] for i in range(len(self.stages))]
        self.register_buffer("mean", 255 * torch.tensor(spec.mean).view(1, 3, 1, 1))
        self.register_buffer("scale", 1 / (255 * torch.tensor(spec.std).view(1, 3, 1, 1)))

    @property
    def levels(self) -> Sequence[nn.Module]:
        """What gives each level's map, early to late."""
        return list(self.stages)

    def cast(self, dtype: torch.dtype) -> None:
        """Compute in `dtype`; pixels are still normalised, and maps still pooled, in float32."""
        mean, scale = self.mean, self.scale
        self.to(dtype)
        self.mean, self.scale = mean, scale

    def normalised(self, pixels: Tensor) -> Tensor:
        """uint8 [n, s, s, 3] → [n, 3, s, s] in the network's own number format."""
        x = (pixels.permute(0, 3, 1, 2).float() - self.mean) * self.scale
        return x.to(next(self.parameters()).dtype)

    def forward(self, pixels: Tensor) -> Tensor:
        x = self.normalised(pixels)
        pooled = []
        for stage, wanted in zip(self.stages, self.statistics, strict=True):
            x = stage(x)
            pooled += pool(x.flatten(2).float(), wanted)
        return torch.cat(pooled, 1)


def pool(cells: Tensor, wanted: Sequence[Statistic]) -> list[Tensor]:
    """Statistics over the last axis of [n, c, cells]; the deviation is the population's."""
    mean = cells.mean(-1)
    pooled: dict[Statistic, Callable[[], Tensor]] = {
        "mean": lambda: mean,
        "max": lambda: cells.amax(-1),
        "std": lambda: (cells - mean[..., None]).square().mean(-1).sqrt(),
    }
    return [pooled[statistic]() for statistic in wanted]


class TokenPyramid(Pyramid):
    """A vision transformer: its patch tokens after each group of blocks, then its [CLS] token."""

    def __init__(self, spec: BackboneSpec, net: models.VisionTransformer) -> None:
        blocks = list(net.encoder.layers)
        quarter = len(blocks) // 4
        groups = [nn.Sequential(*blocks[i : i + quarter]) for i in range(0, 4 * quarter, quarter)]
        super().__init__(spec, [*groups, net.encoder.ln])
        self.embed = net.conv_proj
        self.cls = net.class_token
        self.position = net.encoder.pos_embedding

    def forward(self, pixels: Tensor) -> Tensor:
        x = self.embed(self.normalised(pixels)).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls.expand(x.shape[0], -1, -1), x], 1) + self.position
        pooled = []
        *groups, norm = self.stages
        for group, wanted in zip(groups, self.statistics, strict=False):
            x = group(x)
            pooled += pool(x[:, 1:].transpose(1, 2).float(), wanted)
        return torch.cat([*pooled, norm(x)[:, 0].float()], 1)


def pyramid(name: str, weights_dir: Path | None) -> tuple[Pyramid, Weights]:
    """Of a backbone whose levels are kept here: its network with its real weights, frozen."""
    loaded = weights(name, weights_dir)
    return build(get(name, weights_dir), loaded.state).eval().requires_grad_(False), loaded


def build(spec: BackboneSpec, state: State) -> Pyramid:
    """The pyramid of an image backbone from its tensors. Raises `weights_invalid`."""
    floats = {key: t.float() if t.is_floating_point() else t for key, t in state.items()}
    net = _architecture(spec.name)
    floats = unprefixed(spec.name, _named_as(net.state_dict(), floats), floats)
    try:
        own = _renamed(spec.name, floats)
    except (KeyError, IndexError, ValueError) as error:
        told = f"{spec.name}: the file has tensors of another network: copy it again"
        raise HeadstartError("weights_invalid", told) from error
    taught = classes(net.state_dict(), own)
    if taught is not None:  # the last layer is not read
        net = _architecture(spec.name, num_classes=taught)
    fill(spec.name, net, own)
    if isinstance(net, models.VisionTransformer):
        return TokenPyramid(spec, net)
    return Pyramid(spec, _STAGES[spec.name](net))


def _architecture(name: str, **taught: int) -> nn.Module:
    """Without numbers: on the meta device there are no random weights that could stay."""
    with torch.device("meta"):
        if name in LITE_REPEATS:
            net: nn.Module = timm.create_model(f"tf_{name}", pretrained=False, **taught)
        else:
            net = models.get_model(name, weights=None, **taught)
    return net


def _cut(features: nn.Sequential, ends: Sequence[int]) -> list[nn.Module]:
    return [features[a:b] for a, b in zip((0, *ends), ends, strict=False)]


def _efficientnet(net: nn.Module) -> list[nn.Module]:
    parts = dict(net.named_children())
    first, *blocks = parts["blocks"].children()
    stem = nn.Sequential(parts["conv_stem"], parts["bn1"], first)
    return [stem, *blocks, nn.Sequential(parts["conv_head"], parts["bn2"])]


def _resnet(net: nn.Module) -> list[nn.Module]:
    *stem, layer2, layer3, layer4, _pool, _classifier = net.children()
    return [nn.Sequential(*stem), layer2, layer3, layer4]


_STAGES: Mapping[str, Callable[..., list[nn.Module]]] = {
    **dict.fromkeys(LITE_REPEATS, _efficientnet),
    "mobilenet_v2": lambda net: _cut(net.features, (2, 4, 7, 11, 14, 17, 18, 19)),
    "squeezenet1_1": lambda net: _cut(net.features, (2, 5, 8, 11, 13)),
    "resnet18": _resnet,
    "resnet50": _resnet,
}


_STEM = "_conv_stem.weight"
"""The first tensor of the packages' implementation."""


def _named_as(own: Iterable[str], state: Iterable[str]) -> Iterable[str]:
    """Names that tell where a network begins in a file: its own, or those of the packages'."""
    return [_STEM, "_bn0.weight"] if any(key.endswith(_STEM) for key in state) else own


def _renamed(name: str, state: State) -> State:
    """The packages' efficientnets have another implementation's names; others fit as they are."""
    if name not in LITE_REPEATS or _STEM not in state:
        return state
    return {_lite_key(key, LITE_REPEATS[name]): tensor for key, tensor in state.items()}


def _lite_key(key: str, repeats: Sequence[int]) -> str:
    outer = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2"}
    head, _, rest = key.partition(".")
    if head != "_blocks":
        return f"{({**outer, '_fc': 'classifier'})[head]}.{rest}"
    number, layer, leaf = rest.split(".")
    stage, place = _lite_block(int(number), repeats)
    return f"blocks.{stage}.{place}.{_lite_layer(layer, expands=stage > 0)}.{leaf}"


def _lite_block(number: int, repeats: Sequence[int]) -> tuple[int, int]:
    """The stage of the `number`-th block, and its place there."""
    for stage, count in enumerate(repeats):
        if number < count:
            return stage, number
        number -= count
    raise IndexError(f"there is no block {number}")


def _lite_layer(layer: str, *, expands: bool) -> str:
    """The first block does not expand, so its norms and its projection are numbered one less."""
    if expands:
        return {
            "_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw",
            "_bn1": "bn2", "_project_conv": "conv_pwl", "_bn2": "bn3",
        }[layer]  # fmt: skip
    return {"_depthwise_conv": "conv_dw", "_project_conv": "conv_pw"}.get(layer, layer[1:])
