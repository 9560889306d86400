"""The fields that may come with a file."""

from __future__ import annotations

import csv
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)
from pydantic_core import from_json

from app.core.errors import HeadstartError
from app.core.manifest import LabelMode, Modality
from app.core.texts import INVISIBLE, PRINTABLE, is_seen
from app.uploads import text_encodings
from app.uploads.intake.limits import Header

Purpose = Literal["fine-tune", "batch"]
"""A labelled dataset, or the requests of a batch."""
Printable = Annotated[str, Field(min_length=1, pattern=PRINTABLE)]


def _stripped(told: object) -> object:
    return told.strip() if isinstance(told, str) else told


def _seen(label: str) -> str:
    """Raises ValueError for what nobody could see."""
    if not is_seen(label):
        raise ValueError("it has no character that can be seen")
    return label


Stripped = Annotated[Printable, BeforeValidator(_stripped), AfterValidator(_seen)]
"""A label or a group that is said of an example: as in uploads without blanks around it."""


TextEncoding = Annotated[
    str,
    Field(max_length=40, examples=["windows-1252", "gb18030", "cp1256"]),
    AfterValidator(text_encodings.known),
]
ENCODING = Field(
    default=None,
    description="What tables, and texts in class folders, are in, if not in UTF-8: any encoding of "
    "texts by Python's or the IANA's name, such as `windows-1252` (Excel's ANSI in the West), "
    "`cp1256`, `gb18030`.",
)
HEADER = Field(
    default=None,
    description="`names`: the first row of a table (CSV, TSV, xlsx) has the columns' names. `none`:"
    " it is an example as the others, and the columns are called 1, 2, 3. Left out, a labelled"
    " table of two columns is read so where its cells say it, and any other has names.",
)
ROLES = ("text", "label", "group", "split")
SETTLED = {
    "name": "name",
    "backbone": "backbone",
    "classes": "classes",
    "expires_anchor": "expires_after[anchor]",
    "expires_seconds": "expires_after[seconds]",
}
"""Fields of an upload that makes a dataset, and of none that is appended to one."""


READING = (
    *(f"{role}_column" for role in ROLES),
    *("label_columns", "label_separator", "negative_label", "boxes", "header"),
)
"""Fields that decide which label, group or split an example has."""
Lifetime = Annotated[int, Field(ge=3600, le=2_592_000)]
"""Seconds after which a file is deleted: an hour to thirty days, as OpenAI has it."""


