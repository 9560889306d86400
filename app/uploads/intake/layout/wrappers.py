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
    known = [*paths, *listing]
    cuts = [""]
    while len(cuts) <= DEEPEST:
        inside = cuts[-1]
        top = _only([path[len(inside) :] for path in known if path.startswith(inside)])
        cut = f"{inside}{top}/"
        beside = any(path.startswith(inside) and not path.startswith(cut) for path in listing)
        if top is None or beside:
            break
        cuts.append(cut)
    return cuts[-1] if _tells(known, cuts[-1]) else cuts[min(1, len(cuts) - 1)]


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
    """Whether there are folders in the folder, or tables and lists, which need none."""
    return any("/" in path or _is_table(path) for path in paths)


def _is_table(path: str) -> bool:
    suffix = images.extension(path)
    return suffix in TABLES or suffix == ".json"


def _is_split(top: str, paths: Sequence[str]) -> bool:
    """A split's folder is no wrapper, unless all folders in it are splits."""
    said = read_name(top)
    inside = {path.partition("/")[0] for path in paths if "/" in path}
    return said is not None and said.exact and not (inside and inside == of_folders(inside).keys())


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
    tables = any("/" not in path and _is_table(path) for path in inside)
    return len(tops) > 1 or bool(of_folders(tops)) or tables
