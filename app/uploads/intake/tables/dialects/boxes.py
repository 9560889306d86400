"""Boxes in the JSON lines of other services: Vertex AI's, Ground Truth's and Azure ML's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from app.core.manifest import Problem
from app.uploads.intake.rows import Box, Row
from app.uploads.intake.tables.source import TableFile

MOST = 100_000
"""Of one picture."""
_METADATA = "-metadata"
Place = tuple[float, float, float, float]
Found = tuple[str, Place | None]
"""A label, and left, top, width and height of its box; none of what is no box."""


@dataclass(slots=True)
class BoxedRows:
    """Makes a row of each box, where those are asked for, and counts what has none."""

    table: TableFile
    others: int = 0
    whole: int = 0
    seen: set[tuple[str, str]] = field(default_factory=set)

    def of(self, row: Row, value: Mapping[str, Any], plain: dict[str, Any]) -> Iterator[Any]:
        """The plain row of each box of `value`. Raises schema_mismatch."""
        try:
            found, size, fractions = _read(value, self.table.columns.get("label"))
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            why = "it has a box without a label, or without numbers for its sides"
            raise row.error("schema_mismatch", why) from error
        self.whole += not found and bool(plain.get("label"))
        if len(found) > MOST:
            raise row.error("too_many_entries", "it has too many boxes")
        for number, (label, place) in enumerate(found, 1):
            if place is None or not (place[2] > 0 and place[3] > 0):
                self.others += 1
                continue
            key = self._key(str(plain.get("path")), str(number), row)
            yield {**plain, "label": label, "box": Box(key, place, size, fractions)}

    def _key(self, path: str, key: str, row: Row) -> str:
        """The box's number, and its row's where another row tells of the same picture."""
        key = key if (path, key) not in self.seen else f"row{row.number}.{key}"
        self.seen.add((path, key))
        return key

    def tell(self) -> None:
        """Tell what was left out."""
        if self.others:
            said = f"{self.others} annotation(s) have no box of their own, and are left out"
            name = self.table.name
            self.table.tell(Problem(code="unlabelled", message=said, path=name, excluded=True))
        if self.whole:
            said = f"the labels of {self.whole} whole picture(s) are not read, as boxes are cut out"
            self.table.warn("column_unread", f"{self.table.name}: {said}")


def _read(
    value: Mapping[str, Any], job: str | None
) -> tuple[list[Found], tuple[int, int] | None, bool]:
    """Labels and boxes, the picture's size where it is said, and whether boxes are fractions of
    its sides. Raises KeyError, TypeError and ValueError."""
    if "imageGcsUri" in value:
        return [_vertex(one) for one in value.get("boundingBoxAnnotations") or []], None, True
    if "source-ref" in value:
        return *_ground_truth(value, job), False
    label = value.get("label")
    listed = label if isinstance(label, list) else []
    return [_azure(one) for one in listed if isinstance(one, dict)], None, True


def _vertex(told: Mapping[str, Any]) -> Found:
    """Its sides from 0 to 1, of which those that are 0 may be left out."""
    sides = [float(told.get(name, 0)) for name in ("xMin", "yMin", "xMax", "yMax")]
    return str(told["displayName"]), _between(*sides)


def _azure(told: Mapping[str, Any]) -> Found:
    """https://learn.microsoft.com/azure/machine-learning/reference-automl-images-schema"""
    label = str(told["label"])
    if told.get("isCrowd") in (1, "1", True):
        return label, None
    if "polygon" in told:
        flat = [float(one) for part in told["polygon"] for one in part]
        xs, ys = flat[::2], flat[1::2]
        return label, _between(min(xs), min(ys), max(xs), max(ys))
    sides = [float(told[name]) for name in ("topX", "topY", "bottomX", "bottomY")]
    return label, _between(*sides)


def _ground_truth(
    value: Mapping[str, Any], job: str | None
) -> tuple[list[Found], tuple[int, int] | None]:
    """https://docs.aws.amazon.com/sagemaker/latest/dg/sms-data-output.html"""
    jobs = [name.removesuffix(_METADATA) for name in value if name.endswith(_METADATA)]
    job = jobs[0] if job is None and jobs else job
    told: Any = value.get(str(job))
    about: Any = value.get(f"{job}{_METADATA}") or {}
    if not isinstance(told, Mapping) or "annotations" not in told or "failure-reason" in about:
        return [], None
    names = about["class-map"]
    found = [(str(names[str(one["class_id"])]), _placed(one)) for one in told["annotations"]]
    size = next(iter(told.get("image_size") or []), None)
    return [*found], None if size is None else (int(size["width"]), int(size["height"]))


def _placed(told: Mapping[str, Any]) -> Place:
    left, top, width, height = (float(told[name]) for name in ("left", "top", "width", "height"))
    return left, top, width, height


def _between(left: float, top: float, right: float, bottom: float) -> Place:
    return left, top, right - left, bottom - top
