"""Which level of folders is the label, where class folders hold folders themselves."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from app.core.manifest import Problem
from app.uploads.intake.layout import doubts
from app.uploads.intake.splits import of_folders

Below = Mapping[str, Counter[tuple[str, ...]]]
"""By label the folders that its files lie in below it, `()` for the class folder itself."""


def check(places: Iterable[tuple[str, Sequence[str]]]) -> list[Problem]:
    """A warning that the first folder is the label where others lie in it, none where all files
    share them (`cat/images/`, `dog/images/`).

    `places` has each file's label and the folders below it. Raises ambiguous_layout where several
    class folders hold folders of the same names, as `fold1/cat` and `fold2/cat` do: either level
    may be the classes.
    """
    counts: dict[str, Counter[tuple[str, ...]]] = defaultdict(Counter)
    for label, folders in places:
        counts[label][tuple(folders)] += 1
    return _doubts(_below_shared(counts))


def _doubts(below: Below) -> list[Problem]:
    inner = {label: {one[0] for one in found if one} for label, found in below.items()}
    times = Counter(name for names in inner.values() for name in names)
    again = {name for name, count in times.items() if count > 1}
    sharing = sorted(label for label, names in inner.items() if names & again)
    if again and len(times) > 1 and _lie_deep(below[label] for label in sharing):
        raise doubts.classes_on_two_levels(sharing, sorted(again))
    return [_told(inner)] if times else []


def _told(inner: Mapping[str, set[str]]) -> Problem:
    """The warning; folders that read as splits are named first."""
    read = of_folders(set().union(*inner.values()))
    nested = sorted(
        (name not in read, f"{label}/{name}") for label, names in inner.items() for name in names
    )
    tops = sorted(label for label, names in inner.items() if names)
    return doubts.first_folder(tops, [path for _, path in nested])


def _below_shared(below: Below) -> Below:
    """The same below the folders that all classes have and that no other lies beside."""
    while len(_first(below)) == 1 and all(any(found) for found in below.values()):
        below = {label: _one_deeper(found) for label, found in below.items()}
    return below


def _first(below: Below) -> set[str]:
    """The names of the folders that lie in class folders."""
    return {folders[0] for found in below.values() for folders in found if folders}


def _one_deeper(found: Counter[tuple[str, ...]]) -> Counter[tuple[str, ...]]:
    deeper: Counter[tuple[str, ...]] = Counter()
    for folders, count in found.items():
        deeper[folders[1:]] += count
    return deeper


def _lie_deep(found: Iterable[Counter[tuple[str, ...]]]) -> bool:
    """Whether more files lie in the folders below than in the class folders themselves."""
    total: Counter[bool] = Counter()
    for counts in found:
        for folders, count in counts.items():
            total[bool(folders)] += count
    return total[True] > total[False]
