"""Which members of an archive are examples, and what their folders say of them. Pure: paths only.

One wrapper folder around everything is looked through; `train`, `val` and `test` on top are
splits; below them the first folder is the label. A metadata file, where there is one, decides.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from app.core.errors import HeadstartError
from app.core.manifest import Modality, Problem, Split
from app.uploads.intake import images
from app.uploads.intake.limits import Kind, Limits
from app.uploads.intake.names import clean, folded, is_junk, shown
from app.uploads.intake.rows import Row, path_row
from app.uploads.intake.splits import SPLITS

Role = Literal["image", "text", "table", "other"]

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
DOCUMENTS = frozenset(
    {
        ".md",
        ".rst",
        ".json",
        ".xml",
        ".yaml",
        ".yml",
        ".toml",
        ".ini",
        ".html",
        ".htm",
        ".log",
        ".py",
        ".ipynb",
        ".names",
        ".doc",
        ".docx",
        ".license",
    }
)


@dataclass(frozen=True, slots=True)
class FileInTree:
    """A member by its index in the archive and its path below the wrapper folder."""

    index: int
    path: str
    role: Role

    @property
    def parts(self) -> list[str]:
        return self.path.split("/")


@dataclass(frozen=True, slots=True)
class LabelledFile:
    """A member that is an example, and what its place says of it."""

    index: int
    path: str
    label: str
    group: str | None = None
    split: Split | None = None


def members(paths: Sequence[str], asked: Modality | None = None) -> list[FileInTree]:
    """All members but junk, their wrapper folder taken off. Raises unsupported_member."""
    found = [(index, path) for index, path in enumerate(paths) if not is_junk(path)]
    for _, path in found:
        if images.extension(path) in images.ARCHIVES:
            raise images.nested(path)
    roles = {path: _role(path, asked) for _, path in found}
    cut = len(_wrapper([path for path, role in roles.items() if role != "other"]))
    return [
        FileInTree(index, path[cut:] if len(path) > cut else path, roles[path])
        for index, path in found
    ]


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


def metadata(found: Sequence[FileInTree]) -> list[FileInTree]:
    """The metadata files: one on top, or one in each split's folder."""
    return [
        member
        for member in found
        if member.parts[-1].lower() in METADATA
        and (len(member.parts) == 1 or (len(member.parts) == 2 and member.parts[0] in SPLITS))
    ]


def tables(found: Sequence[FileInTree]) -> list[tuple[FileInTree, Split | None]]:
    """Tables of texts on top, and the split that their name or folder says."""
    chosen = [member for member in found if member.role == "table" and len(member.parts) <= 2]
    return [(member, _table_split(member)) for member in chosen]


def by_folder(found: Sequence[FileInTree], role: Role) -> tuple[list[LabelledFile], list[Problem]]:
    """Every member of `role` labelled by its folder; those in none are problems."""
    chosen = [member for member in found if member.role == role]
    splits = _has_splits([member for member in chosen if len(member.parts) > 1])
    items: list[LabelledFile] = []
    problems: list[Problem] = []
    for member in chosen:
        parts = member.parts
        split = SPLITS[parts.pop(0).lower()] if splits and len(parts) > 1 else None
        if len(parts) > 1:
            items.append(LabelledFile(member.index, member.path, label=parts[0], split=split))
        else:
            problems.append(_unlabelled(member))
    return items, problems


def anywhere(
    found: Sequence[FileInTree], role: Role, *, paths: Sequence[str]
) -> list[LabelledFile]:
    """Every member of `role` under its whole path, without a label."""
    return [
        LabelledFile(one.index, paths[one.index], label="") for one in found if one.role == role
    ]


