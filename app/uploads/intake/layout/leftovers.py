"""What is none of the examples, so that nothing is dropped in silence."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence

from app.core.errors import HeadstartError
from app.core.manifest import Problem
from app.uploads.intake import foreign, images
from app.uploads.intake.layout.doubts import singly
from app.uploads.intake.layout.roles import FileInTree
from app.uploads.intake.names import is_junk, shown

_OF_CLASSES = frozenset(
    {"class", "classes", "classnames", "label", "labels", "labelnames", "categories", "names"}
)
_OF_MODELS = frozenset({"config.json", "dataset_infos.json", "dataset_info.json"})
"""What Hugging Face's models and data sets say them in, among others."""
_LISTS = frozenset({"txt", "json", "yaml", "yml", "names", "md"})
"""How files are called that list the names of classes: `classes.txt`, `label2id.json`."""


def ignored(
    found: Sequence[FileInTree], used: Collection[int], *, labels: Collection[str] = ()
) -> list[Problem]:
    """One problem for each kind of file that is no example; `used` holds members' indices. Of
    tables whose `labels` are numbers it is told which file may say what these are called."""
    rest = [one for one in found if one.index not in used]
    kind = _naming_kind if labels and all(map(str.isdecimal, labels)) else _kind
    counts = Counter(kind(member) for member in rest)
    first = {kind(member): member.path for member in reversed(rest)}
    return [
        Problem(
            code="unsupported_member",
            message=f"{count} {kind} ignored, the first of them {shown(first[kind])}",
            path=first[kind],
            excluded=True,
        )
        for kind, count in counts.items()
    ]


def empty_classes(
    folders: Iterable[str], found: Sequence[FileInTree], *, wrapper: str, parents: Collection[str]
) -> list[Problem]:
    """One problem for each class folder with no file but what tools leave behind.

    `folders` and `found` have whole paths; class folders lie in `parents`, below the wrapper.
    """
    told = {*folders, *(_parent(one.path) for one in found if one.role == "junk")}
    inside = {path.removeprefix(wrapper) for path in told if path.startswith(wrapper)}
    bare = {path.rstrip("/") for path in inside} - _filled(found, wrapper)
    empty = sorted(path for path in bare if path and not is_junk(path) and _parent(path) in parents)
    return singly([_lost(path, "has no example, so it is no class") for path in empty])


def lost_classes(labels: Iterable[str]) -> list[Problem]:
    """One problem for each label whose examples can all not be read."""
    why = "is no class: none of its examples can be read"
    return singly([_lost(label, why) for label in sorted(labels)])


def _lost(path: str, why: str) -> Problem:
    said = f"{shown(path)} {why}"
    return Problem(code="empty_class", message=said, path=path, excluded=True)


def _filled(found: Sequence[FileInTree], wrapper: str) -> set[str]:
    """The folders below the wrapper, as deep as classes lie, that files of use lie in."""
    kept = (one.path.removeprefix(wrapper).split("/") for one in found if one.role != "junk")
    return {"/".join(parts[:depth]) for parts in kept for depth in range(1, len(parts))}


def nothing(*, labelled: bool = True) -> HeadstartError:
    """The upload has no example at all."""
    if not labelled:
        return HeadstartError("empty_dataset", "nothing was found that can be predicted")
    return HeadstartError(
        "empty_dataset",
        "no example was found: put each class's files into a folder of its name, "
        "or add a metadata.csv with the columns path and label",
    )


def _parent(path: str) -> str:
    folder, slash, _ = path.rpartition("/")
    return folder + slash


def may_name_classes(member: FileInTree) -> bool:
    """Whether a member may say what numbers of classes mean, by what it is called."""
    name = member.parts[-1].lower()
    stem, _, suffix = name.partition(".")
    words = set(re.split(r"[^a-z]+", stem.replace("2", "_")))
    listed = bool(words & _OF_CLASSES) and suffix in _LISTS
    return member.role != "junk" and (listed or is_of_models(member))


def is_of_models(member: FileInTree) -> bool:
    """Whether it is called as what says the names of classes among much else."""
    return member.parts[-1].lower() in _OF_MODELS


def _naming_kind(member: FileInTree) -> str:
    if may_name_classes(member):
        said = "file(s) that may say what the labels, which are numbers, are called (write the "
        return f"{said}names into a column label_text beside them)"
    return _kind(member)


def _kind(member: FileInTree) -> str:
    if member.role == "junk":
        return "file(s) that systems and tools leave behind"
    if member.role == "aside":
        return f"file(s) in {shown(member.parts[0], 60)}/, beside the folder of the classes,"
    suffix = images.extension(member.path)
    if suffix in foreign.BESIDE:
        return f"{suffix} file(s) ({foreign.BESIDE[suffix]})"
    return f"{suffix} file(s)" if suffix else "file(s) without an extension"
