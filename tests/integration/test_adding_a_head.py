"""The recipe of docs/adding_a_head.md, followed to the letter in a copy of the tree, and served."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.archives import drawn, zipped
from tests.servers import free_port, wait_for

ROOT = Path(__file__).resolve().parents[2]
RECIPE = ROOT / "docs" / "adding_a_head.md"
COPIED = ("app", "worker", "migrations")
_SECTION = re.compile(r"^## (New|In)[^`]*`([^`]+)`\n(.*?)(?=^## |\Z)", re.M | re.S)
_EDIT = re.compile(r"^(Replace|After|Before) `([^`]+)`[^\n]*\n\n```python\n(.*?)```$", re.M | re.S)
_BLOCK = re.compile(r"^```python\n(.*?)```$", re.M | re.S)


def follow(recipe: str, tree: Path) -> set[str]:
    """Write what the recipe says into the tree; answers the files that it touched."""
    for kind, name, section in _SECTION.findall(recipe):
        if kind == "New":
            assert not (tree / name).exists(), f"{name} is not new"
            (block,) = _BLOCK.findall(section)
            (tree / name).write_text(block)
        else:
            edited = (tree / name).read_text()
            for how, line, block in _EDIT.findall(section):
                edited = _edited(edited, how, line, block)
            (tree / name).write_text(edited)
    return {name for _, name, _ in _SECTION.findall(recipe)}


def _edited(text: str, how: str, line: str, block: str) -> str:
    found = f"\n{line}\n"
    assert text.count(found) == 1, f"the recipe names a line that is not there once: {line}"
    put = {"Replace": f"\n{block}", "After": f"{found}{block}", "Before": f"\n{block}{found[1:]}"}
    return text.replace(found, put[how])


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tree with the head in it."""
    tree = tmp_path_factory.mktemp("copy")
    for name in COPIED:
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    touched = follow(RECIPE.read_text(), tree)
    listed = set(re.findall(r"^\| `([^`<]+)`", RECIPE.read_text(), re.M))
    assert {name for name in touched if (ROOT / name).exists()} == listed
    return tree


@pytest.fixture(scope="module")
def client(copy: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """The copy's service, in processes of its own."""
    data, port = tmp_path_factory.mktemp("data"), free_port()
    command = [sys.executable, "-m", "app.cli", "up", "--port", str(port), "--data-dir", str(data)]
    process = subprocess.Popen(command, cwd=copy, env=os.environ | {"PYTHONPATH": str(copy)})
    url = f"http://127.0.0.1:{port}"
    try:
        wait_for(lambda: httpx.get(url + "/readyz").status_code == 200, seconds=120)
        key = (data / "api-key").read_text().strip()
        with httpx.Client(
            base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=120
        ) as found:
            yield found
    finally:
        process.terminate()
        process.wait(300)


def _model(client: httpx.Client) -> dict[str, Any]:
    """Of a job that learns drawn discs from drawn bars by the new head."""
    files = {"file": ("set.zip", zipped(drawn(per_class=6)))}
    dataset = client.post("/v1/datasets", files=files, headers={"Prefer": "wait=100"}).json()
    method = {"type": "nearest_mean", "nearest_mean": {"hyperparameters": {"sharpness": 5}}}
    body = {"model": "efficientnet_lite0", "training_file": dataset["id"], "method": method}
    job = client.post("/v1/fine_tuning/jobs", json=body, headers={"Prefer": "wait=100"}).json()
    assert job.get("status") == "succeeded", job
    return dict(client.get(f"/v1/models/{job['fine_tuned_model']}").json())


def test_the_head_is_listed_fitted_judged_and_served(client: httpx.Client) -> None:
    listed = {one["id"]: one for one in client.get("/v1/methods").json()["data"]}
    assert "sharpness" in listed["nearest_mean"]["hyperparameters"]["properties"]
    model = _model(client)
    evaluation = client.get(f"/v1/models/{model['id']}/evaluation").json()
    assert evaluation["how"]["method"] == "k-fold"
    assert evaluation["accuracy"]["value"] > 0.5
    new = drawn(per_class=5, seed=9)
    files = [("files", (name, content)) for name, content in new.items()]
    answer = client.post(f"/v1/models/{model['id']}/predictions", files=files)
    assert answer.status_code == 200, answer.text
    said = [row["label"] for row in answer.json()["data"]]
    assert sum(label == name.split("/")[0] for label, name in zip(said, new, strict=True)) >= 8


@pytest.mark.parametrize(
    ("good", "stale", "says"),
    [
        ("solvers/nearest_mean.py`", "solvers/matching.py`", "is not new"),
        ("matching.fit", "gone.fit", "not there once"),
    ],
)
def test_a_recipe_that_fits_the_tree_no_more_is_noticed(
    tmp_path: Path, good: str, stale: str, says: str
) -> None:
    for name in COPIED:
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    with pytest.raises(AssertionError, match=says):
        follow(RECIPE.read_text().replace(good, stale), tmp_path)
