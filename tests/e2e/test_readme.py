"""The README's commands, run as they stand: only the address is another."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from openai import OpenAI

from tests.e2e.archives import drawn, zipped
from tests.e2e.conftest import Service

README = (Path(__file__).resolve().parents[2] / "README.md").read_text("utf-8")


def snippet(heading: str, *, language: str) -> str:
    """The code under a heading."""
    section = README.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    (code,) = re.findall(rf"^```{language}\n(.*?)^```$", section, re.M | re.S)
    return str(code)


def at(service: Service, code: str) -> str:
    assert "http://127.0.0.1:8000" in code
    return code.replace("http://127.0.0.1:8000", service.url)


@pytest.fixture
def folder(service: Service, tmp_path: Path) -> Path:
    """Where somebody stands who has a service in `data`, a zip and a picture."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data/api-key").write_text(service.key + "\n")
    (tmp_path / "shapes.zip").write_bytes(zipped(drawn(per_class=6, seed=31)))
    (tmp_path / "one.png").write_bytes(drawn(per_class=1, seed=32)["disc/0.png"])
    return tmp_path


def test_by_curl(service: Service, folder: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl not found: the README's commands were not run")
    done = subprocess.run(
        ["sh", "-euc", at(service, snippet("By curl", language="sh"))],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["model"].startswith("ft:efficientnet_lite0:")
    assert answer["data"][0]["label"] in ("bar", "disc")


def test_by_the_sdk(service: Service, folder: Path) -> None:
    code = at(service, snippet("By the `openai` SDK", language="python"))
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith("ft:efficientnet_lite0:")


def test_the_loop_ends_for_a_cancelled_job(service: Service) -> None:
    tree = ast.parse(snippet("By the `openai` SDK", language="python"))
    (loop,) = [node for node in tree.body if isinstance(node, ast.While)]
    with OpenAI(base_url=service.url + "/v1", api_key=service.key) as client:
        file = client.files.create(
            file=("many.zip", zipped(drawn(per_class=150, seed=33))), purpose="fine-tune"
        )
        job = client.fine_tuning.jobs.create(model="efficientnet_lite0", training_file=file.id)
        assert client.fine_tuning.jobs.cancel(job.id).status == "cancelled"
        names = {"client": client, "job": job}
        exec(f"import time\n{ast.unparse(loop)}", names)
        assert names["job"].status == "cancelled"
