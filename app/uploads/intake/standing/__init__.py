"""Which of the labels that were found are classes, and how each is spelled."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from dataclasses import replace

from app.core.manifest import Problem
from app.core.review import unlabelled
from app.core.texts import TRUTHS, truth_spelled
from app.uploads.intake.labels.rules import LabelRules, marks_none, none_is_marked
from app.uploads.intake.names import shown
from app.uploads.intake.pack import Draft


def settled(
    listed: Sequence[Draft], rules: LabelRules, known: Collection[str]
) -> tuple[list[Draft], list[Problem]]:
    """The examples whose labels are classes, each spelled in one way, and what is said of the
    others: the -1 of tables, and what is called `Unlabeled`. What is `known` to be a class, as the
    dataset has it or it was declared, is one as it stands."""
    hint = "" if rules.several or known else "; name it in `classes` if it is a class"
    places_of = _places(listed, unlabelled(_names(listed)) - set(known))
    problems = [_told([listed[at] for at in one], hint) for _, one in sorted(places_of.items())]
    listed = _without(listed, set().union(*places_of.values()))
    if not rules.several and not any(map(marks_none, known)) and none_is_marked(_by_split(listed)):
        places = {at for at, one in enumerate(listed) if _is_marked(one)}
        problems += [_told([listed[at] for at in sorted(places)], hint)] if places else []
        listed = _without(listed, places)
    return _spelled(listed, known), problems


def _names(listed: Iterable[Draft]) -> set[str]:
    return {name for draft in listed for name in draft.names}


def _by_split(listed: Iterable[Draft]) -> dict[str, set[str]]:
    labels: dict[str, set[str]] = defaultdict(set)
    for draft in listed:
        labels[draft.split or "train"].add(draft.label)
    return labels


def _places(listed: Sequence[Draft], names: Set[str]) -> dict[str, list[int]]:
    """Where the examples are that have one of the names, and nothing beside it."""
    places: dict[str, list[int]] = defaultdict(list)
    for at, one in enumerate(listed):
        if len(one.names) == 1 and one.names[0] in names:
            places[one.names[0]].append(at)
    return places


def _without(listed: Sequence[Draft], places: Set[int]) -> list[Draft]:
    return [one for at, one in enumerate(listed) if at not in places]


def _told(marked: Sequence[Draft], hint: str) -> Problem:
    """That examples of one label are left out."""
    name = shown(marked[0].names[0], 60)
    said = f"{len(marked)} example(s) have the label {name}, which beside other classes says that "
    said += f"nobody has labelled them: they are left out{hint}"
    return Problem(code="unlabelled", message=said, path=marked[0].path, excluded=True)


def _is_marked(draft: Draft) -> bool:
    """Whether its label is -1, and no folder's name."""
    return marks_none(draft.label) and not _is_placed(draft, draft.label)


def _is_placed(draft: Draft, name: str) -> bool:
    """Whether it is a folder's name: that somebody has typed."""
    return name in draft.path.split("/")


def _spelled(listed: Sequence[Draft], known: Collection[str]) -> list[Draft]:
    """The same with what says true or false in one way."""
    names = _names(listed)
    if names.isdisjoint(TRUTHS):
        return list(listed)
    told = [one for one in listed if not TRUTHS.isdisjoint(one.names)]
    typed = {name for one in told for name in one.names if _is_placed(one, name)}
    words = {name: truth_spelled(name, names, known) for name in TRUTHS - typed}
    words |= {name: truth_spelled(name, {name, _ANY_WORD}, known) for name in typed}
    return [one if TRUTHS.isdisjoint(one.names) else _with(one, words) for one in listed]


_ANY_WORD = "a"
"""Beside a folder's name: that is as it stands, whatever the others are."""


def _with(draft: Draft, words: Mapping[str, str]) -> Draft:
    label = words.get(draft.label, draft.label)
    denied = frozenset(words.get(name, name) for name in draft.denied)
    labels = draft.labels and tuple(sorted({words.get(name, name) for name in draft.labels}))
    return replace(draft, label=label, labels=labels, denied=denied)
