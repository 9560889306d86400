"""`headstart datasets`: upload, look at, add to, mend, export, delete and erase."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer

from app.cli.options import console
from app.cli.remote.connection import connected
from app.cli.remote.custom_vision import CustomVision
from app.cli.remote.named import DatasetName, dataset_of, examples_of
from app.cli.remote.pack import check_there
from app.cli.remote.pages import Everything, Limit, first, tell_more
from app.cli.remote.show import AsJson, dump, out, strong, table
from app.cli.remote.training import bars, push
from app.core.errors import HeadstartError

datasets = typer.Typer(no_args_is_help=True, help="Upload, look at, mend and export datasets.")
_PROBLEMS = 20
Check = Annotated[bool, typer.Option(help="A dry run: say what it would become.")]
Source = Annotated[Path, typer.Argument(help="A folder of class folders, a zip, or a table.")]
Fields = Annotated[
    list[str] | None,
    typer.Option(
        "--field",
        metavar="NAME=VALUE",
        help="How it is read, as in label_column=breed or boxes=crops; may be said again.",
    ),
]


def fields_of(told: Sequence[str] | None) -> dict[str, str]:
    """The fields of an upload's form. Raises invalid_value."""
    pairs = [one.partition("=") for one in told or ()]
    wrong = next((name for name, mark, _ in pairs if not (name and mark)), None)
    if wrong is not None:
        raise HeadstartError("invalid_value", f"--field {wrong}: say it as NAME=VALUE")
    return {name: value for name, _, value in pairs}


@datasets.command("push")
def push_command(
    path: Source,
    name: Annotated[str | None, typer.Option(help="The folder's, if left out.")] = None,
    check: Check = False,
    field: Fields = None,
    as_json: AsJson = False,
) -> None:
    """Upload a folder, a zip or a table as a new dataset."""
    check_there(str(path))
    fields = fields_of(field) | ({"name": name} if name else {})
    with connected() as client:
        told = _sent(client, path, fields, to="/v1/datasets", check=check)
    if as_json:
        dump(told)
        return
    _tell(told, check=check)
    if not check:
        strong("dataset   ", told["id"])
        out.print(f"train     headstart train {told['id']}")


@datasets.command("append")
def append(
    dataset: DatasetName,
    path: Source,
    check: Check = False,
    field: Fields = None,
    as_json: AsJson = False,
) -> None:
    """Add what is new of a folder, a zip or a table; of what is there the newer label holds."""
    check_there(str(path))
    with connected() as client:
        before = dataset_of(client, dataset)
        to = f"/v1/datasets/{before['id']}/examples"
        told = _sent(client, path, fields_of(field), to=to, check=check)
    if as_json:
        dump(told)
        return
    _tell(told, check=check, before=before["problems"])
    if not check:
        strong("dataset   ", told["id"], f"at version {told['version']}")


def _sent(
    client: httpx.Client, path: Path, fields: Mapping[str, str], *, to: str, check: bool
) -> dict[str, Any]:
    with bars() as progress:
        if check:
            client.params = httpx.QueryParams({"validate_only": "true"})
        return dict(push(client, path, fields=fields, progress=progress, to=to))


def _tell(
    told: Mapping[str, Any], *, check: bool, before: Sequence[Mapping[str, Any]] = ()
) -> None:
    kept = "would be" if check else "are"
    out.print(f"{told['num_examples']} examples of {len(told['classes'])} classes {kept} kept")
    _tell_problems(told, before)


def _tell_problems(told: Mapping[str, Any], before: Sequence[Mapping[str, Any]] = ()) -> None:
    """The problems, each line once: those that the version before had are counted alone."""
    known = {(one["code"], one["message"]) for one in before}
    new = [one for one in told["problems"] if (one["code"], one["message"]) not in known]
    for problem in new[:_PROBLEMS]:
        out.print(f"  {problem['code']}: {problem['message']}")
    if (rest := told["num_problems"] - min(len(new), _PROBLEMS)) > 0:
        which = "that were told before, or further ones" if known else "further problems"
        out.print(f"  and {rest} {which}")


