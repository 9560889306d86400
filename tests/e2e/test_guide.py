"""The guide's Python, run page by page as it stands, by somebody who has what it speaks of."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from app.console.guide_pages import PAGES, source
from tests.e2e.archives import drawn, zipped
from tests.e2e.conftest import Service
from tests.e2e.guide_shells import Alias, lived_in, run
from tests.servers import missing


@pytest.fixture(scope="session")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of parts, the same zipped, one more picture, and a table of questions."""
    folder = tmp_path_factory.mktemp("desk")
    renamed = {
        name.replace("disc/", "crack/").replace("bar/", "ok/"): content
        for name, content in drawn(per_class=6, seed=71).items()
    }
    for name, content in renamed.items():
        path = folder / "parts" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (folder / "parts.zip").write_bytes(zipped(renamed))
    (folder / "picture.png").write_bytes(drawn(per_class=1, seed=72)["disc/0.png"])
    rows = [f"my card has not come {n},card\nthe transfer failed {n},transfer\n" for n in range(5)]
    (folder / "questions.csv").write_text("text,label\n" + "".join(rows))
    return folder


OF_SHELL = ("is_my_model_still_good", "retrain_from_your_labelling_tool", "canary_and_roll_back")
"""Pages of curl alone, about an alias that has lived for a while: `test_shells` runs them."""


@pytest.mark.parametrize("page", sorted(set(PAGES) - set(OF_SHELL)))
def test_the_pages_python_runs(service: Service, desk: Path, page: str) -> None:
    code = "\n".join(re.findall(r"^```python\n(.*?)^```$", source(page), re.M | re.S))
    assert code, "each page shows how a program does it"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=desk,
        env=os.environ | {"HEADSTART_URL": service.url, "HEADSTART_API_KEY": service.key},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def test_the_quickstarts_commands_run(service: Service, desk: Path, tmp_path: Path) -> None:
    (block,) = re.findall(r"^```sh\n(.*?)^```$", source("quickstart"), re.M | re.S)
    for line in block.splitlines():
        done = subprocess.run(
            [sys.executable, "-m", "app.cli", *line.split()[1:]],
            cwd=desk,
            env=os.environ
            | {
                "HEADSTART_URL": service.url,
                "HEADSTART_API_KEY": service.key,
                "XDG_CONFIG_HOME": str(tmp_path),
                "PYTHONPATH": str(Path(__file__).parents[2]),
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
        assert done.returncode == 0, done.stderr
    assert "crack" in done.stdout or "ok" in done.stdout


@pytest.fixture(scope="module")
def alias(service: Service) -> Alias:
    """What the pages of curl speak of."""
    return lived_in(service)


@pytest.mark.parametrize("page", [*OF_SHELL, "retrain_every_night"])
def test_the_pages_shell_runs(service: Service, alias: Alias, page: str, tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        missing("curl")
    blocks = re.findall(r"^```sh\n(.*?)^```$", source(page), re.M | re.S)
    assert blocks
    for block in blocks:
        run(service, alias.said(block), tmp_path)
