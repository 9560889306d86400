"""How answers are shown: a table for people, or JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from app.cli.options import plain_console

_WIDE = 10_000
"""Columns of what no terminal shows: nothing is folded there."""
out = plain_console(width=None if plain_console().is_terminal else _WIDE)
_CONTROLS = dict.fromkeys(
    (*range(10), *range(11, 32), *range(127, 160)), "\N{REPLACEMENT CHARACTER}"
)
"""What a file's name may hold and a terminal would obey."""
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


def dump(told: Any) -> None:
    """As JSON, on standard output."""
    typer.echo(json.dumps(told, indent=2, ensure_ascii=False))


def strong(word: str, value: str, *more: str) -> None:
    """One line on standard output: `word`, and `value` in bold."""
    out.print(Text.assemble(word, (value, "bold")), *more)


def table(columns: Sequence[str], rows: Iterable[Sequence[str | Text]]) -> None:
    """As a table; without colours or borders where nobody watches."""
    shown = Table(box=None, pad_edge=False, header_style="dim")
    for column in columns:
        shown.add_column(column, overflow="fold")
    for row in rows:
        shown.add_row(*(_cell(one) for one in row))
    out.print(shown)


def _cell(told: str | Text) -> str | Text:
    return told.translate(_CONTROLS) if isinstance(told, str) else told


def headline(judged: dict[str, Any]) -> tuple[str, dict[str, Any] | None]:
    """What a model or an evaluation is told by: its accuracy; with several labels, its mAP."""
    if judged.get("label_mode") == "multi_label":
        return "mAP", judged.get("mean_average_precision")
    return "accuracy", judged.get("accuracy")


def figure(interval: dict[str, Any] | None) -> str:
    """`87.6% (84.8 to 89.9%)`."""
    if not interval or interval.get("value") is None:
        return "too few to tell"
    if interval.get("low") is None:
        return f"{interval['value']:.1%}"
    return f"{interval['value']:.1%} ({100 * interval['low']:.1f} to {interval['high']:.1%})"
