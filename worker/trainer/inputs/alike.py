"""Which held-out examples show the same thing: near copies count together, as they do elsewhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from app.core.manifest import Example
from app.core.modalities import MODALITIES
from app.infra.orm import ModelRow
from worker.trainer.attempt import Attempt
from worker.trainer.inputs import near_copies
from worker.trainer.inputs.near_copies import FLIPPED

Unit = tuple[str, ...]
"""What near copies share; what has none is a unit of its own."""


def units(
    attempt: Attempt, model: ModelRow, examples: Sequence[Example], known: Sequence[Example] = ()
) -> dict[str, Unit]:
    """The unit of each example by id, of those `known` beside them, too: how far these are apart
    tells a copy from what a fixed camera sees.

    Of texts a word more may make another class's: only those of the same labels are one.
    """
    scale = model.card.get("config", {}).get("pixel_scale")
    facts = attempt.engine(model.backbone).reading(scale)
    everything = [*examples, *known]
    found = near_copies.linked(attempt, facts, everything)
    linked = found[0] if found is not None else []
    first = {one.content: group[0].content for group in linked for one in group}
    flipped = MODALITIES[model.modality].name in FLIPPED
    return {
        one.id: (first.get(one.content, one.content), *(one.names if flipped else ()))
        for one in everything
    }


def groups(examples: Sequence[Example], units: Mapping[str, Unit]) -> dict[str, str]:
    """The group of each example by id: near copies, and what shares a group, are one."""
    parent: dict[Unit, Unit] = {}

    def root(name: Unit) -> Unit:
        while (up := parent.setdefault(name, name)) != name:
            parent[name] = name = parent[up]
        return name

    for one in examples:
        if one.group is not None:
            parent[root(("copy", *units[one.id]))] = root(("group", one.group))
    return {one.id: " ".join(root(("copy", *units[one.id]))) for one in examples}


def copies(examples: Sequence[Example], units: Mapping[str, Unit]) -> int:
    """How many of the examples another one of them shows, too."""
    sizes = Counter(units[one.id] for one in examples)
    return sum(size for size in sizes.values() if size > 1)
