"""Files by what tables call them: a bare name, a name without its ending, a path from elsewhere."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from app.uploads.intake.layout.drawn import Drawn
from app.uploads.intake.layout.roles import FileInTree
from app.uploads.intake.names import folded, own_name, plain

_WHOLE = re.compile(r"([0-9]{1,18})(\.0+)?")
"""A whole number, as pandas writes it too where another cell of its column is empty."""


class Nearby:
    """Finds the files that lie deeper or less deep than the paths that are said; with `loose` in
    other folders, too, as a table has them that was made elsewhere."""

    def __init__(
        self, found: Sequence[FileInTree], *, loose: bool = False, drawn: Drawn | None = None
    ) -> None:
        self.files = found
        self._drawn = Drawn() if drawn is None else drawn
        self._loose = loose
        self._named: dict[str, list[FileInTree]] = defaultdict(list)
        self._stems: dict[str, list[FileInTree]] = defaultdict(list)
        for one in found:
            name = folded(one.parts[-1])
            self._named[name].append(one)
            self._stems[_stem(one)].append(one)

    def by_number(self) -> Mapping[int, FileInTree]:
        """The files whose names are whole numbers but for the ending, by those; none where two have
        one number."""
        stems = ((one.parts[-1].rpartition(".")[0] or one.parts[-1], one) for one in self.files)
        told = [(number, one) for stem, one in stems if (number := number_of(stem)) is not None]
        counts = Counter(number for number, _ in told)
        return dict(told) if all(count == 1 for count in counts.values()) else {}

    def find(self, said: str) -> FileInTree | None:
        """The only file that `said` may mean; None where there is none or several are."""
        found = self.every(said)
        return found[0] if len(found) == 1 else None

    def every(self, said: str) -> list[FileInTree]:
        """All files of the name that is said, where one path is the end of the other; only the
        one of the whole path where there is one."""
        parts = [one for one in folded(plain(said)).split("/") if one]
        parts = [one for one in parts if one != "."]
        if not parts:
            return []
        names = dict.fromkeys((parts[-1], own_name(parts[-1])))
        known = (listed.get(one) for listed in (self._named, self._stems) for one in names)
        named = next(filter(None, known), [])
        ends = [one for one in named if self._loose or _is_end(parts[:-1], one.parts[:-1])]
        ends = [one for one in ends if not self._is_unsaid(one, parts[:-1])]
        whole = [one for one in ends if [folded(part) for part in one.parts[:-1]] == parts[:-1]]
        return whole if len(whole) == 1 and len(parts) > 1 else ends

    def _is_unsaid(self, one: FileInTree, folders: Sequence[str]) -> bool:
        """Whether it was drawn on another of its name, which a name without its folder never
        means."""
        said = folders and one.parts[1:] and _is_end(folders, one.parts[:-1])
        return not said and len(self._stems[_stem(one)]) > 1 and one.path in self._drawn

    def drawn(self, said: str) -> FileInTree | None:
        """The picture of this bare name that was drawn on another; None where there is none."""
        every = self._named.get(folded(plain(said)), [])
        return next((one for one in every if one not in self.every(said)), None)


def _stem(one: FileInTree) -> str:
    name = folded(one.parts[-1])
    return name.rpartition(".")[0] or name


def number_of(said: object) -> int | None:
    """The whole number that a cell says; None where it says anything else."""
    if isinstance(said, bool) or not isinstance(said, str | int | float):
        return None
    found = _WHOLE.fullmatch(str(said).strip())
    return int(found[1]) if found else None


def _is_end(said: Sequence[str], folders: Sequence[str]) -> bool:
    """Whether the shorter of two lists of folders is the end of the longer."""
    short = min(len(said), len(folders))
    theirs = [folded(one) for one in folders[len(folders) - short :]]
    return theirs == list(said[len(said) - short :])
