"""What erasures take and answer."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.datasets.erasing.selecting import ErasureSelector
from app.http.schemas import Deletion
from app.infra.orm import ExampleErasureRow

MOST = 10_000
ModelsChoice = Literal["keep", "delete"]
_EXAMPLE = "ex_5b7e0a1c94d23f6688aa01bc"
_SHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
_ID = Annotated[str, Field(pattern="^ex_[0-9a-f]{24}$")]
_Ids = Annotated[list[_ID], Field(min_length=1, max_length=MOST)]


class NewErasure(BaseModel):
    """Which examples to erase, in one of three ways; and what becomes of models made of them."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"group": "patient-7"}, {"examples": [_EXAMPLE], "models": "delete"}]
        },
    )

    examples: _Ids | None = Field(
        None, description="Ids, of whichever versions; and all examples with the same contents."
    )
    group: Annotated[str, Field(min_length=1, max_length=256)] | None = Field(
        None, description="All examples that are of this group in any version."
    )
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = Field(
        None, description="All examples with this content.", examples=[_SHA256]
    )
    models: ModelsChoice = Field(
        "keep",
        description="`keep`: models stay without what they hold of single examples, and say"
        " `trained_on_erased`; one that is made of its examples themselves refuses. `delete`: those"
        " that were trained on one go; aliases have to leave them first.",
    )

    @model_validator(mode="after")
    def _one_way(self) -> NewErasure:
        if sum(told is not None for told in (self.examples, self.group, self.sha256)) != 1:
            raise ValueError("say one of examples, group and sha256")
        return self

    @property
    def wanted(self) -> ErasureSelector:
        """What is named."""
        return ErasureSelector(
            examples=frozenset(self.examples or ()), group=self.group, sha256=self.sha256
        )


class ErasedOfVersion(BaseModel):
    """How many examples a version has lost."""

    version: int
    erased: int


class FittedModel(BaseModel):
    """A model that was made of erased examples, or judged on them."""

    model: str
    trained_on: int = Field(description="Of the erased examples, those it has learned from.")
    judged_on: int = Field(description="Those that it was judged on.")
    kept: bool = Field(description="False: it was deleted.")


class SameContent(BaseModel):
    """What else of the organisation has some of the contents, and keeps them."""

    object: Literal["dataset", "batch_prediction"]
    id: str
    contents: int


class Erasure(BaseModel):
    """Examples that were erased from all versions of a dataset; nothing of it tells which."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "era_01jd3v6s0q8m4f2k9x7c5b1n3a",
                    "object": "dataset.erasure",
                    "dataset": "ds_01jd3v6s0q8m4f2k9x7c5b1n3a",
                    "status": "done",
                    "created_at": 1764000000,
                    "contents": 2,
                    "versions": [{"version": 1, "erased": 2}, {"version": 2, "erased": 2}],
                    "models_fitted_on_it": [
                        {
                            "model": "ft:efficientnet_lite0:default:cells:01ke4c0f6v6z2k8m9q3w5x7y",
                            "trained_on": 2,
                            "judged_on": 0,
                            "kept": True,
                        }
                    ],
                    "elsewhere": [],
                    "deletion": None,
                }
            ]
        }
    )

    id: str
    object: Literal["dataset.erasure"] = "dataset.erasure"
    dataset: str
    status: Literal["pending", "done"] = Field(
        description="As its deletion's: `done` says that nothing made of the dataset has any of it,"
        " nor the prediction log or feedback. `elsewhere` names what else has; files of requests"
        " (`/v1/files`) and their answers are not looked into, and weights stay what they are."
    )
    created_at: int
    contents: int = Field(description="How many distinct inputs were erased.")
    versions: list[ErasedOfVersion] = Field(description="Those that had some.")
    models_fitted_on_it: list[FittedModel]
    elsewhere: list[SameContent] = Field(
        description="What had the same content as it was erased here: erase it there, too."
    )
    deletion: Deletion | None = Field(
        description="How far its removal from storage is; null once that is dropped, long after it"
        " was done."
    )


def erasure_of(row: ExampleErasureRow, deletion: Deletion | None) -> Erasure:
    """The erasure as callers see it."""
    told: dict[str, Any] = {
        "versions": row.versions,
        "models_fitted_on_it": row.models,
        "elsewhere": row.elsewhere,
    }
    return Erasure(
        id=row.id,
        dataset=row.dataset_id,
        status="done" if deletion is None else deletion.status,
        created_at=int(row.created_at),
        contents=row.contents,
        deletion=deletion,
        **told,
    )
