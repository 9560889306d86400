"""Answers of the API with figures as they hardly ever are: 0, 1, none, huge."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

from playwright.sync_api import Page, Route


@dataclass(frozen=True)
class Draw:
    """What stands in the place of each figure."""

    interval: tuple[float | None, float | None, float | None]
    share: float
    amount: float
    count: int


DRAWS: Mapping[str, Draw] = {
    "nothing": Draw((0.0, 0.0, 0.0), 0.0, 0.0, 0),
    "all": Draw((1.0, 1.0, 1.0), 1.0, 1.0, 1),
    "not known": Draw((None, None, None), 1e-12, 1e-12, 2),
    "no interval": Draw((0.5, None, None), 0.5, 0.5, 3),
    "huge": Draw((0.9999999, 0.9999, 1.0), 0.9999999, 1e15, 10**15),
}
_INTERVAL = ("value", "low", "high")
_NO_FIGURE = re.compile(
    r"(_at|^version|_version|^number|^seed|^index|^place|^per_class|^size|^dim|^limit|_days|distance)$"
)
"""What names, orders or dates, and what is within bounds: no curve has a point of no example."""
UNSAID = re.compile(
    r"\bNaN\b|undefined|Infinity|\bnull\b|\[object|(?<![\w.,-])-0(?![\w.])|\d[eE]\+\d"
)
"""What no page says: a figure that is none, or is written for machines."""


def odd(answer: Any, draw: Draw, name: str = "") -> Any:
    """The answer with every figure as the draw has it; its names, texts and times stay."""
    if isinstance(answer, dict):
        drawn = {key: odd(one, draw, key) for key, one in answer.items()}
        known = set(_INTERVAL) <= answer.keys()
        return drawn | dict(zip(_INTERVAL, draw.interval, strict=True)) if known else drawn
    if isinstance(answer, list):
        return [odd(one, draw, name) for one in answer]
    if isinstance(answer, bool) or _NO_FIGURE.search(name):
        return answer
    if isinstance(answer, float):
        return draw.share if 0 <= answer <= 1 else draw.amount
    return draw.count if isinstance(answer, int) else answer


@dataclass
class Odd:
    """A page's answers, changed on their way; and what it was told of each address."""

    page: Page
    draw: Draw | None = None
    told: dict[str, Any] = field(default_factory=dict)

    def change(self, route: Route) -> None:
        """Hand over an answer as the draw has it."""
        answer = route.fetch()
        where = unquote(urlsplit(route.request.url).path)
        if self.draw is None or "json" not in answer.headers.get("content-type", ""):
            return route.fulfill(response=answer)
        self.told[where] = odd(json.loads(answer.text()), self.draw)
        return route.fulfill(response=answer, json=self.told[where])

    def said(self) -> str:
        """What the page says, to eyes and to ears."""
        return str(
            self.page.evaluate(
                """() => document.querySelector('main').innerText + '\\n' +
                [...document.querySelectorAll('main *')].flatMap((one) => ['aria-label', 'title',
                'alt', 'points', 'd', 'cx', 'cy', 'x1', 'y1', 'width', 'height'].map((name) =>
                one.getAttribute(name)).filter(Boolean)).join('\\n')"""
            )
        )


def percent(share: float | None) -> str:
    """A share as pages say it."""
    return "\N{EN DASH}" if share is None else f"{100 * share:.1f}%"
