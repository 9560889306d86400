"""How the child is started."""

from __future__ import annotations

import os
from pathlib import Path

from worker.trainer.tensor_process import environment


def test_the_child_finds_the_package_whatever_the_folder_it_starts_in() -> None:
    first = Path(environment()["PYTHONPATH"].split(os.pathsep)[0])
    assert (first / "worker" / "tensors" / "__main__.py").is_file()
    assert (first / "app").is_dir()
