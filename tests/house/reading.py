"""What the rules read: the tracked files, and their Python as syntax trees."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SUFFIXES = {".py", ".md", ".toml", ".yml", ".txt", ".json", ".mako", ".html", ".svg", ""}
Function = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def tracked() -> tuple[Path, ...]:
    """Every file that git has or would take, relative to the root, as far as it is there."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    names = sorted(set(listed.stdout.splitlines()))
    return tuple(Path(name) for name in names if (ROOT / name).is_file())


def text_of(path: Path) -> str:
    """A tracked file's text."""
    return (ROOT / path).read_text("utf-8", errors="replace")


@cache
def parsed(path: Path) -> ast.Module:
    """A tracked file's syntax tree."""
    return ast.parse(text_of(path))


@cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    """All nodes of a tracked file's syntax tree: many rules look at each."""
    return tuple(ast.walk(parsed(path)))


def sources(*folders: str) -> list[Path]:
    """The tracked Python files under these top folders."""
    return [path for path in tracked() if path.suffix == ".py" and path.parts[0] in folders]


def functions(path: Path) -> Iterator[tuple[str, Function]]:
    """The functions of a module and the methods of its classes, with their names."""
    for node in parsed(path).body:
        if isinstance(node, Function):
            yield node.name, node
        elif isinstance(node, ast.ClassDef):
            yield from (
                (f"{node.name}.{inner.name}", inner)
                for inner in node.body
                if isinstance(inner, Function)
            )


def module_of(path: Path) -> str:
    """The dotted name of a module."""
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")
