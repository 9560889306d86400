"""Datasets and their immutable versions."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.infra.orm.base import Base


class DatasetRow(Base):
    """A dataset; what it holds is in its versions."""

    __tablename__ = "datasets"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    organisation_id: Mapped[str] = mapped_column(ForeignKey("organisations.id"), index=True)
    name: Mapped[str] = mapped_column(String(200))
    filename: Mapped[str] = mapped_column(String(255))
    purpose: Mapped[str] = mapped_column(String(40), default="fine-tune")
    modality: Mapped[str] = mapped_column(String(10))
    label_mode: Mapped[str] = mapped_column(String(12), default="single_label")
    """Whether an example has one label, or may have several or none: of all versions."""
    bytes: Mapped[int]
    upload_sha256: Mapped[str] = mapped_column(String(64))
    latest_version: Mapped[int]
    created_at: Mapped[float]
    expires_at: Mapped[float | None] = mapped_column(index=True)
    """When it is deleted, as its uploader wished; None: not by itself."""
    target: Mapped[float | None]
    """The accuracy from which on a model of it is good enough, where somebody has said so."""
    reading: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    """What its uploads were told of how they are read, by the form's field; null: nothing."""
    erasures: Mapped[int] = mapped_column(default=0)
    """How often examples were erased: a version that was begun before that is begun anew."""
    erasing_until: Mapped[float | None]
    """Until when new versions wait for an erasure that others' have kept out before."""


class DatasetVersionRow(Base):
    """An immutable version: a manifest, and what decoding it found.

    processing ─▶ ready | failed, once, when its last `embed` work is done.
    """

    __tablename__ = "dataset_versions"
    __table_args__ = (UniqueConstraint("dataset_id", "number"),)

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    organisation_id: Mapped[str] = mapped_column(ForeignKey("organisations.id"), index=True)
    dataset_id: Mapped[str] = mapped_column(
        ForeignKey("datasets.id", ondelete="CASCADE"), index=True
    )
    number: Mapped[int]
    manifest_sha256: Mapped[str] = mapped_column(String(64))
    packs: Mapped[list[Any]]
    """sha256 of every pack that the manifest points into."""
    backbone: Mapped[str] = mapped_column(String(100))
    """The backbone whose primary view decodes this version and makes it ready."""
    num_examples: Mapped[int]
    classes: Mapped[list[Any]]
    declared: Mapped[list[Any] | None] = mapped_column(JSON)
    """Labels that are classes whether they have examples or not; null where none were named."""
    negatives: Mapped[int] = mapped_column(default=0)
    """Usable examples that belong to no class."""
    problems: Mapped[list[Any]]
    pixel_scale: Mapped[dict[str, float] | None] = mapped_column(JSON)
    """`{low, high}`, the values that are black and white in pictures of more than eight bits a
    sample; empty where there are none, null until its pictures have been looked at.
    """
    near_duplicates: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    """`{looked_at, groups}`: ids of examples that are almost the same; null where nobody looked."""
    status: Mapped[str] = mapped_column(String(12), index=True)
    error: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    created_at: Mapped[float]
    ready_at: Mapped[float | None]
    erased: Mapped[int] = mapped_column(default=0)
    """Examples that it had once, and that were erased from all versions."""
    erased_at: Mapped[float | None]
    """When that was the last time."""


class ExampleErasureRow(Base):
    """Examples that were erased from all versions of a dataset, and what else had them."""

    __tablename__ = "example_erasures"
    __table_args__ = (Index("ix_example_erasures_dataset", "organisation_id", "dataset_id", "id"),)

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    organisation_id: Mapped[str] = mapped_column(ForeignKey("organisations.id"))
    dataset_id: Mapped[str] = mapped_column(ForeignKey("datasets.id", ondelete="CASCADE"))
    deletion_id: Mapped[str] = mapped_column(String(40))
    """No foreign key: deletions that are done are dropped some day."""
    contents: Mapped[int]
    versions: Mapped[list[Any]]
    """`[{version, erased}]`, of each version that had some."""
    models: Mapped[list[Any]]
    """`[{model, trained_on, judged_on, kept}]`, of the models that were made of these versions."""
    elsewhere: Mapped[list[Any]]
    """`[{object, id, contents}]`: what else of the organisation has the same contents."""
    marks: Mapped[list[Any]]
    """What tells, with the organisation's own key, whether an upload brings one back."""
    created_at: Mapped[float]
