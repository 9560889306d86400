"""Lists with a sentence for each picture, as sets for captions have them: they say no classes."""

from __future__ import annotations

import re
from collections.abc import Sequence

_CALLED = re.compile(r"(?i)(?:^|[\W_\d])(?:captions?|descriptions?|prompts?)(?:$|[\W_\d])")
"""What such lists are called."""
_SMALL_WORDS = (
    "a an the of in on is are and with at to for his her its un une le la les de des du et dans "
    "sur der die das ein eine einen und im mit auf el los las una en con y il lo gli di e"
)
_SMALL = frozenset(_SMALL_WORDS.split())
"""Words that sentences have, and labels side by side have not."""
_WORDS = 3
"""Of a sentence, in the mean."""
WHY = (
    "it has captions, a sentence for each picture, which are no classes: leave it out, lay the "
    "pictures into class folders, or say their labels in a CSV with path and label"
)


def are_captions(name: str, said: Sequence[str]) -> bool:
    """Whether what a list called `name` says of the pictures, one text each, are sentences."""
    told = [one.split() for one in said if one.strip()]
    if not told or sum(map(len, told)) < _WORDS * len(told):
        return False
    own = 2 * len({" ".join(one) for one in told}) >= len(told)
    sentences = sum(any(word.lower().strip(".,!") in _SMALL for word in one) for one in told)
    return own and (_CALLED.search(name) is not None or 2 * sentences > len(told))
