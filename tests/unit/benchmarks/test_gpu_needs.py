"""What travels to a bare GPU machine is all that the service imports there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from benchmarks.gpu import needs

ROOT = Path(__file__).resolve().parents[3]
LEFT_HERE = ("openvino", "celery", "imagecodecs", "obstore", "redis", "gguf")
BROUGHT = frozenset(
    "attr brotli certifi charset_normalizer cuda cython_runtime filelock httpcore2 httpx2"
    " huggingface_hub idna jinja2 mpmath numpy pygments regex scipy sniffio sympy torch torchgen"
    " torchvision tqdm triton truststore typing_extensions yaml".split()
)
"""With torch, torchvision, transformers and what they are installed with."""
OURS = frozenset({"app", "benchmarks", "migrations", "worker"})
IMPORTED = """
import sys
for name in {left!r}:
    sys.modules[name] = None
import app.main, worker.predictor.process, worker.tensors.handler, worker.trainer.loop
import app.cli.embedded, benchmarks.gpu.over_http, worker.ml.engines.torch_engine
theirs = {{name.partition(".")[0] for name in sys.modules if sys.modules[name] is not None}}
print(" ".join(sorted(theirs - set(sys.stdlib_module_names))))
"""


def test_the_service_starts_without_what_is_left_here() -> None:
    code = IMPORTED.format(left=LEFT_HERE)
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    seen = {name for name in done.stdout.split() if not name.startswith("_")}
    assert seen - needs.NEEDED.keys() - BROUGHT - OURS == set(), "what has to travel, too"


def test_every_package_that_travels_is_pinned() -> None:
    travelling = set(needs.NEEDED.values()) - needs.THERE
    assert len(needs.pinned()) == len(travelling)
    assert all("==" in one for one in needs.pinned())


def test_nothing_is_missing_where_the_service_is_installed() -> None:
    assert needs.missing() == []
