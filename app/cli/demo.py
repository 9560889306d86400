"""The demo: what a newcomer would do by hand, over HTTP alone, with the time each step took."""

from __future__ import annotations

import gzip
import io
import random
import time
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import httpx
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from app.cli.options import plain_console
from app.core.class_figures import wilson
from app.core.errors import HeadstartError

_PER_CLASS = 10
_BATCH = 32
_IMAGES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")
console = plain_console()


@dataclass(frozen=True)
class Picture:
    """One labelled file."""

    name: str
    label: str
    content: bytes


@dataclass(frozen=True)
class DemoOutcome:
    """What the service answered for one held-out picture."""

    label: str
    predicted: str
    probability: float


def run_demo(url: str, *, key: str, archive: Path | None) -> None:
    """Upload, fine-tune, predict what was held out, and print what came of it."""
    train, held_out, name = _from_zip(archive) if archive else _digits()
    headers = {"Authorization": f"Bearer {key}"}
    with (
        httpx.Client(base_url=url, headers=headers, timeout=120, trust_env=False) as client,
        _bar() as progress,
    ):
        started = time.perf_counter()
        dataset = _upload(client, progress, train, name)
        embedded = time.perf_counter()
        job = _fine_tune(client, progress, dataset)
        outcomes = _predict(client, progress, job["fine_tuned_model"], held_out)
        finished = time.perf_counter()
    _print(
        url,
        job,
        outcomes,
        times={
            f"upload and embed {len(train)} images": embedded - started,
            "fit the head": job["timing"]["ran"],
            f"predict {len(held_out)} held-out images": finished - embedded,
        },
    )


def _upload(
    client: httpx.Client, progress: Progress, pictures: Sequence[Picture], name: str
) -> dict[str, Any]:
    task = progress.add_task("uploading", total=len(pictures))
    files = {"file": (name, _zip(pictures), "application/zip")}
    dataset = _answer(client.post("/v1/datasets", files=files, data={"name": name}))
    progress.update(task, description="embedding")
    while dataset["status"] == "processing":
        time.sleep(0.1)
        dataset = _answer(client.get(f"/v1/datasets/{dataset['id']}"))
        progress.update(task, completed=(dataset.get("progress") or {}).get("done", 0))
    if dataset["status"] == "failed":
        raise HeadstartError("dataset_failed", str(dataset["error"]))
    progress.update(task, completed=len(pictures))
    return dataset


def _fine_tune(client: httpx.Client, progress: Progress, dataset: dict[str, Any]) -> dict[str, Any]:
    task = progress.add_task("fitting", total=1)
    body = {
        "training_file": dataset["id"],
        "model": "efficientnet_lite0",
        "suffix": "demo",
        "seed": 0,
    }
    job = _answer(client.post("/v1/fine_tuning/jobs", json=body, headers={"Prefer": "wait=110"}))
    while job["status"] not in ("succeeded", "failed", "cancelled"):
        time.sleep(0.2)
        job = _answer(client.get(f"/v1/fine_tuning/jobs/{job['id']}"))
    if job["status"] != "succeeded":
        raise HeadstartError("training_failed", f"the job ended as {job['status']}: {job['error']}")
    progress.update(task, completed=1)
    return job


def _predict(
    client: httpx.Client, progress: Progress, model: str, pictures: Sequence[Picture]
) -> list[DemoOutcome]:
    task = progress.add_task("predicting", total=len(pictures))
    outcomes: list[DemoOutcome] = []
    for start in range(0, len(pictures), _BATCH):
        batch = pictures[start : start + _BATCH]
        files = [("files", (picture.name, picture.content)) for picture in batch]
        answer = _answer(client.post(f"/v1/models/{model}/predictions", files=files))
        for picture, row in zip(batch, answer["data"], strict=True):
            if "error" in row:
                raise HeadstartError("image_invalid", f"{picture.name}: {row['error']}")
            outcomes.append(DemoOutcome(picture.label, row["label"], row["probability"]))
        progress.advance(task, len(batch))
    return outcomes


