"""Answers of two models, drawn: how often only the one or only the other is right."""

from __future__ import annotations

from random import Random

from app.core.promotion.pairs import Pair, Verdicted


def answer(label: str, *, right: bool) -> Verdicted:
    """A confident answer."""
    return Verdicted(label if right else f"not {label}", 0.9 if right else 0.05)


def pairs_of(
    *, won: int = 0, lost: int = 0, right: int = 0, wrong: int = 0, group: int = 1
) -> list[Pair]:
    """So many pairs of each kind, of two classes in turn, `group` in a row in one group."""
    kinds = [(True, False)] * won + [(False, True)] * lost
    kinds += [(True, True)] * right + [(False, False)] * wrong
    return [
        Pair(
            "ab"[place % 2],
            str(place // group),
            answer("ab"[place % 2], right=candidate),
            answer("ab"[place % 2], right=incumbent),
        )
        for place, (candidate, incumbent) in enumerate(kinds)
    ]


def draw(random: Random, count: int, *, won: float, lost: float, accuracy: float) -> list[Pair]:
    """`count` pairs, a share of which only the candidate, or only the incumbent, has right."""
    kinds = []
    for _ in range(count):
        at = random.random()
        both = random.random() < accuracy
        kinds.append((at < won or (at >= won + lost and both), won <= at < won + lost))
        if at >= won + lost:
            kinds[-1] = (both, both)
    return [
        Pair(label, str(place), answer(label, right=one), answer(label, right=other))
        for place, ((one, other), label) in enumerate(
            zip(kinds, random.choices("ab", k=count), strict=True)
        )
    ]
