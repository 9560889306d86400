"""Linters and generators take the document, and what they generate works."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.clients.conftest import TOOLS, Running, run, tool

HERE = Path(__file__).parent
MYPY = """[mypy]
strict = true
warn_redundant_casts = false
[mypy-headstart_client.client]
ignore_errors = true
[mypy-headstart_client.api.hugging_face.*]
ignore_errors = true
"""
"""The generator forgets an import where an operation takes several kinds of body and no query."""
"""The generator's own template of the connection, the same for every document, is not strict."""


def test_it_is_openapi_3_1(document: Path) -> None:
    OpenAPIV31SpecValidator(json.loads(document.read_bytes())).validate()


def test_redocly_finds_nothing(document: Path) -> None:
    command = (tool("redocly"), "lint", document, "--format=stylish")
    said = run(*command, folder=document.parent, REDOCLY_SUPPRESS_UPDATE_NOTICE="true")
    assert "Your API description is valid" in said
    assert " warning " not in said


def test_a_generated_python_client_is_typed_and_goes_the_whole_way(
    document: Path, running: Running
) -> None:
    folder = document.parent
    generate = (tool("openapi-python-client"), "generate", "--path", document)
    said = run(
        *generate, "--meta", "none", "--output-path", folder / "headstart_client", folder=folder
    )
    assert "removal of" not in said
    assert "duplicate" not in said
    shutil.copy(HERE / "generated_flow.py", folder)
    (folder / "mypy.ini").write_text(MYPY)
    check = (sys.executable, "-m", "mypy", "headstart_client", "generated_flow.py")
    run(*check, folder=folder)
    told = run(sys.executable, "generated_flow.py", running.url, running.key, folder=folder)
    assert told.splitlines()[-1] == "done"


def test_generated_typescript_compiles(document: Path) -> None:
    folder = document.parent
    run(tool("openapi-typescript"), document, "-o", folder / "api.d.ts", folder=folder)
    shutil.copy(HERE / "usage.ts", folder)
    run(tool("tsc"), "--strict", "--noEmit", "usage.ts", folder=folder)


def test_the_openai_package_of_node_goes_the_whole_way(tmp_path: Path, running: Running) -> None:
    assert tool("tsc"), "openai is installed beside it"
    (tmp_path / "node_modules").symlink_to(TOOLS / "node_modules")
    shutil.copy(HERE / "flow.mjs", tmp_path)
    said = run("node", "flow.mjs", folder=tmp_path, BASE=f"{running.url}/v1", KEY=running.key)
    assert said.splitlines()[-1] == "done"
