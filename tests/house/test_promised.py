"""What docs/reliability.md and docs/security.md promise has the tests that they name."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.house.reading import ROOT, nodes, sources, text_of

PAGES = [Path("docs/reliability.md"), Path("docs/security.md")]
TEST = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")
ROW = re.compile(r"^\| (?:(\d+) \| )?(.+) \| (`tests/.+`) \|$", re.M)
PROMISES = set(range(1, 21))


def functions(path: str) -> set[str]:
    return {node.name for node in nodes(Path(path)) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_test_that_is_named_exists(page: Path) -> None:
    named = TEST.findall(text_of(page))
    assert len(named) > 5
    assert [path for path, _ in named if not (ROOT / path).is_file()] == []
    assert [one for one in named if one[1] and one[1] not in functions(one[0])] == []


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_row_of_a_table_of_promises_names_a_test(page: Path) -> None:
    tables = re.findall(r"^\|.*promise \| test \|\n\|[-|]+\n((?:\|.*\n)+)", text_of(page), re.M)
    assert tables
    lines = "".join(tables).splitlines()
    assert [line for line in lines if not ROW.match(line)] == []


def test_each_of_the_twenty_promises_has_the_tests_that_are_marked_as_its() -> None:
    told: dict[int, set[str]] = {number: set() for number in PROMISES}
    for number, _, tests in ROW.findall(text_of(PAGES[0])):
        if number:
            told[int(number)] |= {name for _, name in TEST.findall(tests)}
    assert all(told.values())
    for path in sources("tests"):
        for number, name in marked(path):
            assert name in told[number] or number == 15, f"{path}: {name} is of promise {number}"


def marked(path: Path) -> list[tuple[int, str]]:
    """The functions with `@pytest.mark.promise(number)`."""
    if "mark.promise(" not in text_of(path):
        return []
    return [
        (int(str(mark.args[0].value)), node.name)
        for node in nodes(path)
        if isinstance(node, ast.FunctionDef)
        for mark in node.decorator_list
        if isinstance(mark, ast.Call) and getattr(mark.func, "attr", "") == "promise"
        and isinstance(mark.args[0], ast.Constant)
    ]  # fmt: skip
