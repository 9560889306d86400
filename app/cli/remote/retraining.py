"""`headstart promote`, `rollback` and `hooks`: what moves an alias, and what retrains by itself."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from app.cli.remote.commands import ModelName, resolve
from app.cli.remote.connection import connected
from app.cli.remote.named import dataset_of
from app.cli.remote.show import AsJson, dump, out, strong, table

hooks = typer.Typer(no_args_is_help=True, help="Retrain by itself: make, list and call hooks.")
AliasArgument = Annotated[str, typer.Argument(help="The alias, such as cells@production.")]
HookArgument = Annotated[str, typer.Argument(help="The hook's id.")]
Reason = Annotated[str | None, typer.Option(help="Why, for the alias's history.")]
_REFUSED = 4
"""The exit status where the incumbent stays; 3 is no connection."""


def promote(
    alias: AliasArgument,
    candidate: ModelName,
    *,
    against: Annotated[
        str | None, typer.Option(help="A dataset to compare on; else the candidate's own split.")
    ] = None,
    superior: Annotated[bool, typer.Option(help="Only if it is evidently better.")] = False,
    margin: Annotated[float, typer.Option(help="What of the accuracy may be lost.")] = 0.02,
    any_classes: Annotated[
        bool, typer.Option(help="Also a candidate that lacks classes of the incumbent.")
    ] = False,
    force: Annotated[bool, typer.Option(help="Do not ask the gate.")] = False,
    reason: Reason = None,
    as_json: AsJson = False,
) -> None:
    """Let a model try to take an alias's place; the exit status is 4 where the incumbent stays."""
    rule = "superior" if superior else "non_inferior"
    classes = "any" if any_classes else "kept"
    gate = {"evaluation_set": against, "rule": rule, "margin": margin, "classes": classes}
    with connected() as client:
        model = resolve(client, candidate)["id"]
        body = {"candidate": model, "gate": gate, "force": force, "reason": reason}
        path = f"/v1/aliases/{alias}/promotions"
        told = client.post(path, json=body, headers={"Prefer": "wait=120"}).json()
        while told["status"] == "waiting":
            headers = {"Prefer": "wait=120"}
            told = client.get(f"{path}/{told['id']}", headers=headers).json()
    if as_json:
        dump(told)
    else:
        strong("", told["verdict"])
        out.print(told["reason"])
    if told["verdict"] != "promoted":
        raise typer.Exit(_REFUSED)


def rollback(alias: AliasArgument, reason: Reason = None, as_json: AsJson = False) -> None:
    """Let an alias mean what it meant before, at once."""
    with connected() as client:
        told = client.post(f"/v1/aliases/{alias}/rollback", json={"reason": reason}).json()
    if as_json:
        dump(told)
        return
    out.print(f"{told['name']} means {told['model']}")


@hooks.command("create")
def create_hook(
    name: Annotated[str, typer.Argument(help="What to call it.")],
    *,
    dataset: Annotated[str, typer.Option(help="What to train on.")],
    alias: Annotated[str, typer.Option(help="What to promote to.")],
    backbone: Annotated[
        str | None, typer.Option(help="As a job's model; else the best that is here.")
    ] = None,
    against: Annotated[
        str | None, typer.Option(help="A dataset to compare on, by id or name.")
    ] = None,
    cron: Annotated[str | None, typer.Option(help="When: five fields.")] = None,
    timezone: Annotated[str, typer.Option(help="Of the cron fields.")] = "UTC",
    labels: Annotated[int | None, typer.Option(help="After so many new labels.")] = None,
    as_json: AsJson = False,
) -> None:
    """Retrain at night, after so many labels, or when called; its secret is shown once."""
    triggers: list[dict[str, Any]] = [{"type": "inbound"}]
    if cron is not None:
        triggers.append({"type": "schedule", "cron": cron, "timezone": timezone})
    if labels is not None:
        triggers.append({"type": "labels", "count": labels})
    body = {
        "name": name,
        "dataset": dataset,
        "alias": alias,
        "job": {"model": backbone} if backbone else {},
        "gate": {"evaluation_set": None},
        "triggers": triggers,
    }
    with connected() as client:
        if against is not None:
            body["gate"] = {"evaluation_set": dataset_of(client, against)["id"]}
        told = client.post("/v1/hooks", json=body).json()
    if as_json:
        dump(told)
        return
    strong("hook    ", told["id"])
    out.print(f"secret  {told['secret']}")
    out.print(f"next    {_when(told['next_due'])}")
    for note in told["notes"]:
        out.print(f"note    {note}")


@hooks.command("list")
def list_hooks(as_json: AsJson = False) -> None:
    """The newest hundred hooks."""
    with connected() as client:
        told = client.get("/v1/hooks", params={"limit": 100}).json()["data"]
    if as_json:
        dump(told)
        return
    rows = [
        (
            one["id"],
            one["name"],
            one["alias"],
            ", ".join(trigger["type"] for trigger in one["triggers"]),
            _when(one["next_due"]) if one["enabled"] else "disabled",
        )
        for one in told
    ]
    table(("id", "name", "alias", "triggers", "next"), rows)


@hooks.command("runs")
def list_runs(hook: HookArgument, as_json: AsJson = False) -> None:
    """What came of a hook's newest triggers."""
    with connected() as client:
        told = client.get(f"/v1/hooks/{hook}/runs").json()["data"]
    if as_json:
        dump(told)
        return
    rows = [
        (_when(one["created_at"]), one["cause"]["type"], one["status"], one["reason"] or "")
        for one in told
    ]
    table(("when", "cause", "status", "reason"), rows)


@hooks.command("trigger")
def trigger_hook(
    hook: HookArgument,
    force: Annotated[bool, typer.Option(help="Train although nothing has changed.")] = False,
    wait: Annotated[bool, typer.Option(help="Until the run has ended.")] = True,
    as_json: AsJson = False,
) -> None:
    """Call a hook now."""
    path = f"/v1/hooks/{hook}"
    with connected() as client:
        told = client.post(f"{path}/trigger", json={"force": force}).json()
        while wait and told["status"] in ("waiting", "running"):
            headers = {"Prefer": "wait=120"}
            told = client.get(f"{path}/runs/{told['id']}", headers=headers).json()
    if as_json:
        dump(told)
    else:
        out.print(f"{told['id']} {told['status']}: {told['reason'] or ''}")
    if told["status"] == "failed":
        raise typer.Exit(1)


@hooks.command("delete")
def delete_hook(hook: HookArgument) -> None:
    """Delete a hook and the list of its runs."""
    with connected() as client:
        client.delete(f"/v1/hooks/{hook}")
    out.print(f"{hook} is deleted")


def _when(at: int | None) -> str:
    return "" if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")
