"""Which tool has written a file, by how it begins."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from app.uploads.intake.lists import coco, cvat, datumaro, json_lists
from app.uploads.intake.lists.annotated import AnnotatedPicture
from app.uploads.intake.tables.source import TableFile

Reader = Callable[[BinaryIO, TableFile], Iterator[AnnotatedPicture]]
_EXPORT = "export COCO, or a CSV with the columns path and label"


@dataclass(frozen=True, slots=True)
class KnownList:
    """A kind of list: how it is read, or else what it is and what to export instead."""

    name: str
    read: Reader | None = None
    rows: bool = False
    """Whether it is JSON whose objects are rows already."""

    @property
    def why(self) -> str:
        """Why it is not read."""
        return f"it is {self.name}, which is not read: {_EXPORT}"


_KINDS: tuple[tuple[str, str, KnownList], ...] = (
    (".xml", r"<annotations\b", KnownList("CVAT's XML", cvat.annotated)),
    (
        ".json",
        r'^\{.*"(dm_format_version|label_id)"|^\{.*"categories"\s*:\s*\{\s*("(label|mask|points)"|\})',
        KnownList("Datumaro's JSON", datumaro.annotated),
    ),
    (".json", r'^\{.*"(_via_\w+|region_attributes|file_attributes)"', KnownList("VIA's project")),
    (".json", r'^\{.*"(file_name|image_id|supercategory)"', KnownList("COCO", coco.annotated)),
    (
        ".json",
        r'^\{.*"(classTitle|datasetId)"|^\{.*"tags"\s*:\s*\[.*"objects"\s*:\s*\[',
        KnownList("Supervisely's JSON"),
    ),
    (".json", r'^\{.*"instances"\s*:\s*\[', KnownList("SuperAnnotate's JSON")),
    (".json", r'^\{.*"item"\s*:\s*\{.*"slots"', KnownList("V7's JSON")),
    (
        ".json",
        r'^\{.*"training"\s*:\s*\[\s*\{[^{}]*"(image|label)"\s*:',
        KnownList("MONAI's or nnU-Net's dataset.json"),
    ),
    (".json", r'^\[.*"task_id".*"attachment"\s*:', KnownList("Scale's list of tasks")),
    (
        ".json",
        r'^\{\s*"(classes|labels)"\s*:',
        KnownList("FiftyOne's labels", json_lists.fiftyone),
    ),
    (
        ".json",
        r'^\[.*"annotations"\s*:\s*\[\s*\{[^{}]*"(coordinates|label)"',
        KnownList("CreateML's JSON", json_lists.create_ml),
    ),
    (
        ".json",
        r'^\[\s*\{(?=[^{}]*"image_id"\s*:\s*\d)(?=[^{}]*"category_id"\s*:\s*\d)[^{}]*"score"',
        KnownList("a detector's results without the pictures' names"),
    ),
    (".json", r"^\[\s*\{", KnownList("a list of objects", rows=True)),
)
_COMPILED = [(suffix, re.compile(told, re.DOTALL), kind) for suffix, told, kind in _KINDS]


VIA_CSV = KnownList("VIA's CSV")
_OF_VIA = frozenset({"region_shape_attributes", "region_attributes"})


def known_columns(names: Collection[str]) -> KnownList | None:
    """What a table with such columns is, if it is of a tool that is not read."""
    return VIA_CSV if _OF_VIA.issubset(names) else None


def known_list(suffix: str, head: bytes) -> KnownList | None:
    """What a file with such an ending is that begins so."""
    text = head.decode("utf-8", "replace").lstrip("\ufeff").lstrip()
    found = (kind for ending, told, kind in _COMPILED if ending == suffix and told.search(text))
    return next(found, None)
