"""Lists of examples: CSV, and the tasks of Label Studio."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from pydantic_core import to_json

from app.core.manifest import Example, mode_of
from app.datasets.export import OpenPack, named, read
from app.uploads.printed import written

REST = ("group", "split")
Names = Mapping[str, str]
"""The path in an archive of each example, by its id."""


def csv_of_texts(examples: Iterable[Example], open_pack: OpenPack) -> Iterator[bytes]:
    """RFC 4180, UTF-8 with the mark that Excel knows it by: text, label, group, split."""
    listed = list(examples)
    yield b"\xef\xbb\xbf" + _line(["text", _label_column(listed), *REST])
    for example in listed:
        yield _line([text_of(example, open_pack), *_cells(example)])


def csv_of_images(examples: Iterable[Example], names: Names) -> tuple[str, bytes]:
    """The name and the content of a list of the images in an archive."""
    listed = list(examples)
    rows = [_line([names[example.id], *_cells(example)]) for example in listed]
    header = _line(["path", _label_column(listed), *REST])
    return "metadata.csv", header + b"".join(rows)


def tasks(examples: Iterable[Example], open_pack: OpenPack) -> Iterator[bytes]:
    """A list of Label Studio's tasks, each with its choices."""
    yield from _list(_task(one, {"text": text_of(one, open_pack)}) for one in examples)


def tasks_of_images(examples: Iterable[Example], names: Names) -> tuple[str, bytes]:
    """The name and the content of the tasks of the images in an archive."""
    listed = (_task(example, {"image": names[example.id]}) for example in examples)
    return "label-studio-annotations.json", b"".join(_list(listed))


def text_of(example: Example, open_pack: OpenPack) -> str:
    """The example's text as it was uploaded."""
    return b"".join(read(open_pack(example.pack), example)).decode()


def _list(values: Iterable[Mapping[str, Any]]) -> Iterator[bytes]:
    start = b"["
    for value in values:
        yield start + to_json(value)
        start = b",\n"
    yield b"[]" if start == b"[" else b"]"


def _task(example: Example, data: Mapping[str, str]) -> Mapping[str, Any]:
    told = {"group": example.group, "split": example.split}
    choice = {
        "from_name": "label",
        "to_name": next(iter(data)),
        "type": "choices",
        "value": {"choices": named(example)},
    }
    chosen = [choice] if example.names else []
    return {
        "data": {**data, **{name: value for name, value in told.items() if value is not None}},
        "annotations": [{"was_cancelled": False, "ground_truth": False, "result": chosen}],
    }


def _label_column(examples: Sequence[Example]) -> str:
    return "label" if mode_of(examples) == "single_label" else "labels"


def _cells(example: Example) -> list[str]:
    """Of several labels, or none, a list as JSON writes it."""
    several = example.labels is not None
    label = to_json(named(example)).decode() if several else written(example.label)
    return [label, example.group or "", example.split]


def _line(cells: list[str]) -> bytes:
    out = io.StringIO()
    marked = any(cell.startswith("\ufeff") for cell in cells)  # it would begin a file
    csv.writer(out, quoting=csv.QUOTE_ALL if marked else csv.QUOTE_MINIMAL).writerow(cells)
    return out.getvalue().encode()
