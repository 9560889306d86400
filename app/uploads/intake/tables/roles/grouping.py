"""Columns that may say which examples belong together, and are left unread: by what they are called
and by whether their values come back, each with one label."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.uploads.intake.names import shown
from app.uploads.intake.tables.source import TableFile

_NOUNS = (
    "patient subject person user author speaker donor customer session video source site camera "
    "lesion slide study series exam examination scan scanner visit encounter admission hospital "
    "clinic centre center institution lab laboratory specimen sample biopsy tissue culture animal "
    "mouse herd farm plot tree plant flight scene clip recording track song album conversation "
    "thread dialog dialogue chat call ticket email document doc article paper book chapter company "
    "firm account client member employee student participant respondent volunteer individual "
    "identity family mother twin wafer lot batch plate board panel serial coil roll reel machine "
    "device sensor robot vehicle operator location household domain host website url eye owner "
    "product sku order shipment"
)
_VAGUE = "case unit line field part block well channel item page record event run group cluster"
_TAIL = r"[\W_]*(?:id|uid|uuid|no|nr|num|number|code|name|key|ref)"
_WORDS = "|".join(_NOUNS.split())
_VAGUE_WORDS = "|".join(_VAGUE.split())
USUAL = re.compile(
    rf"(?:.*[\W_])?(?:(?:{_WORDS})s?(?:{_TAIL})?|(?:{_VAGUE_WORDS}){_TAIL})|.*(?:(?-i:UID)|[\W_]uid)",
    re.IGNORECASE,
)
"""What columns are called whose values several examples share that are not independent."""
_MAYBE = re.compile(rf"(?:.*[\W_])?(?:{_VAGUE_WORDS})", re.IGNORECASE)
"""What columns are called that have a few values otherwise."""
NAMED = (
    r"(?i:[\W_](?:id|uid|uuid|guid|no|nr|num|number)s?|identifier|(?:nummer|número|numero|numéro|"
    r"номер|编号|番号))$|(?<=[a-z0-9])(?:ID|Id|UID|Uid|UUID|No|Nr|Number)$"
)
"""How names of columns end that tell things apart, or number them."""
PATTERN = rf"^{USUAL.pattern}$|^{_MAYBE.pattern}$|{NAMED}"
"""One of these, as the reader of Parquet asks for it, which opens no others."""
SHARE = 0.05
"""Of the rows, that share a value with another from which on it is no accident."""
FEW = 5
"""Values that come back from which on a column of any name may be told."""
CHANCE = math.log(1e-6)
"""That each value had one label by accident."""
MOST_COLUMNS = 100
MOST_VALUES = 300_000
"""Values of all columns that are held at once."""
_NONE = frozenset(["", "nan", "none", "null", "na", "n/a", "<na>", r"\n"])


@dataclass(slots=True)
class _Column:
    name: str
    counts: dict[int, int] = field(default_factory=dict)
    """Rows by value."""
    labels: dict[int, Any] = field(default_factory=dict)
    """The label of each value's first row, while no other row of one had another."""
    pure: bool = True

    def see(self, value: str, label: Any) -> None:
        key = hash(value)
        self.counts[key] = self.counts.get(key, 0) + 1
        if self.pure and self.labels.setdefault(key, label) != label:
            self.pure, self.labels = False, {}

    @property
    def recur(self) -> Sequence[int]:
        """How often each value comes that comes again."""
        return [count for count in self.counts.values() if count > 1]


class UnreadGroups:
    """Looks at the columns without a role, row by row, for such as say which examples belong
    together: usual names whose values come again, other names for numbers and ids where each value
    has one label, and any column where that is no accident."""

    def __init__(self, table: TableFile, names: Sequence[str]) -> None:
        self._table = table
        self._columns = [_Column(name) for name in names[:MOST_COLUMNS]]
        self._labels = Counter[Any]()
        self._rows = 0
        self._held = 0

    def see(self, values: Mapping[str, Any], label: Any) -> None:
        """A row's values, and its label: none where it has none."""
        if label is None or label == "" or self._held > MOST_VALUES:
            return
        told = repr(label)
        self._labels[told] += 1
        self._rows += 1
        for column in self._columns:
            value = _plain(values.get(column.name))
            if value is not None:
                self._held -= len(column.counts)
                column.see(value, told)
                self._held += len(column.counts)
        if self._rows % 1000 == 0:
            self._columns = [one for one in self._columns if self._may(one)]

    def _may(self, column: _Column) -> bool:
        """Whether a column is worth to be looked at further."""
        named = USUAL.fullmatch(column.name) or _MAYBE.fullmatch(column.name)
        return bool(named) or (column.pure and (_is_named(column.name) or self._recurs(column)))

    def tell(self) -> None:
        """Warn of those that were found, when all rows were read."""
        found = [one.name for one in self._columns if self._groups(one)]
        if not found:
            return
        some = ", ".join(f"`{shown(name, 40)}`" for name in found[:10])
        self._table.warn(
            "column_unread",
            f"not read: {some}; if examples of one belong together, as pictures of one patient do, "
            f"send the form field group_column={shown(found[0], 40)}, which keeps them on one side "
            "where accuracy is estimated",
        )

    def _groups(self, column: _Column) -> bool:
        if len(column.counts) < 2 or not self._recurs(column):
            return False
        finer = column.pure and len(column.counts) > len(self._labels) > 1
        if USUAL.fullmatch(column.name):
            return True
        if _MAYBE.fullmatch(column.name) and len(column.counts) > FEW:
            return True
        return finer and (_is_named(column.name) or self._is_no_accident(column))

    def _recurs(self, column: _Column) -> bool:
        return sum(column.recur) > SHARE * sum(column.counts.values())

    def _is_no_accident(self, column: _Column) -> bool:
        """Whether that each value has one label tells something, for many small groups."""
        rows, again = self._rows, column.recur
        many = len(again) >= FEW and len(column.counts) >= 3 * len(self._labels)
        if not many or 2 * sum(again) < sum(column.counts.values()):
            return False
        shares = [count / rows for count in self._labels.values()]
        chances = (sum(share**count for share in shares) for count in again)
        return sum(math.log(max(chance, 1e-300)) for chance in chances) < CHANCE


def _plain(value: Any) -> str | None:
    """A cell that may name something; None for any other."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    text = str(value).strip()
    return None if text.casefold() in _NONE else text


def _is_named(name: str) -> bool:
    return re.search(NAMED, name.strip()) is not None
