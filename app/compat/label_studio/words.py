"""A project's choices beside the classes of a model: which of them are the same word."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from app.core.errors import HeadstartError
from app.core.texts import alike, by_word

_NEAR = 0.8
_NAMED = 5


@dataclass(frozen=True, slots=True)
class Says:
    """What a model says: its classes, and whether several of them at once."""

    labels: Sequence[str] = ()
    several: bool = False


ONE = Says()
"""One label, of classes that are not known."""


@dataclass(frozen=True, slots=True)
class ChoiceWords:
    """`choice_of` has the choice of each class that has one; `strange` are choices of no class,
    `left` classes of no choice."""

    choice_of: Mapping[str, str]
    strange: Sequence[str]
    left: Sequence[str]

    @classmethod
    def between(cls, choices: Collection[str], labels: Collection[str]) -> ChoiceWords:
        """By what they say, as enums are read; where a task brings its choices, or a model's card
        does not name its classes, each is the other."""
        if not choices or not labels:
            return cls({one: one for one in (*labels, *choices)}, (), ())
        means = classes_of(choices, labels)
        counts = Counter(means.values())
        choice_of = {
            label: choice
            for choice, label in means.items()
            if label in labels and (choice == label or (counts[label] == 1))
        }
        strange = sorted(set(choices) - set(choice_of.values()))
        return cls(choice_of, strange, sorted(set(labels) - choice_of.keys()))

    def check_any(self) -> None:
        """Raise invalid_request where no choice is a class: nothing could ever be said."""
        if not self.choice_of and self.left:
            some, own = _few(self.strange), _few(self.left)
            why = f"none of the choices ({some}) is a class of the model, which says {own}"
            raise HeadstartError("invalid_request", why, param="label_config")

    def check(self) -> None:
        """The same; also where a choice seems to be a class that is spelled otherwise."""
        self.check_any()
        for choice in self.strange:
            if near := get_close_matches(choice, self.left, n=1, cutoff=_NEAR):
                why = f"the choice {choice!r} is no class of the model, whose {near[0]!r} is no "
                why += "choice: spell them alike"
                raise HeadstartError("invalid_request", why, param="label_config")


def classes_of(choices: Iterable[str], labels: Collection[str]) -> dict[str, str]:
    """The class that each choice means, as the model spells it; the choice itself where none is."""
    known, words = set(labels), by_word(labels)
    return {one: one if one in known else words.get(alike(one), one) for one in choices}


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(map(repr, names[:_NAMED])) + more
