"""What a process must not even load."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.house.reading import ROOT

HEAVY = ("torch", "torchvision", "openvino", "timm", "transformers", "numpy", "pyarrow", "worker")
NETWORKS = ("torchvision", "timm", "transformers", "torch._dynamo", "sympy", "scipy", "sklearn")
"""What makes networks, which a warm start has as graphs: seconds of every process's start."""


@pytest.mark.parametrize(
    ("imports", "unwanted"),
    [
        ("app.main", HEAVY),
        ("app.cli.commands", HEAVY),
        ("worker.trainer, worker.trainer.tasks", ("torch", "openvino")),
        ("worker.predictor.process", NETWORKS),
        ("worker.tensors.handler", NETWORKS),
    ],
)
def test_importing_loads_nothing_heavy(imports: str, unwanted: tuple[str, ...]) -> None:
    code = f"import sys, {imports}; print([m for m in {unwanted!r} if m in sys.modules])"
    found = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env=os.environ | {"HEADSTART_BROKER_URL": "redis://127.0.0.1:1/0"},
    )
    assert found.stdout.strip() == "[]"
