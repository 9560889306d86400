"""`make gpu-check` goes its whole way where there is no GPU, tiny: it must not rot until one is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RESULT = ROOT / "benchmarks" / "results" / "gpu.json"
STEPS = (
    "parity", "embedding", "texts", "jpeg_decoding", "cold_job", "serving", "resume", "deeper",
    "caps",
)  # fmt: skip


def checked(*arguments: str) -> subprocess.CompletedProcess[str]:
    alone = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "benchmarks.gpu", *arguments]
    return subprocess.run(
        command, check=False, cwd=ROOT, env=alone, capture_output=True, text=True, timeout=580
    )


@pytest.mark.timeout(600)
def test_it_goes_its_whole_way_without_a_gpu() -> None:
    before = RESULT.read_bytes() if RESULT.exists() else None
    done = checked("--dry")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "everything holds" in done.stdout
    assert [step for step in STEPS if f'"{step}"' not in done.stdout] == []
    assert (RESULT.read_bytes() if RESULT.exists() else None) == before, "no GPU, no result"
