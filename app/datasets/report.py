"""What a dry run answers: the dataset that an upload would become."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import IO, Annotated, Any, Literal

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field

from app.core import manifest
from app.core.manifest import Example, LabelMode, Modality, Problem
from app.core.modalities import MODALITIES
from app.datasets.schemas import ClassCount
from app.datasets.statistics import SplitCount, by_split, classes
from app.uploads.form import UploadForm
from app.uploads.intake import Built
from app.uploads.streaming import Upload

MOST_PROBLEMS = 1000
SAMPLES = 3
"""Of each label's texts, so many are shown."""
SAMPLE_CHARACTERS = 200
_SAMPLED_LABELS = 100


UNDECODED = (
    "pixels are not decoded here: a picture that is damaged behind its header is found, and left "
    "out, once the dataset is uploaded"
)


class SampleText(BaseModel):
    """A text as it was read, under a label that it was read with."""

    label: str
    text: str = Field(description=f"Its first {SAMPLE_CHARACTERS} characters.")


class DatasetReport(BaseModel):
    """What an upload would become; nothing of it is kept."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "object": "dataset.report",
                    "name": "castings",
                    "filename": "castings.zip",
                    "modality": "image",
                    "label_mode": "single_label",
                    "bytes": 482133,
                    "backbone": "efficientnet_lite0",
                    "num_examples": 32,
                    "num_negatives": 0,
                    "classes": [{"label": "crack", "count": 12}, {"label": "ok", "count": 20}],
                    "splits": [
                        {
                            "split": "train",
                            "num_examples": 32,
                            "classes": [
                                {"label": "crack", "count": 12},
                                {"label": "ok", "count": 20},
                            ],
                        }
                    ],
                    "num_problems": 0,
                    "problems": [],
                    "assumed": ["the folder castings/ around everything is looked through"],
                }
            ]
        }
    )

    object: Literal["dataset.report"] = "dataset.report"
    name: str
    filename: str
    modality: Modality
    label_mode: LabelMode = Field(
        "single_label",
        exclude_if=lambda told: told == "single_label",
        description="Left out where every example has one label.",
    )
    bytes: int = Field(description="Of the upload.")
    backbone: str = Field(description="The backbone that would embed it.")
    num_examples: int = Field(description="Usable ones.")
    num_negatives: int = Field(
        0, exclude_if=lambda told: told == 0, description="Of them, those that belong to no class."
    )
    classes: list[ClassCount]
    samples: list[SampleText] = Field(
        [],
        exclude_if=lambda told: not told,
        description=f"Of texts the first {SAMPLES} of each label, of {_SAMPLED_LABELS} labels: "
        "whether the right columns were read.",
    )
    splits: list[SplitCount] = Field(description="Those that have usable examples.")
    num_problems: int
    problems: list[Problem] = Field(
        description=f"The first {MOST_PROBLEMS}: what would be left out, or is doubtful. "
        "Headers are checked as for an "
        "upload that is kept; damage deeper in an image shows only when a kept one is decoded."
    )
    assumed: list[str] = Field(
        description="In words, how names and folders were read, and what was not."
    )


def report_of(built: Built, backbone: str, *, upload: Upload, form: UploadForm) -> DatasetReport:
    """The report of what was built."""
    usable = manifest.usable(built.examples, built.problems)
    return DatasetReport(
        name=form.name or Path(upload.filename).stem,
        filename=upload.filename,
        modality=built.modality,
        label_mode=built.label_mode,
        bytes=upload.size,
        backbone=backbone,
        num_examples=len(usable),
        num_negatives=manifest.negatives(usable),
        classes=classes(usable),
        samples=samples(built, usable),
        splits=by_split(usable),
        num_problems=len(built.problems),
        problems=built.problems[:MOST_PROBLEMS],
        assumed=[*built.notes, *([] if MODALITIES[built.modality].in_tables else [UNDECODED])],
    )


def samples(built: Built, usable: Iterable[Example]) -> list[SampleText]:
    """The first texts of each label, out of the upload itself; none of pictures."""
    if not MODALITIES[built.modality].in_tables:
        return []
    chosen: dict[str, list[Example]] = {}
    for one in usable:
        for name in one.names if one.pack == built.pack_sha256 else ():
            if len(chosen) < _SAMPLED_LABELS or name in chosen:
                some = chosen.setdefault(name, [])
                if len(some) < SAMPLES:
                    some.append(one)
    with built.pack_path.open("rb") as pack:
        return [
            SampleText(label=name, text=_beginning(pack, one))
            for name, some in sorted(chosen.items())
            for one in some
        ]


def _beginning(pack: IO[bytes], example: Example) -> str:
    pack.seek(example.offset)
    read = pack.read(min(example.length, 4 * SAMPLE_CHARACTERS))  # UTF-8 has four bytes at most
    return read.decode(errors="ignore")[:SAMPLE_CHARACTERS]


REPORT: dict[str, Any] = {
    "model": DatasetReport,
    "description": "With `validate_only`: what the upload would become.",
}
ValidateOnly = Annotated[
    bool,
    Query(
        description="A dry run: answer the report of the upload, with status 200, and keep nothing "
        "of it. An Idempotency-Key is not used then."
    ),
]
