"""How many labels an example may have, and how a cell says them."""

from __future__ import annotations

import ast
import json
from collections.abc import Sequence
from dataclasses import dataclass

LONGEST = 20_000
"""Characters of a cell that may be a list."""


@dataclass(frozen=True, slots=True)
class LabelRules:
    """`several`: an example may have several labels, or none. `judging`: it may not yet, but what
    has several says that it should. `separator` parts the labels of one text, and `negative` is the
    name that says that an example belongs to no class.
    """

    several: bool = False
    judging: bool = False
    separator: str | None = None
    negative: str | None = None

    def parted(self, text: str) -> Sequence[str] | None:
        """The labels that one text says; None where it is one label as it stands."""
        if self.separator is not None:
            return [one.strip() for one in text.split(self.separator) if one.strip()]
        if not (self.several or self.judging):
            return None
        return _list(text.strip())


SINGLE = LabelRules()


def _list(text: str) -> list[str] | None:
    """A list of texts as JSON or Python writes it; None for anything else."""
    if not (text.startswith("[") and text.endswith("]")) or len(text) > LONGEST:
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        try:
            found = ast.literal_eval(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            return None
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        return None
    return found