class IntakeForm(BaseModel):
    """What may be said of a labelled file: how it is read, and what becomes of it."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    name: Annotated[Printable, Field(max_length=200)] | None = None
    modality: Modality | None = None
    backbone: Annotated[str, Field(max_length=100)] | None = None
    test_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.0
    val_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.0
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    text_column: Annotated[Printable, Field(max_length=200)] | None = None
    label_column: Annotated[Printable, Field(max_length=200)] | None = None
    label_columns: Annotated[str, Field(max_length=20_000)] | None = Field(
        default=None,
        description="Columns of 0 and 1, one a class, with commas between their names (or as a JSON"
        " list), where the table has others of the kind. The dataset is multi_label.",
        examples=["toxic,obscene,threat"],
    )
    header: Header | None = HEADER
    group_column: Annotated[Printable, Field(max_length=200)] | None = None
    split_column: Annotated[Printable, Field(max_length=200)] | None = None
    label_mode: LabelMode | None = Field(
        default=None,
        description="multi_label: an example may have several labels, or none. Left out, it is so"
        " where an example of the upload has several.",
    )
    label_separator: (
        Annotated[str, Field(min_length=1, max_length=10, pattern=f"^[^{INVISIBLE}]+$")] | None
    ) = Field(
        default=None,
        description="What parts the labels in a cell, such as `|`, or a blank; a cell without any"
        " belongs to no class. The dataset is multi_label.",
    )
    negative_label: Annotated[Printable, Field(max_length=256)] | None = Field(
        default=None,
        description="The label, or the folder, of examples that belong to no class, such as"
        " `Negative`. The dataset is multi_label.",
    )
    coco: Literal["crops"] | None = Field(
        default=None,
        description="The older name of `boxes`.",
        json_schema_extra={"deprecated": True},
    )
    boxes: Literal["crops", "whole"] | None = Field(
        default=None,
        description="crops: each box of a list (COCO, CVAT, Datumaro, Pascal VOC, YOLO, LabelMe,"
        " CreateML, CSV) is an example, cut out of its picture; those of a picture are one group."
        " whole: a picture is one example, with the labels of its boxes. Left out, it is as it was"
        " with the dataset's first file, and whole for that.",
    )
    encoding: TextEncoding | None = ENCODING
    filename_encoding: TextEncoding | None = Field(
        default=None,
        description="The code page of names in an archive that do not state theirs; judged by "
        "the names, and said in a problem, if it is left out.",
    )

    @property
    def columns(self) -> dict[str, str]:
        """The columns that the caller names, by their role."""
        told = {role: getattr(self, f"{role}_column") for role in ROLES}
        return {role: name for role, name in told.items() if name is not None}

    @property
    def marks(self) -> tuple[str, ...]:
        """The columns that have a one or zero a class. Raises ValueError."""
        told = (self.label_columns or "").strip()
        listed = (
            from_json(told)
            if told.startswith("[")
            else next(csv.reader([told], skipinitialspace=True), [])
        )
        names = [one.strip() for one in listed if isinstance(one, str)]
        if len(names) < len(listed) or not all(names) or len(set(names)) < len(names):
            raise ValueError("label_columns: name each column once, with commas between")
        return tuple(names)

    @property
    def crops(self) -> bool | None:
        """Whether each box is an example; None where nothing is said."""
        told = self.boxes or self.coco
        return None if told is None else told == "crops"

    @property
    def reading(self) -> dict[str, str]:
        """What it says of how the file is read, by field: it holds for files that are added."""
        told = {name: getattr(self, name) for name in READING}
        told["boxes"] = self.boxes or self.coco
        return {name: value for name, value in told.items() if value is not None}

    @property
    def asked_mode(self) -> LabelMode | None:
        """The mode that the form says, by itself or by what only one of them has."""
        several = (self.label_separator, self.negative_label, self.label_columns) != (None,) * 3
        return "multi_label" if several else self.label_mode

    @model_validator(mode="after")
    def _agrees_on_labels(self) -> Self:
        if self.label_mode == "single_label" and self.asked_mode == "multi_label":
            raise ValueError(
                "label_separator, label_columns and negative_label are of label_mode multi_label"
            )
        if self.marks and self.label_column is not None:
            raise ValueError("label_column or label_columns, not both")
        return self

    @model_validator(mode="after")
    def _leaves_train(self) -> Self:
        if self.test_fraction + self.val_fraction >= 1:
            raise ValueError("test_fraction and val_fraction leave nothing to train on")
        return self


def _listed(told: object) -> object:
    """Raises ValueError for a text that is no JSON list."""
    return from_json(told) if isinstance(told, str) else told


def _different(labels: list[str]) -> list[str]:
    """Raises ValueError for one that stands twice."""
    if len(set(labels)) < len(labels):
        raise ValueError("name each class once")
    return labels


DeclaredClasses = Annotated[
    list[Annotated[Stripped, Field(max_length=256)]],
    Field(min_length=1, max_length=1000),
    BeforeValidator(_listed),
    AfterValidator(_different),
]


class UploadForm(IntakeForm):
    """The fields that may come with a file."""

    purpose: Purpose = "fine-tune"
    classes: DeclaredClasses | None = Field(
        default=None,
        description="A JSON list of labels that are classes whether they have examples or not; with"
        " it the file may be left out, and `modality` says what the inputs will be. Of a backbone"
        " that reads names (CLIP, SigLIP, texts) a model then needs no example.",
    )
    expires_anchor: Literal["created_at"] | None = Field(None, alias="expires_after[anchor]")
    expires_seconds: Lifetime | None = Field(None, alias="expires_after[seconds]")
    """OpenAI's: deleted so many seconds after it was made."""

    @model_validator(mode="after")
    def _both(self) -> Self:
        if (self.expires_anchor is None) != (self.expires_seconds is None):
            raise ValueError("expires_after has both anchor and seconds, or is left out")
        return self

    def require_plain(self) -> None:
        """Raise invalid_request where a file that is kept as it is comes with wishes."""
        told = self.model_fields_set & {*IntakeForm.model_fields, "classes"}
        if told:
            name = sorted(told)[0]
            why = f"{name}: it is for purpose fine-tune; a file of purpose {self.purpose} is kept"
            raise HeadstartError("invalid_request", f"{why} as it is", param=name)
