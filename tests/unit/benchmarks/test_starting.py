"""Every benchmark imports and starts: a figure that nobody can measure again is none."""

from __future__ import annotations

import importlib
import re
import runpy
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[3]
WITHOUT_OURS = {"benchmarks.serving.competitors.litserve_torch"}
"""LitServe is no dependency of ours; who compares with it names a Python that has it."""
COMMANDS = sorted(set(re.findall(r"-m (benchmarks[\w.]*)", (ROOT / "Makefile").read_text())))
MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in (ROOT / "benchmarks").rglob("*.py")
    if path.stem not in ("__init__", "__main__")
)


@pytest.mark.parametrize("name", sorted(set(MODULES) - WITHOUT_OURS))
def test_it_imports(name: str) -> None:
    importlib.import_module(name)


@pytest.mark.parametrize("command", [*COMMANDS, "benchmarks.make_statistics"])
@pytest.mark.filterwarnings("ignore:.*found in sys.modules:RuntimeWarning")
def test_it_starts(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [command, "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(command, run_name="__main__", alter_sys=True)
    assert ended.value.code == 0
    assert "usage:" in capsys.readouterr().out


def test_make_bench_runs_every_figure() -> None:
    """What records a result is reached by a command of the Makefile."""
    recording = {
        name
        for name in MODULES
        if re.search(r"^\s*record\(", (ROOT / f"{name.replace('.', '/')}.py").read_text(), re.M)
    }
    assert {name.removesuffix(".run") for name in recording} - {"benchmarks.record"} == set(
        COMMANDS
    )
