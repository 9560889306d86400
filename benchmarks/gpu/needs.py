"""What a bare machine with torch may lack, and which wheels bring it there."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Iterable
from importlib import metadata

from packaging.requirements import Requirement

THERE = frozenset({
    "torchvision", "pillow", "numpy", "transformers", "tokenizers", "safetensors",
    "huggingface-hub", "hf-xet", "regex", "scipy",
})  # fmt: skip
"""What is there beside torch and all that it needs, of any version; what is small travels."""
ENTRIES = (
    "app.main", "app.cli.embedded", "worker.predictor.process", "worker.tensors.handler",
    "worker.trainer.loop", "worker.ml.engines.torch_engine", "benchmarks.gpu.over_http",
)  # fmt: skip
BY_NAME = ("uvicorn", "httptools", "uvloop", "timm", "alembic.command")
"""Loaded later, by their names or by who needs them."""
LEFT = ("openvino", "celery", "imagecodecs", "obstore", "redis", "gguf")
"""What a GPU computes without; large, most of it."""
_IMPORTS = "\n".join(
    (
        "import importlib, sys",
        "for name in {left!r}: sys.modules[name] = None",
        "for name in {entries!r}: importlib.import_module(name)",
        "print(*(name for name in sys.modules if '.' not in name and sys.modules[name]))",
    )
)


def missing() -> str | None:
    """The first module that cannot be imported here."""
    try:
        for name in (*ENTRIES, *BY_NAME):
            importlib.import_module(name)
    except ModuleNotFoundError as error:
        return error.name
    return None


def travelling() -> list[str]:
    """`name==version` of what the service imports, and of all that this needs, but what is there.

    Raises subprocess.CalledProcessError where it does not start without what is left here.
    """
    where = metadata.packages_distributions()
    code = _IMPORTS.format(left=LEFT, entries=(*ENTRIES, *BY_NAME))
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    imported = {one for name in done.stdout.split() for one in where.get(name, ())}
    needed = _with_needs(imported) - (_with_needs(["torch"]) - {"typing-extensions"})
    return sorted(
        f"{name}=={metadata.version(name)}" for name in needed - THERE - {"headstart", *LEFT}
    )


def _with_needs(names: Iterable[str]) -> set[str]:
    """Of distributions all that they require and is installed here, extras left out."""
    waiting, found = [_plain(name) for name in names], set()
    while waiting:
        name = waiting.pop()
        if name in found or name in LEFT:
            continue
        try:
            told = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue
        found.add(name)
        waiting += (_plain(one.name) for one in map(Requirement, told) if _applies(one))
    return found


def _applies(one: Requirement) -> bool:
    return one.marker is None or one.marker.evaluate({"extra": ""})


def _plain(name: str) -> str:
    return name.strip().lower().replace("_", "-").replace(".", "-")
