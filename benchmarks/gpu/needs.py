"""What a bare machine with torch may lack, and which wheels bring it there."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path

CONSTRAINTS = Path(__file__).resolve().parents[2] / "constraints.txt"
NEEDED: Mapping[str, str] = {
    "alembic": "alembic", "annotated_doc": "annotated-doc", "annotated_types": "annotated-types",
    "anyio": "anyio", "click": "click", "cronsim": "cronsim", "deprecated": "deprecated",
    "dotenv": "python-dotenv", "fastapi": "fastapi", "greenlet": "greenlet", "h11": "h11",
    "httpcore": "httpcore", "httptools": "httptools", "httpx": "httpx", "limits": "limits",
    "mako": "mako", "markdown_it": "markdown-it-py", "markupsafe": "markupsafe",
    "mdurl": "mdurl", "opentelemetry": "opentelemetry-api", "packaging": "packaging",
    "PIL": "pillow",
    "prometheus_client": "prometheus_client", "psycopg": "psycopg",
    "psycopg_binary": "psycopg-binary", "pydantic": "pydantic", "pydantic_core": "pydantic_core",
    "pydantic_settings": "pydantic-settings", "python_multipart": "python-multipart",
    "rich": "rich", "safetensors": "safetensors", "simplejpeg": "simplejpeg",
    "sqlalchemy": "sqlalchemy", "standardwebhooks": "standardwebhooks", "starlette": "starlette",
    "structlog": "structlog", "threadpoolctl": "threadpoolctl", "tifffile": "tifffile",
    "timm": "timm", "tokenizers": "tokenizers", "transformers": "transformers", "typer": "typer",
    "typing_inspection": "typing-inspection", "uvicorn": "uvicorn", "uvloop": "uvloop",
    "wrapt": "wrapt",
}  # fmt: skip
"""Modules and the packages that bring them: all that the service imports here but torch. OpenVINO,
Celery, imagecodecs, obstore and redis are not among them: a GPU computes without them.
"""

THERE = frozenset({"pillow", "safetensors", "tokenizers", "transformers"})
"""What torchvision and transformers bring: a bare machine has them, and they are large."""


def missing() -> list[str]:
    """Packages whose modules this Python does not find."""
    found = (name for name in NEEDED if importlib.util.find_spec(name) is None)
    return [NEEDED[name] for name in found]


def pinned() -> list[str]:
    """`name==version` of all that may have to travel, as constraints.txt has it."""
    lines = (line.strip() for line in CONSTRAINTS.read_text("utf-8").splitlines())
    known = {_plain(line.partition("==")[0]): line.split(";")[0].strip() for line in lines if line}
    return [known[_plain(name)] for name in NEEDED.values() if name not in THERE]


def _plain(name: str) -> str:
    return name.strip().lower().replace("_", "-").replace(".", "-")
