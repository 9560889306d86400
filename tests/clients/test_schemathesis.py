"""Schemathesis: on every operation, what the document allows and what it does not."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.clients.conftest import Running, run, tool


@pytest.mark.timeout(300)
@pytest.mark.promise(18)
def test_every_answer_is_one_that_the_document_promises(running: Running, tmp_path: Path) -> None:
    """No 500, no undocumented status, type or shape; what is invalid is refused, links hold.

    `/metrics` needs the scope `operator`, and cancels and deletes happen in the flows of links.
    """
    shutil.copy(Path(__file__).with_name("schemathesis.toml"), tmp_path)
    said = run(
        tool("schemathesis"), "run", f"{running.url}/openapi.json",
        "--header", f"Authorization: Bearer {running.key}",
        "--checks", "all", "--max-examples", "3", "--phases", "examples,fuzzing,stateful",
        "--request-timeout", "60", "--seed", "1", "--continue-on-failure", "--no-shrink",
        "--exclude-path", "/metrics", "--generation-database", "none", "--warnings", "off",
        folder=tmp_path,
    )  # fmt: skip
    phases = [line for line in said.splitlines() if "✅" in line]
    for phase in ("Examples", "Fuzzing", "Stateful"):
        assert any(phase in line for line in phases), said
