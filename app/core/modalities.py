"""The two modalities, an object each: what differs between images and texts is asked of it here.

What only one room does with them lies there, in a table by modality (`worker.ml.engines.readings`,
`worker.predictor.readers`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from app.core import texts
from app.core.manifest import Modality

View = Literal["squish", "mirror", "pad", "crop", "large", "rot90", "rot180", "rot270"]
"""What a picture is read as."""

MIRROR: View = "mirror"
"""The one that may show another thing."""

Depth = Literal["partial", "lora", "full"]
"""How deep a network is tuned: its last stages, adapters beside its layers, or all of it."""
TuningMethod = Literal["partial", "lora", "full", "setfit"]
"""The methods that tune a network: one a depth, and `setfit`, which tunes what `lora` does."""
MAP, PIXELS = "map:", "pixels:"
"""Before a view's name: of that view not the embedding, but the activations at the cut, or the
pixels themselves.
"""


def mapped(view: str, depth: str = "partial") -> str:
    """The name of what a network that is tuned so deep reads of a view."""
    return f"{MAP if depth == 'partial' else PIXELS}{view}"


TUNED_VIEWS = ("squish", "mirror", "crop", "pad")
"""Those of pictures on whose activations or pixels a network is tuned."""


def pictured(view: str) -> str:
    """The view whose pixels a view of any kind is made of."""
    return view.removeprefix(MAP).removeprefix(PIXELS)


def is_mapped(view: str) -> bool:
    """Whether it is of activations."""
    return view.startswith(MAP)


def is_pixels(view: str) -> bool:
    """Whether it is of pixels."""
    return view.startswith(PIXELS)


def read_by(depth: str, view: str) -> bool:
    """Whether a network that is tuned so deep reads it."""
    return is_mapped(view) if depth == "partial" else is_pixels(view)


PRIMARY: Mapping[Modality, str] = {"image": "squish", "text": "text"}
"""The view on a cold job's path: it decodes every example, and every model can use it alone."""

IDLE: Mapping[Modality, tuple[str, ...]] = {
    "image": ("mirror", "large", "pad", "rot90", "rot180", "rot270"),
    "text": (),
}
"""Views embedded while nobody waits, most useful first; a job uses those that are there."""

IDLE_CHUNK = 200
IDLE_MOST_EXAMPLES = 5000
"""Larger datasets have examples enough, and would keep a CPU busy for minutes."""


@dataclass(frozen=True, kw_only=True)
class ModalitySpec:
    """What is so for every dataset, backbone and model of one modality.

    `views` are all ways to read an example; `in_tables`, whether a table's cells are examples;
    `windowed`, whether a backbone reads tokens, a window at a time; `deep`, whether samples may
    have more than eight bits, so that a dataset has a scale; `copied`, whether embeddings
    tell near copies of an example; `read_by_heads`, whether heads read them beside embeddings.
    """

    name: Modality
    views: tuple[str, ...]
    in_tables: bool
    windowed: bool
    deep: bool
    copied: bool
    read_by_heads: bool
    identity: Callable[[bytes], str | None]
    """The sha256 of what is the same in equal examples, where it is not that of the bytes."""
    weights: str
    """What to put where, so that a backbone called `{name}` has its weights."""
    depths: tuple[Depth, ...] = ()
    """How deep its networks can be tuned."""
    tuned: tuple[str, ...] = ()
    """The views on whose activations a network is tuned, all of its own side."""
    bundled: str | None = None
    """Why a model is not exported as a whole network."""
    saliency: str | None = None
    """Why there are no saliency maps."""
    thumbnail: str | None = None
    """Why an example has no small picture."""

    @property
    def primary(self) -> str:
        """The view on a cold job's path."""
        return PRIMARY[self.name]


IMAGE = ModalitySpec(
    name="image",
    views=get_args(View),
    in_tables=False,
    windowed=False,
    deep=True,
    copied=True,
    read_by_heads=False,
    depths=("partial", "lora", "full"),
    tuned=TUNED_VIEWS,
    identity=lambda data: None,  # noqa: ARG005
    weights="put {name}.safetensors or {name}.pth into HEADSTART_WEIGHTS_DIR",
)
TEXT = ModalitySpec(
    name="text",
    views=(PRIMARY["text"],),
    in_tables=True,
    windowed=True,
    deep=False,
    copied=False,
    read_by_heads=True,
    depths=("lora", "full"),
    identity=texts.identity,
    weights="put its Hugging Face folder (config.json, model.safetensors, tokenizer.json) at "
    "HEADSTART_WEIGHTS_DIR/{name}",
    bundled="a text model reads words beside its embedding, and is exported as `head` only",
    saliency="saliency maps are of images",
    thumbnail="a text has no thumbnail: read its content",
)
MODALITIES: Mapping[str, ModalitySpec] = {one.name: one for one in (IMAGE, TEXT)}
