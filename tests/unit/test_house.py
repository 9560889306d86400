"""Rules of the house that no linter states."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from app.core.errors import TITLES
from app.http.exception_handlers import STATUSES

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("torch", "torchvision", "openvino", "timm", "transformers", "numpy", "pyarrow", "worker")


def test_importing_the_app_loads_nothing_heavy() -> None:
    code = f"import sys, app.main; print([m for m in {HEAVY!r} if m in sys.modules])"
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert found.stdout.strip() == "[]"


def test_importing_the_trainers_parent_loads_no_torch() -> None:
    code = "import sys, worker.trainer, worker.trainer.tasks; print('torch' in sys.modules)"
    found = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env=os.environ | {"HEADSTART_BROKER_URL": "redis://127.0.0.1:1/0"},
    )
    assert found.stdout.strip() == "False"


def test_every_code_has_a_status_and_a_title() -> None:
    assert set(STATUSES) == set(TITLES)


def test_every_raised_code_is_in_the_table() -> None:
    raised = {
        code
        for folder in ("app", "worker")
        for path in (ROOT / folder).rglob("*.py")
        for code in re.findall(r'HeadstartError\(\s*"([a-z_]+)"', path.read_text())
    }
    assert raised <= set(TITLES)


def test_nothing_names_a_machine_path_or_an_index_host() -> None:
    listed = subprocess.run(
        ["git", "ls-files"], capture_output=True, text=True, check=True, cwd=ROOT
    )
    pattern = re.compile("/" + r"work/|/" + r"root/|files\.python" + "hosted")
    for name in listed.stdout.splitlines():
        path = ROOT / name
        if path.suffix in {".py", ".md", ".toml", ".yml", ".txt", ".json", ""} and path.is_file():
            assert not pattern.search(path.read_text(errors="ignore")), name
