"""What a request says is to be different of a dataset or of its examples."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from app.core.errors import HeadstartError
from app.core.manifest import LabelMode, Split
from app.uploads.form import Printable, Stripped
from app.uploads.intake.limits import Limits


def _label(text: str) -> str:
    if len(text) > Limits().label_characters:
        raise HeadstartError(
            "label_too_long",
            f"the label has {len(text):,} characters; {Limits().label_characters} are allowed",
            param="label",
        )
    return text


def _undefaulted(schema: dict[str, Any]) -> None:
    """What is left out stays as it is, so no default may be told."""
    schema.pop("default")


class ExampleChange(BaseModel):
    """What is to be different in the next version; what is left out stays."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"label": "ok"}], "minProperties": 1}
    )

    label: Annotated[Stripped, AfterValidator(_label)] = Field(
        default="",
        json_schema_extra=_undefaulted,
        description=f"At most {Limits().label_characters} characters.",
    )
    labels: Annotated[list[Annotated[Stripped, AfterValidator(_label)]], Field(max_length=1000)] = (
        Field(
            default=[],
            json_schema_extra=_undefaulted,
            description="All that it is to have, in a multi-label dataset; none for a negative.",
        )
    )
    group: Annotated[Stripped, Field(max_length=256)] | None = None
    split: Split = Field(default="train", json_schema_extra=_undefaulted)
    confirmed: bool = Field(
        default=False, json_schema_extra=_undefaulted, description="The label is right."
    )

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError(
                "name a label, labels, a group or a split, or say that it is confirmed"
            )
        return self

    def wanted(self, mode: LabelMode) -> dict[str, object]:
        """What an example of a dataset in this mode is to be. Raises invalid_request."""
        told = self.model_dump(exclude_unset=True, exclude={"id"})
        other = {"single_label": "labels", "multi_label": "label"}[mode]
        if other in told:
            why = f"{other}: the dataset is {mode}; name its {'label' if other[5:] else 'labels'}"
            raise HeadstartError("invalid_request", why, param=other)
        if "labels" in told:
            told["labels"] = tuple(sorted(set(self.labels)))
        return told


class OneOfChanges(ExampleChange):
    """What is to be different of one example."""

    model_config = ConfigDict(json_schema_extra={"examples": [], "required": ["id"]})

    id: Annotated[str, Field(pattern="^ex_[0-9a-f]{24}$")]

    @model_validator(mode="after")
    def _says_more_than_its_id(self) -> Self:
        if self.model_fields_set == {"id"}:
            raise ValueError(
                "name a label, labels, a group or a split, or say that it is confirmed"
            )
        return self


class ExampleChanges(BaseModel):
    """Changes of several examples, which make one version."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "changes": [
                        {"id": "ex_5b7e0a1c94d23f6688aa01bc", "label": "ok"},
                        {"id": "ex_9f2c1f7a4b0d6e8c3a5b7d9f", "confirmed": True},
                    ]
                }
            ]
        },
    )

    changes: Annotated[list[OneOfChanges], Field(min_length=1, max_length=1000)]


class DatasetChange(BaseModel):
    """What is to be different of a dataset; what is left out stays."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"target": 0.9}], "minProperties": 1}
    )

    name: Annotated[Printable, Field(min_length=1, max_length=200)] = Field(
        default="", json_schema_extra=_undefaulted
    )
    target: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        default=None,
        json_schema_extra=_undefaulted,
        description="The accuracy from which on a model of it is good enough; null: none.",
    )

    @model_validator(mode="after")
    def _says_what(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("say a name or a target")
        return self
