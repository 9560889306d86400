"""Nothing is left on the CPU that another device needs, and the numbers are the same there."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow


def test_tuning_and_embedding_move_all_that_they_need() -> None:
    command = [sys.executable, "-m", "tests.unit.worker.ml.tuning.apart"]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr[-2000:]
    told = json.loads(made.stdout)
    assert told["refused"], "tensors of two devices met, and nobody said so"
    assert set(told["errors"]) >= {"partial of pictures", "lora of texts", "efficientnet_lite0"}
    assert max(told["errors"].values()) < 0.05, told["errors"]
