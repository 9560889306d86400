"""Exports that are recognised and not read, each with a word that tells of it."""

from __future__ import annotations

from tests.unit.app.uploads.intake.formats.exports import (
    LABELS,
    Files,
    as_json,
    cvat,
    label_studio,
    pictures,
)

UNREAD: dict[str, tuple[Files, str]] = {
    "cvat, film": (
        {
            **pictures("images/"),
            "annotations.xml": b'<annotations><track id="0" label="cat"><box/></track>'
            b"</annotations>",
        },
        "CVAT for images 1.1",
    ),
    "via": (
        {
            **pictures(),
            "via_project.json": as_json(
                {"im0.png1": {"filename": "im0.png", "file_attributes": {}}}
            ),
        },
        "VIA",
    ),
    "supervisely": (
        {
            **pictures("ds/img/"),
            **{
                f"ds/ann/{name}.json": as_json({"tags": [], "objects": [{"classTitle": label}]})
                for name, label in LABELS.items()
            },
        },
        "Supervisely",
    ),
    "supervisely, tags of whole pictures": (
        {
            **pictures("ds/img/"),
            **{
                f"ds/ann/{name}.json": as_json(
                    {"description": "", "tags": [{"name": label, "value": None}], "objects": []}
                )
                for name, label in LABELS.items()
            },
        },
        "Supervisely",
    ),
    "v7": (
        {
            **pictures("images/"),
            "x.json": as_json({"item": {"name": "im0.png", "slots": []}, "annotations": []}),
        },
        "V7",
    ),
    "whatever names pictures": (
        {**pictures("images/"), "x.json": as_json({"scans": {name: [1, 2] for name in LABELS}})},
        "COCO",
    ),
    "pictures elsewhere": (
        {**pictures("images/"), "e.json": label_studio("s3://bucket/other/x{}")},
        "are not in the archive",
    ),
    "entities": (
        {
            **pictures("images/"),
            "annotations.xml": b'<!DOCTYPE x [<!ENTITY a "b">]>'
            + cvat('<tag label="{label}"/>').partition(b"?>")[2],
        },
        "document type",
    ),
}
"""Each is told by a word."""
