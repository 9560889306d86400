"""What an append makes of contents that the dataset has: the newest word on each holds.

An example that is there stays one example under its own id, whatever file or row it comes back in.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from app.core import manifest
from app.core.manifest import Example, Problem
from app.core.texts import visible

_SHOWN = 5
CORRECTED = "label_corrected"
Denied = Mapping[str, frozenset[str]]
"""By content, the labels that an upload says are not there."""
NOTHING: Denied = MappingProxyType({})


@dataclass(kw_only=True)
class Merged:
    """The examples that were there, some corrected, and then those that are new."""

    examples: list[Example]
    added: int = 0
    corrected: list[str] = field(default_factory=list)
    """Of each example that has another label now, in words, from what to what."""
    moved: int = 0
    """Examples with the same label in another group or split."""
    unchanged: int = 0
    undecided: list[str] = field(default_factory=list)
    """Paths of the upload that contradict each other about an example that is there."""

    def told(self) -> list[Problem]:
        """What is said of it, once each and counted."""
        return [*self._of_corrected(), *self._of_known(), *self._of_undecided()]

    def _of_corrected(self) -> Iterable[Problem]:
        if self.corrected:
            said = f"{len(self.corrected)} example(s) were there with another label, and have the "
            said += f"newer one now: {_some(self.corrected)}"
            yield Problem(code=CORRECTED, message=said)

    def _of_known(self) -> Iterable[Problem]:
        if self.unchanged or self.moved:
            said = f"{self.unchanged + self.moved} example(s) are in the dataset already, with the "
            said += "same label: they are not added a second time"
            said += f"; {self.moved} of them change their group or split" if self.moved else ""
            yield Problem(code="duplicate_example", message=said)

    def _of_undecided(self) -> Iterable[Problem]:
        if self.undecided:
            said = f"{len(self.undecided)} row(s) or file(s) contradict each other about the label "
            said += f"of what is there already, which keeps its own: {_some(self.undecided)}"
            yield Problem(code="label_conflict", message=said, excluded=True)


def merged(
    known: Sequence[Example],
    sent: Sequence[Example],
    problems: Sequence[Problem],
    *,
    splits: bool,
    denied: Denied = NOTHING,
) -> Merged:
    """`known` with the newest word of `sent`, whose own `problems` say which of it cannot be used.

    `splits`: whether the upload itself says which split its examples are in; else those that are
    there stay in theirs. Of an example that it only says to lack the `denied` labels, those go.
    """
    places: dict[str, list[int]] = defaultdict(list)
    for at, example in enumerate(known):
        places[example.content].append(at)
    result = Merged(examples=list(known))
    words = _words([one for one in sent if one.content in places], problems)
    result.undecided = [one.path for one in sent if words.get(one.content, one) is None]
    for content, word in words.items():
        if word is not None:
            absent = denied.get(content, frozenset())
            for at in places[content]:
                said = _left(known[at], word, absent)
                _settle(result, at, _newer(known[at], said, splits=splits))
    fresh = [one for one in sent if one.content not in places]
    result.examples += fresh
    result.added = len(fresh)
    return result


def _words(sent: Sequence[Example], problems: Sequence[Problem]) -> dict[str, Example | None]:
    """What the upload says of each content; None where it contradicts itself."""
    words: dict[str, Example | None] = {one.content: None for one in sent}
    for one in reversed(manifest.usable(sent, problems)):
        words[one.content] = one
    return words


def _left(known: Example, word: Example, denied: frozenset[str]) -> Example:
    """What is said of `known`: where it is only what is not there, its labels without that."""
    if word.names or not denied:
        return word
    kept = tuple(name for name in known.names if name not in denied)
    return word.model_copy(update={"labels": kept})


def _newer(known: Example, word: Example, *, splits: bool) -> Example:
    said: dict[str, object] = {"label": word.label, "labels": word.labels}
    if word.names != known.names:
        said["confirmed"] = False
    if word.group is not None:
        said["group"] = word.group
    if splits:
        said["split"] = word.split
    return known.model_copy(update=said)


def _settle(result: Merged, at: int, newer: Example) -> None:
    known = result.examples[at]
    result.examples[at] = newer
    if newer.names != known.names:
        result.corrected.append(f"{known.path} from {_named(known)} to {_named(newer)}")
    elif (newer.group, newer.split) != (known.group, known.split):
        result.moved += 1
    else:
        result.unchanged += 1


def _named(example: Example) -> str:
    return " and ".join(f"'{visible(name[:60])}'" for name in example.names) or "no class"


def _some(said: Sequence[str]) -> str:
    return "; ".join(said[:_SHOWN]) + ("; …" if said[_SHOWN:] else "")
