"""Whether pictures that are called as masks are some by their pixels."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from app.core.errors import HeadstartError
from app.uploads.intake import members
from app.uploads.intake.archive import Archive
from app.uploads.intake.crops.cutter import Cutter
from app.uploads.intake.layout import FileInTree
from app.uploads.intake.limits import IntakeOptions

EACH, MOST = 8, 512
"""Pictures of a folder that are looked at, and of an upload."""
FEWEST_COLOURS = (16, 16, 96)
"""Colours that a mask has at most, as `Cutter.look` counts: photographs have many more, and a
mask that was saved as JPEG has some along its edges."""
FLAT = 0.5
"""Share of what is not background, from which a picture has areas of one value each, as masks of
many instances have them; what a camera sees has hardly any."""
SMOOTH = 0.95
"""The same for what is grey and without a grain, as blurred masks and maps of distances are."""


@dataclass(frozen=True, slots=True)
class MaskLook:
    """Looks at some pictures of each folder."""

    opened: Archive
    cutter: Cutter
    options: IntakeOptions

    def __call__(self, called: Sequence[FileInTree]) -> frozenset[int]:
        """Those of the folders three quarters of whose pictures, as far as they are looked at, have
        a handful of colours, areas of one value each or no grain; none of a folder is looked at
        where there are very many of them, and then the others tell."""
        folders: dict[str, list[FileInTree]] = defaultdict(list)
        for one in called:
            folders[one.path.rpartition("/")[0]].append(one)
        each = max(1, min(EACH, MOST // max(1, len(folders))))
        looked = [self._looks(inside, each) for inside in list(folders.values())[:MOST]]
        rest = _most([look for looks in looked for look in looks])
        told = [*map(_most, looked), *[rest] * (len(folders) - len(looked))]
        both = zip(folders.values(), told, strict=True)
        return frozenset(one.index for inside, are in both if are for one in inside)

    def _looks(self, inside: Sequence[FileInTree], each: int) -> list[bool]:
        step = max(1, len(inside) // each)
        return [self._is_mask(one) for one in inside[::step][:each]]

    def _is_mask(self, one: FileInTree) -> bool:
        with suppress(HeadstartError):  # what is wrong with it is told where it is taken in
            entry = self.opened.entries[one.index]
            held = members.content(self.opened, entry, "image", self.options)
            look = self.cutter.look(held)
            if look is not None:
                both = zip(look["colours"], FEWEST_COLOURS, strict=True)
                few = all(count <= most for count, most in both)
                return few or look["flat"] >= FLAT or look["smooth"] >= SMOOTH
        return False


def _most(looks: Sequence[bool]) -> bool:
    return 4 * sum(looks) >= 3 * len(looks) > 0
