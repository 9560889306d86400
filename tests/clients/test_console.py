"""The console's modules, as TypeScript's checker reads their JSDoc."""

from __future__ import annotations

from pathlib import Path

from tests.clients.conftest import run, tool

WEB = Path(__file__).parents[2] / "app/console/web"


def test_the_modules_types_hold(tmp_path: Path) -> None:
    assert run(tool("tsc"), "-p", WEB / "tsconfig.json", folder=tmp_path) == ""
