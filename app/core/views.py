"""Views: the ways to read an example, and which of them are embedded when."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from app.core.manifest import Modality

View = Literal["squish", "mirror", "pad", "crop", "large", "rot90", "rot180", "rot270"]
"""What a picture is read as."""

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
