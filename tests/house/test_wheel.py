"""What is installed is whole: the wheel holds every file and declares every package in use."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import venv
import zipfile
from collections.abc import Mapping
from email import message_from_bytes
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tests.house.reading import ROOT, nodes, sources, tracked

OURS = {"app", "worker", "migrations"}
OPTIONAL = {"onnxruntime": "of a bundle's runner, which openvino runs as well"}
COMES_WITH = {
    "anyio": "fastapi",
    "starlette": "fastapi",
    "pydantic-core": "pydantic",
    "kombu": "celery",
}
"""Packages that are a declared one's own surface."""
SHARED = {"opentelemetry": ["opentelemetry-sdk", "opentelemetry-exporter-otlp-proto-http"]}
"""Modules that many packages have a part of, and those that are in use."""


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of the tracked files by the project's own build backend."""
    folder = tmp_path_factory.mktemp("wheel")
    for path in tracked():
        if path.parts[0] in OURS or len(path.parts) == 1:
            target = folder / "source" / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((ROOT / path).read_bytes())
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=folder / "source", check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


def test_every_file_is_inside(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        inside = {name for name in archive.namelist() if ".dist-info/" not in name}
        licences = [name for name in archive.namelist() if name.endswith("licenses/LICENSE")]
    assert inside == {path.as_posix() for path in tracked() if path.parts[0] in OURS}
    assert licences


@pytest.mark.parametrize(
    ("folders", "extras"),
    [
        (("app",), {"api", "worker", "traces", "formats"}),
        (("worker",), {"worker", "formats"}),
        (("migrations",), set()),
    ],
)
def test_what_is_imported_is_declared(
    wheel: Path, folders: tuple[str, ...], extras: set[str]
) -> None:
    used = {name for name in _imported(folders) if name not in OPTIONAL}
    assert {COMES_WITH.get(name, name) for name in used} <= _declared(wheel, extras)


def test_the_app_without_its_command_needs_nothing_of_the_workers(wheel: Path) -> None:
    used = {COMES_WITH.get(name, name) for name in _imported(("app",), besides="app/cli")}
    assert used <= _declared(wheel, {"api", "traces", "formats"})


def test_a_fresh_environment_has_the_command_and_the_demos_digits(
    wheel: Path, tmp_path: Path
) -> None:
    """Dependencies are borrowed from this environment; scikit-learn, a tool of ours, is not."""
    venv.create(tmp_path / "fresh", with_pip=False)
    python = tmp_path / "fresh/bin/python"
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "--no-deps"]
    subprocess.run([*install, "--no-index", "-q", str(wheel)], check=True, capture_output=True)
    code = (
        "import sys; sys.modules['sklearn'] = None\n"
        "import app.cli.demo as demo\n"
        "train, held_out, name = demo._digits()\n"
        "print(demo.__file__, len(train), len(held_out))"
    )
    borrowed = os.environ | {"PYTHONPATH": str(Path(pytest.__file__).parents[1])}
    for command in ([python, "-c", code], [tmp_path / "fresh/bin/headstart", "demo", "--help"]):
        done = subprocess.run(
            command, cwd=tmp_path, env=borrowed, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        if "-c" in command:
            where, *counts = done.stdout.split()
            assert Path(where).is_relative_to(tmp_path)
            assert counts == ["100", "1697"]


@cache
def _imported(folders: tuple[str, ...], besides: str = "-") -> frozenset[str]:
    """The distributions, in their normal names, that modules under `folders` import."""
    found: set[str] = set()
    by_module = {**_distributions(), **SHARED}
    for path in sources(*folders):
        if path.is_relative_to(besides):
            continue
        for name in _modules(path) - OURS - sys.stdlib_module_names:
            found.update(_normal(one) for one in by_module.get(name, [name]))
    return frozenset(found)


@cache
def _distributions() -> Mapping[str, list[str]]:
    """What is installed, by the names of modules: thousands of files are read for it."""
    return packages_distributions()


def _modules(path: Path) -> set[str]:
    names: set[str] = set()
    for node in nodes(path):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.add(node.module)
    return {name.partition(".")[0] for name in names}


def _declared(wheel: Path, extras: set[str]) -> set[str]:
    """What the wheel's own metadata requires with these extras."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (one for one in archive.namelist() if one.endswith(".dist-info/METADATA"))
        metadata = message_from_bytes(archive.read(name))
    required: set[str] = set()
    for line in metadata.get_all("Requires-Dist", []):
        extra = re.search(r"extra == ['\"](\w+)['\"]", line)
        if extra is None or extra[1] in extras:
            required.add(_normal(re.match(r"[\w.-]+", line)[0]))  # type: ignore[index]
    return required


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
