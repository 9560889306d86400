"""A network of a few thousand numbers in the shape of a real one, and examples of its levels."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from app.core.backbones import BackboneSpec, pyramid
from app.core.modalities import TUNED_VIEWS, Depth, mapped
from worker.ml.backbones.cuts import CutNetwork, find, suffix, whole
from worker.ml.backbones.networks import Pyramid
from worker.ml.backbones.suffix import Suffix
from worker.ml.engines.tunable import adapted
from worker.ml.tasks import Support

SIDE = 32
CHANNELS = (4, 6, 8, 12)
SPEC = BackboneSpec(
    name="tiny", modality="image", dim=CHANNELS[-1], layout=pyramid(CHANNELS), licence="MIT",
    input_size=SIDE,
)  # fmt: skip


def network() -> Pyramid:
    """Four levels, each halving the resolution; norms that do something."""
    torch.manual_seed(0)
    stages, before = [], 3
    for channels in CHANNELS:
        norm = nn.BatchNorm2d(channels)
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.uniform_(norm.bias, -0.5, 0.5)
        nn.init.uniform_(norm.running_mean, -0.2, 0.2)
        nn.init.uniform_(norm.running_var, 0.5, 1.5)
        conv = nn.Conv2d(before, channels, 3, stride=2, padding=1, bias=False)
        stages.append(nn.Sequential(conv, norm, nn.ReLU(inplace=True)))
        before = channels
    return Pyramid(SPEC, stages).eval().requires_grad_(False)


def tiny_suffix(depth: Depth = "partial") -> Suffix:
    """What is tuned of it."""
    if depth == "partial":
        return suffix(SPEC, network())
    everything = whole(SPEC, network())
    return everything if depth == "full" else adapted(everything)


def both(pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Vectors [n, D], and activations [n, width] at the cut."""
    made = network()
    with torch.no_grad():
        rows = CutNetwork(made, find(SPEC, made))(pixels)
    return rows[:, : SPEC.width], rows[:, SPEC.width :]


def pictures(per_class: int, classes: int = 3, *, seed: int = 0) -> tuple[Tensor, Tensor]:
    """uint8 [n, s, s, 3] of stripes in the colour that their class says, and labels [n]."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(classes).repeat(per_class)
    shift = torch.randint(0, 16, (len(labels), 1, 1), generator=generator)
    places = torch.arange(SIDE)[None, None, :] + shift
    stripes = (places // 4) % 2 * 180
    colour = torch.nn.functional.one_hot(labels, 3)[:, None, None]
    noise = torch.randint(0, 40, (len(labels), SIDE, SIDE, 3), generator=generator)
    return (stripes[..., None] * colour + noise).to(torch.uint8), labels


def seen(per_class: int, classes: int = 3, *, seed: int = 0, blur: float = 0.0) -> Support:
    """Pictures as the network sees them, with what is at its cut for every view.

    With `blur` the vectors are mostly noise, so that only what is at the cut tells classes apart.
    """
    pixels, labels = pictures(per_class, classes, seed=seed)
    vectors, maps = both(pixels)
    mirrored, mirrored_maps = both(pixels.flip(2))
    noise = torch.randn(vectors.shape, generator=torch.Generator().manual_seed(seed + 1))
    vectors, mirrored = (rows + blur * noise for rows in (vectors, mirrored))
    features = {"squish": vectors.half(), "mirror": mirrored.half()}
    for view in TUNED_VIEWS:
        features[mapped(view)] = (mirrored_maps if view == "mirror" else maps).half()
        shown = pixels.flip(2) if view == "mirror" else pixels
        features[mapped(view, "full")] = shown.flatten(1)
    return Support(
        features=features,
        labels=labels,
        groups=torch.arange(len(labels)),
        ids=[f"ex_{seed}_{row}" for row in range(len(labels))],
        classes=[f"c{number}" for number in range(classes)],
    )
