"""One line in a terminal where nothing runs and nothing was said: from a folder to a model."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.e2e.archives import drawn

ROOT = Path(__file__).parents[2]


def test_a_folder_becomes_a_model(tmp_path: Path) -> None:
    for name, content in drawn(per_class=6, seed=701).items():
        path = tmp_path / "shapes" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    said = {name: value for name, value in os.environ.items() if not name.startswith("HEADSTART_")}
    done = subprocess.run(
        [sys.executable, "-m", "app.cli", "train", "./shapes", "--wait"],
        cwd=tmp_path,
        env=said | {"XDG_CONFIG_HOME": str(tmp_path / "config"), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    assert "No service runs" in done.stderr
    assert re.search(r"accuracy\s+\d", done.stdout + done.stderr)
    assert "ft:efficientnet_lite0" in done.stdout + done.stderr
    assert '"event"' not in done.stderr, "the log of a service that nobody asked for is no news"
    assert "leaked" not in done.stderr, "what bindings leak is no news to whoever trains"