def _print(
    url: str, job: dict[str, Any], outcomes: Sequence[DemoOutcome], *, times: dict[str, float]
) -> None:
    correct = sum(outcome.label == outcome.predicted for outcome in outcomes)
    low, high = wilson(correct, len(outcomes))
    table = Table(title="Headstart", title_justify="left", show_header=False)
    table.add_column()
    table.add_column(overflow="fold")
    for step, seconds in times.items():
        table.add_row(step, f"{seconds:.2f} s")
    table.add_row(
        f"accuracy on {len(outcomes)} held-out images",
        Text.assemble(
            (f"{correct / len(outcomes):.1%}", "bold"), f" (95% interval {low:.1%} to {high:.1%})"
        ),
    )
    table.add_row("model", job["fine_tuned_model"])
    console.print(table)
    for outcome in random.Random(0).sample(list(outcomes), min(5, len(outcomes))):
        right = outcome.label == outcome.predicted
        mark = Text("  ✓", "green") if right else Text("  ✗", "red")
        told = f"{outcome.label} → {outcome.predicted} ({outcome.probability:.0%})"
        console.print(mark, told)
    console.print(f"It answered at {url}; `make up` (or `headstart up`) keeps it running.")


def _digits() -> tuple[list[Picture], list[Picture], str]:
    """UCI's handwritten digits (app/cli/digits.md), 1,797 scans of 8 by 8: 10 a class train."""
    pictures = []
    with gzip.open(Path(__file__).with_name("digits.csv.gz"), "rt") as lines:
        for index, line in enumerate(lines):
            *grey, digit = map(int, line.split(","))
            pictures.append(Picture(f"{index}.png", f"digit {digit}", _png(grey)))
    train, held_out = _hold_out(pictures, lambda count: count - _PER_CLASS)
    return train, held_out, "digits.zip"


def _png(grey: Sequence[int]) -> bytes:
    """8 by 8 values from 0 to 16 as a picture."""
    from PIL import Image

    out = io.BytesIO()
    Image.frombytes("L", (8, 8), bytes(value * 255 // 16 for value in grey)).save(out, "png")
    return out.getvalue()


def _from_zip(path: Path) -> tuple[list[Picture], list[Picture], str]:
    """The pictures of a zip of class folders; its `test` split, else a fifth of each class."""
    if not path.is_file():
        raise HeadstartError("not_found", f"there is no file {path}")
    splits: dict[str, list[Picture]] = defaultdict(list)
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            where = PurePosixPath(member.filename)
            if member.is_dir() or where.suffix.lower() not in _IMAGES or len(where.parts) < 2:
                continue
            if "__MACOSX" in where.parts:
                continue
            split = next((part for part in where.parts[:-2] if part in ("train", "test")), "")
            picture = Picture(member.filename, where.parts[-2], archive.read(member))
            splits[split].append(picture)
    if splits["train"] and splits["test"]:
        return splits["train"], splits["test"], path.name
    everything = [picture for split in splits.values() for picture in split]
    if not everything:
        raise HeadstartError("empty_dataset", f"no picture in a class folder in {path}")
    train, held_out = _hold_out(everything, lambda count: max(1, count // 5) if count > 1 else 0)
    return train, held_out, path.name


def _hold_out(
    pictures: Iterable[Picture], how_many: Callable[[int], int]
) -> tuple[list[Picture], list[Picture]]:
    classes: dict[str, list[Picture]] = defaultdict(list)
    for picture in pictures:
        classes[picture.label].append(picture)
    train, held_out = [], []
    for label in sorted(classes):
        members = classes[label]
        random.Random(0).shuffle(members)
        cut = how_many(len(members))
        held_out += members[:cut]
        train += members[cut:]
    return train, held_out


def _zip(pictures: Iterable[Picture]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for index, picture in enumerate(pictures):
            name = f"{picture.label}/{index}{PurePosixPath(picture.name).suffix}"
            archive.writestr(name, picture.content)
    return out.getvalue()


def _answer(response: httpx.Response) -> dict[str, Any]:
    if response.is_error:
        raise HeadstartError(
            "internal", f"{response.request.url} answered {response.status_code}: {response.text}"
        )
    return dict(response.json())


def _bar() -> Progress:
    return Progress(
        TextColumn("{task.description:>10}"),
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.total:.0f}"),
        TimeElapsedColumn(),
        console=console,
    )
