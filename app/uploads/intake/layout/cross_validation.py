"""Tables that are the folds of a cross-validation, by their names and their folders'."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence

from app.core.errors import HeadstartError
from app.core.manifest import Problem, Split
from app.uploads.intake.layout.roles import FileInTree
from app.uploads.intake.names import shown

_FOLD = re.compile(
    r"(?:^|[\W_\d]|train|training|val|valid|validation|test)(?:k?[-_ ]?folds?|cv)[-_ ]?(\d+)",
    re.IGNORECASE,
)


def fold_of(path: str) -> int | None:
    """The number of the fold that a table is of, None where nothing calls it one."""
    found = (_FOLD.search(part) for part in reversed(path.split("/")))
    return next((int(one[1]) for one in found if one is not None), None)


def folds_told(
    tables: Sequence[tuple[FileInTree, Split | None]], *, labelled: bool = True
) -> list[Problem]:
    """A warning of tables that are folds: they are one dataset. Raises ambiguous_layout where
    several have what is trained on and what is held out: of those each row is both."""
    folds: dict[int, list[tuple[str, Split | None]]] = defaultdict(list)
    for table, split in tables:
        if (number := fold_of(table.path)) is not None:
            folds[number].append((table.path, split))
    if len(folds) < 2 or not labelled:
        return []
    every = [path for number in sorted(folds) for path, _ in folds[number]]
    some = f"{', '.join(shown(path, 60) for path in every[:3])}{', …' if every[3:] else ''}"
    both = [
        one for one in folds.values() if len({split in ("val", "test") for _, split in one}) > 1
    ]
    said = (
        f"{len(every)} tables are {len(folds)} folds of a cross-validation by their names, {some}"
    )
    if len(both) > 1:
        why = f"{said}, with what is trained on and what is held out in each: what one holds out "
        why += "the others train on. Send one fold's tables, or all rows once: accuracy is "
        why += "estimated by folds of the service's own"
        raise HeadstartError("ambiguous_layout", why, param=shown(every[0]))
    message = f"{said}: they are read as one dataset, and which fold a row is in is not; accuracy "
    message += "is estimated by folds of the service's own. To hold one out, call it test, or say "
    message += "train and test in a column split"
    return [Problem(code="ambiguous_layout", message=message, path=every[0])]
