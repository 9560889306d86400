"""Sizes and names: small files, small folders, one meaning a class name, no trace of a machine."""

from __future__ import annotations

import ast
import re
from collections import Counter, defaultdict
from pathlib import Path

from tests.house.reading import SUFFIXES, nodes, sources, text_of, tracked

MOST_LINES = 400
LONG = {
    "migrations/versions/0001_first_tables.py": "the first schema whole; what is released stays",
    "worker/ml/heads/bundle/run.py": "one file that is copied into bundles and needs no other",
}
MOST_FILES = 20
FULL = {
    "docs/adr": "decisions are only ever added",
    "benchmarks/results": "a figure a file, by the name of its benchmark",
    "migrations/versions": "as migrations are",
}
TRACE = re.compile(
    "/" + r"work/|/" + r"root/|files\.python" + "hosted|--(extra-)?" + "index-url|/sim" + "ple/"
)


def test_no_file_is_long() -> None:
    lines = {
        path.as_posix(): text_of(path).count("\n")
        for path in sources("app", "worker", "migrations", "benchmarks", "tests")
    }
    assert {name for name, count in lines.items() if count > MOST_LINES} == set(LONG)


def test_no_folder_is_full() -> None:
    counts = Counter(path.parent.as_posix() for path in tracked())
    assert {folder for folder, count in counts.items() if count > MOST_FILES} <= set(FULL)


def test_no_class_name_stands_twice() -> None:
    where: dict[str, list[str]] = defaultdict(list)
    for path in sources("app", "worker"):
        for node in nodes(path):
            if isinstance(node, ast.ClassDef):
                where[node.name].append(path.as_posix())
    assert {name: paths for name, paths in where.items() if len(paths) > 1} == {}


def test_nothing_names_a_machine_path_or_an_index_host() -> None:
    found = [
        f"{path}: {hit.group()}"
        for path in tracked()
        if path.suffix in SUFFIXES and not _is_vendored(path)
        if (hit := TRACE.search(text_of(path)))
    ]
    assert found == []


def test_no_merge_is_half_done() -> None:
    marks = re.compile(r"^(<{7} |>{7} |={7}$)", re.M)
    found = [
        str(path) for path in tracked() if path.suffix in SUFFIXES and marks.search(text_of(path))
    ]
    assert found == []


def _is_vendored(path: Path) -> bool:
    return path.is_relative_to("app/console/static")


def _names_a_modality(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value in ("image", "text")


def _is_one(node: ast.AST) -> bool:
    name = node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", None)
    return name == "modality"


def test_what_differs_by_modality_is_asked_of_its_object() -> None:
    found = [
        f"{path}:{node.lineno}"
        for path in sources("app", "worker")
        for node in nodes(path)
        if isinstance(node, ast.Compare)
        and any(map(_is_one, (node.left, *node.comparators)))
        and any(map(_names_a_modality, (node.left, *node.comparators)))
    ]
    assert not found, f"app.core.modalities has an object each: {found}"
