"""`headstart jobs`: list, watch and cancel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import httpx
import typer

from app.cli.remote import training
from app.cli.remote.connection import connected
from app.cli.remote.named import JobName
from app.cli.remote.pages import Everything, Limit, every, first, tell_more
from app.cli.remote.show import AsJson, dump, out, table
from app.cli.remote.training import bars, watch

jobs = typer.Typer(no_args_is_help=True, help="List, watch and cancel jobs.")


@jobs.command("list")
def list_jobs(limit: Limit = 20, everything: Everything = False, as_json: AsJson = False) -> None:
    """The newest jobs: what each is trained on, and the model that came of it."""
    with connected() as client:
        path = "/v1/fine_tuning/jobs"
        told, more = first(client, path, limit=limit, everything=everything)
        names = {} if as_json else _names(client, told)
    tell_more(more, len(told))
    if as_json:
        dump(told)
        return
    rows = [
        (
            one["id"],
            one["status"],
            one["method"]["type"],
            _trained_on(one, names),
            one["model"],
            one["fine_tuned_model"] or "",
        )
        for one in told
    ]
    table(("id", "status", "method", "dataset", "backbone", "model"), rows)


def _names(client: httpx.Client, listed: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """The names of the datasets that the jobs are trained on, as far as those are there."""
    wanted = {one["dataset"]["id"] for one in listed}
    names: dict[str, str] = {}
    for one in every(client, "/v1/datasets") if wanted else ():
        if one["id"] in wanted:
            names[one["id"]] = one["name"]
        if names.keys() == wanted:
            break
    return names


def _trained_on(job: Mapping[str, Any], names: Mapping[str, str]) -> str:
    pinned = job["dataset"]
    return f"{names.get(pinned['id'], pinned['id'])}, version {pinned['version']}"


@jobs.command("watch")
def watch_job(job: JobName, as_json: AsJson = False) -> None:
    """Follow a job to its end; the exit status tells how it ended."""
    with connected() as client:
        with bars() as progress:
            ended = watch(client, job, progress)
        training.tell(client, ended, as_json=as_json)


@jobs.command("cancel")
def cancel_job(job: JobName) -> None:
    """Cancel a job."""
    with connected() as client:
        told = client.post(f"/v1/fine_tuning/jobs/{job}/cancel").json()
    out.print(f"{told['id']} is {told['status']}")
