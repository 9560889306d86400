"""`headstart train`: from a folder to a model in one line, with live bars."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Annotated, Any, cast

import httpx
import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from app.cli.options import console
from app.cli.remote.connection import connected
from app.cli.remote.named import DATASET_ID, dataset_of
from app.cli.remote.pack import Counted, check_there, kind_of, packed
from app.cli.remote.pages import every
from app.cli.remote.show import AsJson, dump, figure, headline, out, strong
from app.core.errors import HeadstartError
from app.core.ids import suffix_of

ENDED = frozenset({"succeeded", "failed", "cancelled"})
_POLL = 0.4
_PATHS = ("/", "./", "../")
"""How a source begins that is meant as a file or a folder; another may be a dataset's name."""


def bars() -> Progress:
    """Live bars on standard error, gone where nobody watches."""
    return Progress(
        TextColumn("{task.description:>12}", markup=False),
        BarColumn(),
        TextColumn("{task.percentage:3.0f}%"),
        TimeElapsedColumn(),
        console=console,
        transient=not console.is_terminal,
        disable=not console.is_terminal,
    )


def push(
    client: httpx.Client,
    path: Path,
    *,
    fields: Mapping[str, str],
    progress: Progress,
    to: str = "/v1/datasets",
) -> Any:
    """The dataset that became of a folder or a file, or that it was added `to`."""
    with packed(path) as (filename, file):
        file.seek(0, 2)
        task = progress.add_task("uploading", total=max(1, file.tell()))
        file.seek(0)
        counted = cast(IO[bytes], Counted(file, lambda size: progress.advance(task, size)))
        answer = client.post(to, files={"file": (filename, counted)}, data=dict(fields))
        progress.update(task, completed=progress.tasks[task].total)
        return answer.json()


def train(
    source: Annotated[str, typer.Argument(help="A folder, a file, or a dataset's id or name.")],
    *,
    wait: Annotated[bool, typer.Option(help="Until the model is there.")] = True,
    backbone: Annotated[str | None, typer.Option(help="The best here, if left out.")] = None,
    method: Annotated[str, typer.Option(help="One of GET /v1/methods.")] = "auto",
    name: Annotated[str | None, typer.Option(help="Of the dataset and the model.")] = None,
    seed: Annotated[int | None, typer.Option(min=0)] = None,
    as_json: AsJson = False,
) -> None:
    """From a folder to a model in one line: upload, embed, fit, measure."""
    if source.startswith(_PATHS) and not DATASET_ID.fullmatch(source):
        check_there(source)
    with connected() as client, bars() as progress:
        dataset = _dataset(client, source, name=name, progress=progress)
        body: dict[str, Any] = {
            "training_file": dataset["id"],
            "method": {"type": method},
        }
        if backbone is not None:
            body["model"] = backbone
        if suffix := suffix_of(name or dataset["name"]):
            body["suffix"] = suffix
        if seed is not None:
            body["seed"] = seed
        job = _begun(client, body, source)
        if wait:
            job = watch(client, job["id"], progress)
        progress.stop()
        tell(client, job, as_json=as_json)


def _dataset(client: httpx.Client, source: str, *, name: str | None, progress: Progress) -> Any:
    if DATASET_ID.fullmatch(source) or kind_of(source) is None:
        return dataset_of(client, source)
    if Path(source).name == source:
        _refuse_doubt(client, source)
    fields = {"name": name} if name else {}
    return push(client, Path(source), fields=fields, progress=progress)


def _refuse_doubt(client: httpx.Client, name: str) -> None:
    """Raises invalid_value where a bare name is a folder or file here and a dataset there."""
    called = [one["id"] for one in every(client, "/v1/datasets") if one["name"] == name]
    if called:
        why = (
            f"{name!r} is here as a file or folder, and there as a dataset: say ./{name} to upload "
            f"it as a new one, or {called[0]} to train on that one"
        )
        raise HeadstartError("invalid_value", why)


def _begun(client: httpx.Client, body: dict[str, Any], source: str) -> Any:
    """The job; where none can be had, it is said that an upload is there all the same."""
    try:
        return client.post("/v1/fine_tuning/jobs", json=body).json()
    except HeadstartError as error:
        if kind_of(source) is not None:
            why = f"{error.message}; the dataset is there: headstart train {body['training_file']}"
            raise HeadstartError(error.code, why) from error
        raise


def watch(client: httpx.Client, job_id: str, progress: Progress) -> Any:
    """Follow the job to its end; a lost connection is taken up again, and who stops waiting is told
    that the job does not stop.
    """
    try:
        return _followed(client, job_id, progress)
    except KeyboardInterrupt:
        progress.stop()
        how = f"headstart jobs watch {job_id}, or jobs cancel"
        console.print(f"{job_id} goes on while the service does: {how}", markup=False)
        raise


def _followed(client: httpx.Client, job_id: str, progress: Progress) -> Any:
    task = progress.add_task("waiting", total=1)
    lost = 0
    while True:
        try:
            job = client.get(f"/v1/fine_tuning/jobs/{job_id}").json()
            lost = 0
        except httpx.TransportError:
            lost += 1
            if lost > 60:
                raise
            time.sleep(min(5.0, lost))
            continue
        told = job["progress"] or {}
        stage = {"validating_files": "reading", "running": told.get("stage", "running")}
        progress.update(
            task,
            description=stage.get(job["status"], job["status"]),
            total=told.get("total") or 1,
            completed=told.get("done", 0),
        )
        if job["status"] in ENDED:
            return job
        time.sleep(_POLL)


def tell(client: httpx.Client, job: Any, *, as_json: bool) -> None:
    """Say what came of it. Raises training_failed for a job that came to nothing."""
    evaluation = None
    if job["status"] == "succeeded":
        evaluation = client.get(f"/v1/models/{job['fine_tuned_model']}/evaluation").json()
    if as_json:
        dump({"job": job, "evaluation": evaluation})
    if job["status"] in ("failed", "cancelled"):
        fault = job["error"] or {"code": "cancelled", "message": "it was cancelled"}
        raise HeadstartError(fault["code"], f"no model came of it: {fault['message']}")
    if as_json:
        return
    if evaluation is None:
        out.print(f"{job['id']} is {job['status']}; `headstart jobs watch {job['id']}` follows it")
        return
    strong("model     ", job["fine_tuned_model"])
    name, told = headline(evaluation)
    strong(f"{name:<10}" if len(name) < 10 else f"{name} ", figure(told), _how(evaluation))
    out.print(f"try it    headstart predict {job['fine_tuned_model']} FILE")


def _how(evaluation: Any) -> str:
    how = evaluation.get("how") or {}
    return f"on {how.get('num_examples', 0)} held-out examples, by {how.get('method', 'folds')}"
