"""The guide's lines for a shell, run against an alias with models, a log and held-out examples."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.e2e.archives import drawn, zipped
from tests.e2e.conftest import Service
from tests.servers import wait_for

NAME = "cells@production"
WAIT = {"Prefer": "wait=100"}
_LOGGED = 60
"""Requests, of which a fifth is written down."""


@dataclass(frozen=True)
class Alias:
    """What stands for the pages' `…`: datasets, and two models of which the alias means one."""

    service: Service
    dataset: str
    held_out: str
    models: tuple[str, str]

    def said(self, block: str) -> str:
        """The block with names for what it leaves open."""
        for before in ('"dataset": "', "--dataset "):
            block = block.replace(f"{before}ds_…", before + self.dataset)
        block = block.replace("ds_…", self.held_out)
        if "ft:…" in block:
            block = block.replace("ft:…", self._other())
        if "pred_…" in block:
            block = block.replace("pred_…", self._logged())
        assert "…" not in block, block
        return block

    def _other(self) -> str:
        """The model that the alias does not mean."""
        with self.service.client() as client:
            means = client.get(f"/v1/aliases/{NAME}").json()["model"]
        return next(model for model in self.models if model != means)

    def _logged(self) -> str:
        """A prediction that was written down."""
        with self.service.client() as client:
            for picture in pictures(_LOGGED // 2, seed=95).values():
                headers = {"content-type": "image/png"}
                asked = client.post(
                    f"/v1/models/{NAME}/predictions", content=picture, headers=headers
                )
                assert asked.status_code == 200, asked.text
            audit = f"/v1/models/{NAME}/audit"
            rows = wait_for(lambda: client.get(audit, params={"n": 50}).json()["data"])
            return str(rows[0]["prediction_id"])


def pictures(per_class: int, *, seed: int) -> dict[str, bytes]:
    """Pictures of two classes of cells."""
    told = {"disc/": "WBC/", "bar/": "RBC/"}
    return {
        told[path[: path.index("/") + 1]] + path.partition("/")[2]: data
        for path, data in drawn(per_class=per_class, seed=seed).items()
        if path.startswith(tuple(told))
    }


def lived_in(service: Service) -> Alias:
    """Two models of a dataset, an alias that means the first, and examples that neither saw."""
    with service.client() as client:
        dataset = _upload(client, pictures(8, seed=91))
        held_out = _upload(client, pictures(20, seed=92))
        models = tuple(_train(client, dataset, seed=seed) for seed in (1, 2))
        client.put(f"/v1/aliases/{NAME}", json={"model": models[0]}).raise_for_status()
    return Alias(service, dataset, held_out, (models[0], models[1]))


def _upload(client: httpx.Client, files: dict[str, bytes]) -> str:
    sent = {"file": ("cells.zip", zipped(files))}
    answer = client.post("/v1/datasets", files=sent, headers=WAIT)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def _train(client: httpx.Client, dataset: str, *, seed: int) -> str:
    body = {"model": "efficientnet_lite0", "training_file": dataset, "seed": seed}
    job = client.post("/v1/fine_tuning/jobs", json=body, headers=WAIT).json()
    assert job["status"] == "succeeded", job
    return str(job["fine_tuned_model"])


def run(service: Service, block: str, folder: Path) -> None:
    """Run lines in bash as they stand; what answers is no problem."""
    done = subprocess.run(
        ["bash", "-euc", f"headstart() {{ {sys.executable} -m app.cli \"$@\"; }}\n{block}"],
        env=os.environ | {
            "URL": service.url,
            "KEY": service.key,
            "HEADSTART_URL": service.url,
            "HEADSTART_API_KEY": service.key,
            "XDG_CONFIG_HOME": str(folder),
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "NO_PROXY": "127.0.0.1",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, f"{block}\n{done.stderr}"
    assert done.stdout.strip(), block
    if "curl" in block:
        answer = json.loads(done.stdout)
        assert "urn:headstart:problem" not in str(answer.get("type")), done.stdout