@datasets.command("pull-customvision")
def pull_custom_vision(
    project: Annotated[str, typer.Argument(help="The project's id, a UUID.")],
    endpoint: Annotated[str, typer.Option(help="https://….cognitiveservices.azure.com")],
    training_key: Annotated[
        str, typer.Option(help="The training resource's key.", envvar="CUSTOM_VISION_TRAINING_KEY")
    ],
    to: Annotated[Path | None, typer.Option(help="Only keep the archive there.")] = None,
) -> None:
    """Pull an Azure Custom Vision project, pictures and tags, into a new dataset."""
    with tempfile.TemporaryDirectory(prefix="headstart-pull-") as folder:
        target = to or Path(folder) / "customvision.zip"
        pulled = CustomVision(endpoint, key=training_key, project=project).pull(target)
        out.print(f"{pulled.pictures} pictures of {len(pulled.labels)} tags")
        for why, count in pulled.left_out.items():
            out.print(f"  {count} left out: {why}")
        if pulled.regions:
            out.print(f"  {pulled.regions} regions: their tags are the whole picture's")
        if to is None:
            with connected() as client, bars() as progress:
                told = push(client, target, fields={"name": pulled.name}, progress=progress)
            strong("dataset   ", told["id"])


@datasets.command("list")
def list_datasets(
    limit: Limit = 100, everything: Everything = False, as_json: AsJson = False
) -> None:
    """The newest datasets."""
    with connected() as client:
        told, more = first(client, "/v1/datasets", limit=limit, everything=everything)
    tell_more(more, len(told))
    if as_json:
        dump(told)
        return
    rows = [
        (one["id"], one["name"], str(one["version"]), one["status"], str(one["num_examples"]))
        for one in told
    ]
    table(("id", "name", "version", "status", "examples"), rows)


@datasets.command("show")
def show_dataset(
    dataset: DatasetName,
    examples: Annotated[int, typer.Option(min=0, help="So many of its examples, too.")] = 0,
    label: Annotated[str | None, typer.Option(help="Of this label alone.")] = None,
    as_json: AsJson = False,
) -> None:
    """A dataset's classes, problems and versions; with --examples what is in it."""
    with connected() as client:
        told = dataset_of(client, dataset)
        path = f"/v1/datasets/{told['id']}"
        params = {"label": label} if label is not None else {}
        listed = _examples(client, path, examples, params) if examples else []
    if as_json:
        dump({**told, "examples": listed} if examples else told)
        return
    strong("dataset   ", told["id"], told["name"])
    out.print(f"version   {told['version']}, {told['status']}, {told['num_examples']} examples")
    table(("class", "examples"), [(one["label"], str(one["count"])) for one in told["classes"]])
    _tell_problems(told)
    if examples:
        rows = [(one["id"], _labels(one), one["split"], one["path"]) for one in listed]
        table(("example", "label", "split", "path"), rows)


def _examples(
    client: httpx.Client, path: str, most: int, params: Mapping[str, str]
) -> list[dict[str, Any]]:
    found, more = first(client, f"{path}/examples", limit=most, everything=False, **params)
    if more:
        console.print(f"There are more than these {most} examples")
    return found


def _labels(example: Mapping[str, Any]) -> str:
    several = example.get("labels")
    return str(example["label"]) if several is None else ", ".join(several)


