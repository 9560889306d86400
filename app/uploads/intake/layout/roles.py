"""What each member of an archive may be, by its name, and by its first bytes where that is mute."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from app.core import image_header
from app.core.errors import HeadstartError
from app.core.manifest import Modality, Split
from app.uploads.intake import images
from app.uploads.intake.layout.labelled_texts import tables_among
from app.uploads.intake.limits import Kind
from app.uploads.intake.names import is_junk
from app.uploads.intake.refusals import Refusals
from app.uploads.intake.rows import Box

Role = Literal["image", "text", "table", "other", "aside", "junk"]
"""`aside` is a picture or a text that lies beside the folder around all examples."""
Peek = Callable[[int], bytes]
"""The first bytes of a member, by its index."""

TABLES: dict[str, Kind] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".tab": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".xlsx": "xlsx",
}
METADATA = frozenset({"metadata.csv", "metadata.jsonl"})
_BESIDE = (
    # documents and code
    "md rst rtf pdf json xml yaml yml toml ini cfg conf html htm log py ipynb names doc docx odt "
    "xls ods numbers ppt pptx license bib tex sh bat "
    # what cameras, editors and operating systems write beside pictures
    "xmp aae thm pp3 dop lrv on1 cos db lnk url tmp bak part crdownload nfo sfv md5 sha1 sha256 "
    # films and sound
    "mov mp4 m4v avi mkv webm mpg mpeg 3gp wmv mts wav mp3 m4a flac ogg "
    # arrays and weights
    "npy npz mat h5 hdf5 pkl pickle pt pth onnx safetensors tfrecord"
)
BESIDE = frozenset(_BESIDE.split())
"""Endings of what lies beside examples and is never one."""


@dataclass(frozen=True, slots=True)
class FileInTree:
    """A member by its index in the archive and its path, and what it may be."""

    index: int
    path: str
    role: Role

    @property
    def parts(self) -> list[str]:
        return self.path.split("/")

    def below(self, wrapper: str) -> FileInTree:
        """The same without the folders around everything; one in a folder beside is no example."""
        if self.path.startswith(wrapper):
            return FileInTree(self.index, self.path[len(wrapper) :], self.role)
        beside = "/" in self.path and self.role in ("image", "text")
        return FileInTree(self.index, self.path, "aside" if beside else self.role)


@dataclass(frozen=True, slots=True)
class LabelledFile:
    """A member that is an example, and what its place says of it."""

    index: int
    path: str
    label: str
    group: str | None = None
    split: Split | None = None
    labels: tuple[str, ...] | None = None
    box: Box | None = None
    """The part of it that is the example, if it is not all."""
    denied: frozenset[str] = frozenset()
    """Labels that its rows say it has not."""
    source: str | None = None
    """The sha256 of the picture that it was cut out of."""


def members(
    paths: Sequence[str], asked: Modality | None, peek: Peek, refusals: Refusals
) -> list[FileInTree]:
    """All members with their roles. Archives among them are collected: unsupported_member."""
    found: list[FileInTree] = []
    for index, path in enumerate(paths):
        with refusals.collecting({"unsupported_member"}):
            role = "junk" if is_junk(path) else _role(path, asked, partial(peek, index))
            found.append(FileInTree(index, path, role))
    texts = {one.index: one.path for one in found if one.role == "text"}
    tables = tables_among(texts, peek)
    found = [replace(one, role="table") if one.index in tables else one for one in found]
    return found if {"image", "text", "table"} & {one.role for one in found} else _of_json(found)


def _of_json(found: Sequence[FileInTree]) -> list[FileInTree]:
    """The same with what is JSON as tables: there is nothing else that could be examples."""
    return [FileInTree(one.index, one.path, "table") if _is_json(one) else one for one in found]


def _is_json(one: FileInTree) -> bool:
    return one.role == "other" and images.extension(one.path) == ".json"


def _role(path: str, asked: Modality | None, head: Callable[[], bytes]) -> Role:
    if images.extension(path) in images.ARCHIVES:
        raise images.nested(path)
    return _by_name(path, asked) or _by_content(path, head())


def modality(found: Sequence[FileInTree], asked: Modality | None = None) -> Modality:
    """Images where there are any, else texts. Raises modality_mismatch."""
    roles = {member.role for member in found}
    natural: Modality = "image" if "image" in roles or not roles & {"text", "table"} else "text"
    if asked not in (None, natural):
        raise mismatch(asked, natural)
    return natural


def mismatch(asked: str | None, natural: Modality) -> HeadstartError:
    """The upload is not of the modality that was asked for."""
    return HeadstartError(
        "modality_mismatch",
        f"the upload holds {natural} examples, the request says {asked}",
        param="modality",
    )


def is_table(path: str) -> bool:
    """Whether it is a table by its name."""
    return images.extension(path) in TABLES


def is_metadata(path: str) -> bool:
    """Whether the file may list examples, by its name."""
    return path.rpartition("/")[2].lower() in METADATA


def anywhere(found: Sequence[FileInTree], role: Role) -> list[LabelledFile]:
    """Every member of `role`, wherever it lies and without a label."""
    return [LabelledFile(one.index, one.path, label="") for one in found if one.role == role]


def _by_name(path: str, asked: Modality | None) -> Role | None:
    """What the name says; None where only the content can tell whether it is a picture."""
    suffix = images.extension(path)
    if suffix in images.EXTENSIONS or (suffix in images.FOREIGN and suffix[1:] not in BESIDE):
        return "image"
    if suffix in TABLES:
        return "table"
    if suffix == ".txt":
        return "text"
    if suffix[1:] in BESIDE or "/" not in path:
        return "other"
    return "text" if asked == "text" else None


def _by_content(path: str, head: bytes) -> Role:
    """A picture whose name does not say so; whatever else it is lies beside the examples."""
    if images.is_archive(head):
        raise images.nested(path)
    try:
        image_header.sniff(head)
    except HeadstartError:
        return "other"
    return "image"
