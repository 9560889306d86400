"""`headstart login`, `predict`, `models`, `evaluate` and `export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import httpx
import typer
from rich.text import Text

from app.cli.options import console
from app.cli.remote.connection import (
    DEFAULT_URL,
    Address,
    base_of,
    client_of,
    connected,
    no_service,
    object_of,
    remember,
)
from app.cli.remote.given import check_named, lines, text_of
from app.cli.remote.pack import kind_of
from app.cli.remote.show import AsJson, dump, figure, headline, out, strong, table
from app.core.errors import HeadstartError

_AT_ONCE = 32
ModelName = Annotated[str, typer.Argument(help="A model's id, an alias, or a model's name.")]


def login(
    url: Annotated[str, typer.Option(help="Where the service is.")] = DEFAULT_URL,
    key: Annotated[
        str | None,
        typer.Option(help="The key; asked for, if left out.", envvar="HEADSTART_API_KEY"),
    ] = None,
) -> None:
    """Remember a service and a key, for the commands that follow."""
    given = key or typer.prompt("API key", hide_input=True)
    address = Address(base_of(url), str(given).strip())
    with client_of(address) as client:
        answer = client.get("/v1/me")
    told = object_of(answer) or {}
    if not {"name", "organization_id"} <= told.keys():
        raise httpx.ConnectError(no_service(answer))
    path = remember(address)
    console.print(f"Signed in to {address.url} as “{told['name']}” of {told['organization_id']}")
    console.print(f"It is kept in {path}, for you alone")


def predict(
    model: ModelName,
    inputs: Annotated[list[str], typer.Argument(help="Files; or texts, for a model of texts.")],
    top: Annotated[int, typer.Option(min=1, help="Classes to show of each.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Ask a model about pictures or texts; `-` reads texts from standard input, one a line."""
    for one in inputs:
        check_named(one)
    with connected() as client:
        found = resolve(client, model)
        given = lines() if inputs == ["-"] else inputs
        rows: list[dict[str, Any]] = []
        for start in range(0, len(given), _AT_ONCE):
            rows += _ask(client, found, given[start : start + _AT_ONCE])
    told = [{"input": name, **row} for name, row in zip(given, rows, strict=True)]
    if as_json:
        dump(told)
    else:
        table(("input", "label", "probability"), [shown(row, top) for row in told])
    if any("error" in row for row in told):
        raise typer.Exit(1)


def _ask(client: httpx.Client, model: dict[str, Any], given: list[str]) -> list[dict[str, Any]]:
    url = f"/v1/models/{model['id']}/predictions"
    if model["modality"] == "text":
        asked = [{"text": text_of(one)} for one in given]
        return list(client.post(url, json={"inputs": asked}).json()["data"])
    missing = [one for one in given if kind_of(one) != "file"]
    if missing:
        kind = "is a folder: name its files" if kind_of(missing[0]) == "folder" else "is not there"
        raise HeadstartError("not_found", f"{missing[0]} {kind}")
    files = [("files", (Path(one).name, Path(one).read_bytes())) for one in given]
    return list(client.post(url, files=files).json()["data"])


def shown(row: dict[str, Any], top: int) -> tuple[str | Text, ...]:
    """An answer as a row of the table: the input, its label or labels, their probabilities."""
    if "error" in row:
        return row["input"], Text(row["error"]["code"], "red"), row["error"]["message"]
    best = row["predictions"][:top]
    if row.get("labels") is not None:  # several are true, or none
        best = [one for one in row["predictions"] if one["label"] in row["labels"]]
    if not best:
        return row["input"], Text("no label", "dim"), ""
    labels = "\n".join(one["label"] for one in best)
    unknown = " (unlike all it knows)" if row["unknown"] else ""
    return row["input"], labels + unknown, "\n".join(f"{one['probability']:.1%}" for one in best)


def resolve(client: httpx.Client, name: str) -> dict[str, Any]:
    """The model that an id, an alias or a model's name means; the newest of that name.

    Raises not_found.
    """
    known = client.get("/v1/models").json()["data"]
    named = [one for one in known if name == one["id"] or name in one["aliases"]]
    called = [one for one in known if name == one["suffix"]]
    for found in (*named, *called):
        return dict(found)
    raise HeadstartError("not_found", f"there is no model, alias or model's name {name!r}")


def models(as_json: AsJson = False) -> None:
    """All models, newest first."""
    with connected() as client:
        told = client.get("/v1/models").json()["data"]
        said = {} if as_json else {one["id"]: _figure_of(client, one) for one in told}
    if as_json:
        dump(told)
        return
    rows = [
        (
            one["suffix"] or "",
            said[one["id"]],
            one["method"],
            ", ".join(one["aliases"]),
            one["id"],
        )
        for one in told
    ]
    table(("name", "accuracy", "method", "aliases", "id"), rows)


def _figure_of(client: httpx.Client, model: dict[str, Any]) -> str:
    """What a model is known by; of several labels that stands in its evaluation alone."""
    if model["label_mode"] != "multi_label":
        return figure(model["accuracy"])
    try:
        judged = client.get(f"/v1/models/{model['id']}/evaluation").json()
    except HeadstartError as error:
        if error.code != "not_found":
            raise
        return figure(None)
    name, interval = headline({**model, **judged})
    return f"{figure(interval)} {name}"


def evaluate(model: ModelName, as_json: AsJson = False) -> None:
    """How good a model is, class by class, and what it mixes up."""
    with connected() as client:
        found = resolve(client, model)
        told = client.get(f"/v1/models/{found['id']}/evaluation").json()
    if as_json:
        dump(told)
        return
    how = told["how"] or {}
    if told["label_mode"] == "multi_label":
        strong("mAP                ", figure(told["mean_average_precision"]))
        for name in ("micro_f1", "macro_f1", "exact_match"):
            out.print(f"{name.replace('_', ' '):<18} {figure(told[name])}")
    else:
        strong("accuracy           ", figure(told["accuracy"]))
        out.print(f"balanced accuracy  {figure(told['balanced_accuracy'])}")
    out.print(f"measured by        {how.get('method')} on {how.get('num_examples')} examples")
    rows = [
        (one["label"], str(one["support"]), figure(one["recall"]), figure(one["precision"]))
        for one in sorted(told["per_class"] or [], key=lambda one: one["f1"]["value"] or 0)
    ]
    table(("class", "tested", "found", "right when said"), rows)
    for pair in (told["advice"] or {}).get("confused", [])[:5]:
        out.print(f"  {pair['message']}")


def export(
    model: ModelName,
    to: Annotated[str, typer.Option("--format", help="onnx, openvino, torch or head.")] = "onnx",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Where to.")] = None,
) -> None:
    """Write a model's bundle to a file: the whole network, its labels, a script that runs it."""
    with connected() as client:
        found = resolve(client, model)
        url = f"/v1/models/{found['id']}/artifacts/{to}"
        with console.status(f"making the {to} bundle"):
            answer = client.get(url, headers={"Prefer": "wait=110"})
            while answer.status_code == httpx.codes.ACCEPTED:
                answer = client.get(url, headers={"Prefer": "wait=110"})
    told = answer.headers.get("content-disposition", "")
    path = output or Path(Path(told.partition('filename="')[2].rstrip('"')).name or f"model-{to}")
    path.write_bytes(answer.content)
    out.print(f"{path}  {len(answer.content):,} bytes")
