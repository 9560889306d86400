"""The folders around everything, which say nothing of an example."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence

from app.uploads.intake import images
from app.uploads.intake.layout.roles import TABLES, FileInTree, Role, is_metadata
from app.uploads.intake.splits import of_folders, read_name

DEEPEST = 16
_ASIDE = (
    "preview previews docs doc documentation assets thumbnails thumbs screenshots figures figs "
    "sample samples example examples demo misc other logs code src scripts"
)
ASIDE = frozenset(_ASIDE.split())
"""Names of folders that lie beside a wrapper and are no class."""


def unwrapped(
    found: Sequence[FileInTree], role: Role, lists: Collection[FileInTree] = ()
) -> tuple[list[FileInTree], str]:
    """The members below the folders around all of `role`, and those folders.

    What lies beside the folders stays as it is. Metadata files and `lists` stay inside.
    """
    listing = [one.path for one in found if is_metadata(one.path) or one in lists]
    cut = wrapper([one.path for one in found if one.role == role], listing)
    return [one.below(cut) for one in found], cut


def wrapper(paths: Sequence[str], listing: Sequence[str] = ()) -> str:
    """The folders that all of `paths` lie in, with a slash at the end; "" where there are none.

    A class or a split is no wrapper, nor is a folder that files of `listing` lie beside. Other
    files beside a wrapper, and folders of previews, do not change that it is one.
    """
    cuts = [""]
    while len(cuts) <= DEEPEST:
        top = _only([path[len(cuts[-1]) :] for path in paths if path.startswith(cuts[-1])])
        if top is None or any(
            path.startswith(cuts[-1]) and not path.startswith(f"{cuts[-1]}{top}/")
            for path in listing
        ):
            break
        cuts.append(f"{cuts[-1]}{top}/")
    return cuts[-1] if _tells(paths, cuts[-1]) else cuts[min(1, len(cuts) - 1)]


def _only(paths: Sequence[str]) -> str | None:
    """The one folder that wraps the others, if one does."""
    below: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        top, slash, rest = path.partition("/")
        if slash:
            below[top].append(rest)
    tops = list(below)
    deep = [top for top in tops if _is_nested(below[top])]
    if len(deep) != 1 or not (len(tops) == 1 or _lie_aside(deep[0], below)):
        return None
    return None if _is_split(deep[0], below[deep[0]]) else deep[0]


def _is_nested(paths: Sequence[str]) -> bool:
    """Whether there are folders in the folder, or tables, which need none."""
    return any("/" in path or images.extension(path) in TABLES for path in paths)


def _is_split(top: str, paths: Sequence[str]) -> bool:
    """A split's folder is no wrapper, unless there are splits in it."""
    said = read_name(top)
    inside = {path.partition("/")[0] for path in paths if "/" in path}
    return said is not None and said.exact and not of_folders(inside)


def _lie_aside(top: str, below: dict[str, list[str]]) -> bool:
    """Whether all other folders are no classes: by their names, or of a single file beside
    classes in `top` that have several."""
    counts = Counter(path.partition("/")[0] for path in below[top] if "/" in path)
    classes = len(counts) > 1 and all("/" in path for path in below[top])
    several = bool(counts) and min(counts.values()) > 1
    return classes and all(
        other.lower() in ASIDE or (several and len(rest) == 1)
        for other, rest in below.items()
        if other != top
    )


def _tells(paths: Sequence[str], cut: str) -> bool:
    """Whether what lies in the folder `cut` tells classes, splits or tables apart."""
    inside = [path[len(cut) :] for path in paths if path.startswith(cut)]
    tops = {path.partition("/")[0] for path in inside if "/" in path}
    tables = any("/" not in path and images.extension(path) in TABLES for path in inside)
    return len(tops) > 1 or bool(of_folders(tops)) or tables
