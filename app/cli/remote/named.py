"""Datasets, examples and jobs by what people call them, and what a shell can complete."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Annotated, Any

import httpx
import typer

from app.cli.remote.connection import client_of, known_address
from app.cli.remote.pages import every
from app.core.errors import HeadstartError

DATASET_ID = re.compile("ds_[0-9a-z]{26}")
_EXAMPLE_ID = re.compile("ex_[0-9a-f]{24}")
_SECONDS = 2.0
_MOST = 1000
"""Examples a page."""


def dataset_of(client: httpx.Client, name: str) -> dict[str, Any]:
    """The dataset of an id, or the only one of a name. Raises not_found or invalid_value."""
    if DATASET_ID.fullmatch(name):
        return dict(client.get(f"/v1/datasets/{name}").json())
    found = [one["id"] for one in every(client, "/v1/datasets") if one["name"] == name]
    if len(found) > 1:
        why = f"{len(found)} datasets are called {name!r}: say which, {', '.join(found[:5])}"
        raise HeadstartError("invalid_value", why)
    if not found:
        raise HeadstartError("not_found", f"there is no dataset {name!r}, nor a file or folder")
    return dict(client.get(f"/v1/datasets/{found[0]}").json())


def examples_of(client: httpx.Client, dataset: str, names: list[str]) -> list[str]:
    """The ids of examples by id or by path, in the same order. Raises not_found."""
    missing = {name for name in names if not _EXAMPLE_ID.fullmatch(name)}
    known = {name: name for name in names if name not in missing}
    if missing:
        for one in every(client, f"/v1/datasets/{dataset}/examples", limit=_MOST):
            if one["path"] in missing:
                known[one["path"]] = one["id"]
                missing.discard(one["path"])
            if not missing:
                break
    if missing:
        raise HeadstartError("not_found", f"{dataset} has no example {min(missing)!r}")
    return [known[name] for name in names]


def _suggested(path: str, key: str, incomplete: str) -> list[str]:
    """What a running service has that begins so; nothing where none answers."""
    address = known_address()
    if address is None:
        return []
    with suppress(httpx.HTTPError, httpx.InvalidURL, HeadstartError, ValueError, KeyError):
        with client_of(address) as client:
            client.timeout = httpx.Timeout(_SECONDS)
            told = client.get(path, params={"limit": 100}).json()["data"]
        names = [str(one[name]) for one in told for name in ("id", key) if one.get(name)]
        return [name for name in names if name.startswith(incomplete)]
    return []


def suggested_datasets(incomplete: str) -> list[str]:
    """Ids and names of datasets, for a shell."""
    return _suggested("/v1/datasets", "name", incomplete)


def suggested_jobs(incomplete: str) -> list[str]:
    """Ids of jobs, for a shell."""
    return _suggested("/v1/fine_tuning/jobs", "id", incomplete)


DatasetName = Annotated[
    str, typer.Argument(help="A dataset's id or name.", autocompletion=suggested_datasets)
]
JobName = Annotated[str, typer.Argument(help="A job's id.", autocompletion=suggested_jobs)]
