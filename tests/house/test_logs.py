"""Log calls hand over errors: `app.infra.telemetry.logs` decides what is told of them."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

import pytest

from tests.house.reading import nodes, sources

LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}
LOGS = {"log", "bound", "_log", "logger"}
OPERATORS = {
    "worker/predictor/process.py": "weights and precision that the operator has named",
    "worker/trainer/loop.py": "a precision that the operator has named",
}
"""Where a message stands that no caller has a part in."""


def spelled_out(source: Iterable[ast.AST]) -> Iterator[int]:
    """The lines of log calls that make a text of an error themselves, or take its message."""
    for call in source:
        if isinstance(call, ast.Call) and _is_log(call.func):
            for part in [*call.args, *(one.value for one in call.keywords)]:
                if any(map(_spells, ast.walk(part))):
                    yield call.lineno


def _is_log(function: ast.expr) -> bool:
    if not isinstance(function, ast.Attribute) or function.attr not in LEVELS:
        return False
    return isinstance(function.value, ast.Name) and function.value.id in LOGS


def _spells(node: ast.AST) -> bool:
    made = isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("str", "repr", "format")
    return made or getattr(node, "attr", "") == "message" or isinstance(node, ast.JoinedStr)


def test_no_log_call_spells_an_error_out() -> None:
    found = {path.as_posix() for path in sources("app", "worker") if any(spelled_out(nodes(path)))}
    assert found == set(OPERATORS), "hand the error over: reason=error"


@pytest.mark.parametrize(
    ("call", "wrong"),
    [
        ("log.warning('x', reason=str(error))", True),
        ("log.info('x', reason=error.message)", True),
        ("bound.error(f'x {error}')", True),
        ("log.warning('x', reason=error)", False),
        ("log.warning('x', code=error.code)", False),
    ],
)
def test_the_rule_finds_what_it_is_for(call: str, wrong: bool) -> None:
    assert any(spelled_out(ast.walk(ast.parse(call)))) is wrong