def by_rows(
    found: Sequence[FileInTree],
    rows: Iterable[tuple[FileInTree, Row]],
    *,
    paths: Sequence[str],
    limits: Limits,
) -> list[LabelledFile]:
    """The members that the rows of metadata files name, below the folder of each file.

    Raises schema_mismatch, invalid_value, label_too_long, unsafe_path or duplicate_name.
    """
    places = {folded(key): one for one in found for key in (paths[one.index], one.path)}
    items: dict[int, LabelledFile] = {}
    for table, row in rows:
        told = path_row(row, limits)
        folder = table.path.rpartition("/")[0]
        member = places.get(folded(clean(f"{folder}/{told.path}" if folder else told.path)))
        if member is None:
            raise row.error("schema_mismatch", f"{shown(told.path)} is not in the archive")
        if member.index in items:
            raise row.error("duplicate_name", f"{shown(told.path)} has a row already")
        split = told.split or (SPLITS.get(folder.lower()) if folder else None)
        items[member.index] = LabelledFile(member.index, member.path, told.label, told.group, split)
    return sorted(items.values(), key=lambda item: item.index)


def unlisted(
    found: Sequence[FileInTree], items: Sequence[LabelledFile], role: Role
) -> list[Problem]:
    """One problem for all members that no metadata row names."""
    listed = {item.index for item in items}
    rest = [one.path for one in found if one.role == role and one.index not in listed]
    if not rest:
        return []
    message = f"{len(rest)} file(s) without a metadata row, the first of them {shown(rest[0])}"
    return [Problem(code="schema_mismatch", message=message, path=rest[0], excluded=True)]


def ignored(found: Sequence[FileInTree], used: Collection[Role]) -> list[Problem]:
    """One problem for each kind of file that is no example; metadata files are not among them."""
    listed = {one.index for one in metadata(found)}
    rest = [one for one in found if one.role not in used and one.index not in listed]
    counts = Counter(_kind(member) for member in rest)
    first = {_kind(member): member.path for member in reversed(rest)}
    return [
        Problem(
            code="unsupported_member",
            message=f"{count} {kind} ignored, the first of them {shown(first[kind])}",
            path=first[kind],
            excluded=True,
        )
        for kind, count in counts.items()
    ]


def nothing(*, labelled: bool = True) -> HeadstartError:
    """The upload has no example at all."""
    if not labelled:
        return HeadstartError("empty_dataset", "nothing was found that can be predicted")
    return HeadstartError(
        "empty_dataset",
        "no example was found: put each class's files into a folder of its name, "
        "or add a metadata.csv with the columns path and label",
    )


def _role(path: str, asked: Modality | None) -> Role:
    suffix = images.extension(path)
    if suffix in images.EXTENSIONS or suffix in images.FOREIGN:
        return "image"
    if suffix in TABLES:
        return "table"
    if suffix == ".txt":
        return "text"
    hidden = path.rpartition("/")[2].startswith(".")
    if hidden or suffix in DOCUMENTS or "/" not in path:
        return "other"
    return "text" if asked == "text" else "image"


def _wrapper(paths: Sequence[str]) -> str:
    """The one folder that everything lies in, with its slash, unless it is a class or a split."""
    tops = {path.partition("/")[0] for path in paths}
    if len(tops) != 1 or not all("/" in path for path in paths):
        return ""
    top = tops.pop()
    below = [path.partition("/")[2] for path in paths]
    if top.lower() in SPLITS and not all(_wraps_splits(path) for path in below):
        return ""
    nested = any("/" in path or images.extension(path) in TABLES for path in below)
    return top + "/" if nested else ""


def _wraps_splits(path: str) -> bool:
    return path.partition("/")[0].lower() in SPLITS and path.count("/") > 1


def _has_splits(found: Sequence[FileInTree]) -> bool:
    """Whether every folder on top is a split, with labels' folders below it."""
    return bool(found) and all(
        member.parts[0].lower() in SPLITS and len(member.parts) > 2 for member in found
    )


def _table_split(member: FileInTree) -> Split | None:
    top, stem = member.parts[0].lower(), member.parts[-1].lower().partition(".")[0]
    return SPLITS.get(stem) or (SPLITS.get(top) if len(member.parts) > 1 else None)


def _unlabelled(member: FileInTree) -> Problem:
    return Problem(
        code="invalid_value",
        message=f"{shown(member.path)} lies in no class folder, so it has no label",
        path=member.path,
        excluded=True,
    )


def _kind(member: FileInTree) -> str:
    suffix = images.extension(member.path)
    return f"{suffix} file(s)" if suffix else "file(s) without an extension"