@datasets.command("relabel")
def relabel(
    dataset: DatasetName,
    example: Annotated[str, typer.Argument(help="An example's id, or its path.")],
    labels: Annotated[
        list[str] | None,
        typer.Argument(help="The right label; several, or none, where there may be several."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Give an example another label; makes the dataset's next version."""
    with connected() as client:
        known = dataset_of(client, dataset)
        (found,) = examples_of(client, known["id"], [example])
        several = known.get("label_mode") == "multi_label"
        names = labels or []
        if not several and len(names) != 1:
            raise HeadstartError("invalid_value", "say the one label that the example has")
        change: dict[str, Any] = {"labels": names} if several else {"label": names[0]}
        told = client.patch(f"/v1/datasets/{known['id']}/examples/{found}", json=change).json()
    if as_json:
        dump(told)
        return
    said = ", ".join(names) or "no label"
    strong("dataset   ", told["id"], f"at version {told['version']}: {example} is {said}")
    for name in sorted({*names} - {one["label"] for one in known["classes"]}):
        out.print(f"{name!r} is a new class; the dataset had none of that name", markup=False)


@datasets.command("delete")
def delete(
    dataset: DatasetName,
    examples: Annotated[
        list[str] | None, typer.Argument(help="Only these, by id or path; else all of it.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete a dataset with all its versions; or leave examples out of its next one."""
    with connected() as client:
        known = dataset_of(client, dataset)
        path = f"/v1/datasets/{known['id']}"
        if examples:
            told: dict[str, Any] = known
            for one in examples_of(client, known["id"], examples):
                told = client.delete(f"{path}/examples/{one}").json()
            out.print(f"{known['id']} at version {told['version']}: {len(examples)} left out")
            return
        what = f"{known['name']} ({known['id']}), {known['num_examples']} examples, all versions"
        if not yes:
            typer.confirm(f"Delete {what}?", abort=True, err=True)
        client.delete(path)
    out.print(f"{known['id']} is deleted")


@datasets.command("erase")
def erase(
    dataset: DatasetName,
    examples: Annotated[
        list[str] | None, typer.Argument(help="Examples by id, or by path in the latest version.")
    ] = None,
    *,
    group: Annotated[
        str | None, typer.Option(help="All of this group instead, as of one patient.")
    ] = None,
    sha256: Annotated[str | None, typer.Option(help="All with this content instead.")] = None,
    delete_models: Annotated[
        bool, typer.Option("--delete-models", help="Delete the models that were trained on them.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Erase examples from all versions and from what was made of them, for good."""
    told = [one for one in (examples, group, sha256) if one]
    if len(told) != 1:
        raise HeadstartError("invalid_value", "say which: examples, --group or --sha256")
    with connected() as client:
        known = dataset_of(client, dataset)
        named = examples_of(client, known["id"], examples) if examples else None
        if not yes:
            what = f"{len(named)} example(s)" if named else "all that this names"
            typer.confirm(
                f"Erase {what} from every version of {known['id']}?", abort=True, err=True
            )
        wanted = {"examples": named, "group": group, "sha256": sha256}
        body = {name: value for name, value in wanted.items() if value}
        body["models"] = "delete" if delete_models else "keep"
        answer = client.post(f"/v1/datasets/{known['id']}/erasures", json=body).json()
    if as_json:
        dump(answer)
        return
    _tell_erased(answer)


def _tell_erased(told: Mapping[str, Any]) -> None:
    strong("erasure   ", told["id"], told["status"])
    gone = ", ".join(f"{one['erased']} from version {one['version']}" for one in told["versions"])
    out.print(f"examples  {gone}")
    for one in told["models_fitted_on_it"]:
        said = f"was trained on {one['trained_on']} of them, judged on {one['judged_on']}"
        out.print(f"model     {one['model']} {said}: {'kept' if one['kept'] else 'deleted'}")
    for one in told["elsewhere"]:
        out.print(f"elsewhere {one['object']} {one['id']} has {one['contents']} of the same")


@datasets.command("export")
def export_dataset(
    dataset: DatasetName,
    form: Annotated[
        str,
        typer.Option("--format", help="folder, csv, jsonl, parquet, coco or label_studio."),
    ] = "folder",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Where to.")] = None,
    version: Annotated[int | None, typer.Option(min=1, help="The latest, if left out.")] = None,
) -> None:
    """Write a version to a file that can be uploaded again."""
    with connected() as client:
        known = dataset_of(client, dataset)
        number = known["version"] if version is None else version
        url = f"/v1/datasets/{known['id']}/versions/{number}/export"
        with client.stream("GET", url, params={"format": form}) as answer:
            said = answer.headers.get("content-disposition", "").partition('filename="')[2]
            path = output or Path(Path(said.rstrip('"')).name or f"{known['id']}-{form}")
            _write(path, answer)
    out.print(f"{path}  {path.stat().st_size:,} bytes")


def _write(path: Path, answer: httpx.Response) -> None:
    """What comes, in the file's place once all of it is there."""
    draft = path.with_name(path.name + ".part")
    try:
        with draft.open("wb") as file:
            for data in answer.iter_bytes():
                file.write(data)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
