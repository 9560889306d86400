"""Examples that cannot be read: a few among many are left out and told, many end the upload."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from app.core.errors import HeadstartError
from app.core.manifest import Problem
from app.uploads.intake.layout.leftovers import lost_classes

ONE_IN = 8
"""Where more than one in so many examples cannot be read, it is not a few that were damaged: the
upload is not what its sender believes it to be (ADR 40)."""


class Damaged:
    """What could not be read so far, and the labels that it would have had."""

    def __init__(self) -> None:
        self._told: list[tuple[HeadstartError, str, Sequence[str]]] = []

    def add(self, error: HeadstartError, path: str, labels: Sequence[str]) -> None:
        """Keep why the example at `path` cannot be read."""
        self._told.append((error, path, labels))

    def taken(self) -> Damaged:
        """All of them, after which there are none."""
        all_of_them = Damaged()
        all_of_them._told, self._told = self._told, []
        return all_of_them

    def are_many(self, sound: int) -> bool:
        """Whether they are too many beside so many that can be read."""
        return len(self._told) * ONE_IN > len(self._told) + sound

    def errors(self) -> list[HeadstartError]:
        """Why each cannot be read."""
        return [error for error, _, _ in self._told]

    def problems(self, kept: Collection[str]) -> list[Problem]:
        """Each as a problem that leaves it out, and the labels that are not `kept` without it."""
        lost = {label for _, _, labels in self._told for label in labels} - set(kept)
        return [_left_out(error, path) for error, path, _ in self._told] + lost_classes(lost)


def _left_out(error: HeadstartError, path: str) -> Problem:
    said = f"{error.message}; it is left out: mend or replace the file, and append it"
    return Problem(code=error.code, message=said, path=path, excluded=True)
