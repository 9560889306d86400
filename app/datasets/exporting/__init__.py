"""A version in a form that other tools read, and that can be uploaded again to the same content."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from app.core.errors import HeadstartError
from app.core.manifest import Example, Modality
from app.datasets import export
from app.datasets.export import OpenPack
from app.datasets.exporting import archives, lists, parquet

Format = Literal["folder", "csv", "jsonl", "parquet", "coco", "label_studio"]
Content = Iterator[bytes]


@dataclass(frozen=True, kw_only=True)
class Exported:
    """A stream of bytes, its media type and the ending of its name."""

    content: Content
    media_type: str
    suffix: str


@dataclass(frozen=True, kw_only=True)
class Exporter:
    """The examples to export, where their bytes lie, and a folder for what must be a file first."""

    examples: Sequence[Example]
    open_pack: OpenPack
    staging: Path

    def texts(self) -> Mapping[str, Callable[[], Exported]]:
        """How texts are exported in each format."""
        some, packs = self.examples, self.open_pack
        return {
            "folder": lambda: _tar(archives.folder(some, packs, text=True)),
            "csv": lambda: _file(lists.csv_of_texts(some, packs), "text/csv", "csv"),
            "jsonl": lambda: _file(export.jsonl(some, packs), "application/jsonl", "jsonl"),
            "parquet": lambda: self._parquet("text"),
            "label_studio": lambda: _file(lists.tasks(some, packs), "application/json", "json"),
        }

    def images(self) -> Mapping[str, Callable[[], Exported]]:
        """How images are exported in each format."""
        some, packs = self.examples, self.open_pack
        return {
            "folder": lambda: _tar(archives.folder(some, packs, text=False)),
            "csv": lambda: _tar(archives.listed_by(lists.csv_of_images, some, packs)),
            "jsonl": lambda: _tar(export.tar(some, packs)),
            "parquet": lambda: self._parquet("image"),
            "coco": lambda: _tar(archives.coco(some, packs)),
            "label_studio": lambda: _tar(archives.listed_by(lists.tasks_of_images, some, packs)),
        }

    def _parquet(self, modality: Modality) -> Exported:
        content = parquet.written(self.examples, self.open_pack, modality, staging=self.staging)
        return _file(content, "application/vnd.apache.parquet", "parquet")


def exported(exporter: Exporter, modality: Modality, wanted: Format) -> Exported:
    """The examples as `wanted`. Raises export_unsupported where the modality has no such form."""
    forms = {"text": exporter.texts, "image": exporter.images}[modality]()
    if wanted not in forms:
        raise HeadstartError(
            "export_unsupported",
            f"{wanted} is no form of {modality}s; there are {', '.join(sorted(forms))}",
            param="format",
        )
    return forms[wanted]()


def _tar(content: Content) -> Exported:
    return _file(content, "application/x-tar", "tar")


def _file(content: Content, media_type: str, suffix: str) -> Exported:
    return Exported(content=content, media_type=media_type, suffix=suffix)
