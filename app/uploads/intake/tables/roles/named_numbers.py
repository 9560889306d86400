"""Numbers of classes in the label's column, whose names another has, as SetFit's tables do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

from app.uploads.intake.names import shown
from app.uploads.intake.tables.roles.names import folded
from app.uploads.intake.tables.source import TableFile

_ENDS = ("text", "name", "names", "str", "string", "desc", "description", "title")
_NAMES = frozenset({"label_text", "label_name", "class_name", "category_name", "target_name"})


@dataclass(slots=True)
class NamedNumbers:
    """The columns of the `numbers` and of their `names`, and what was said of each so far."""

    numbers: str
    names: str
    said: dict[str, str] = field(default_factory=dict)
    others: int = 0

    def see(self, values: Mapping[str, Any]) -> None:
        """Look at one row."""
        number, name = (_word(values.get(one)) for one in (self.numbers, self.names))
        if number and name:
            self.others += self.said.setdefault(number, name) != name

    def tell(self, table: TableFile) -> None:
        """Tell of numbers that have several names."""
        if self.others:
            said = (
                f"`{shown(self.names, 40)}`, which are the labels, and `{shown(self.numbers, 40)}`"
            )
            said += f" contradict each other in {self.others} row(s)"
            table.warn("labels_doubtful", said)


def named_numbers(
    table: TableFile,
    free: Mapping[str, str],
    sample: Sequence[Mapping[str, Any]],
    places: dict[str, str],
) -> NamedNumbers | None:
    """What says that the names of the label's numbers stand in one of the `free` columns (as they
    are called folded), each of one number, which is told; it is the label of `places` then."""
    label = places.get("label")
    if not table.labelled or label is None or "label" in table.columns:
        return None
    found = [name for name, plain in free.items() if _names(plain, folded(label))]
    told = next((name for name in found if _are_names(sample, label, name)), None)
    if told is None or _has_numbers(table.former.labels, sample, label, told):
        return None
    places["label"] = told
    said = f"`{shown(label, 40)}` has the numbers of the classes, and `{shown(told, 40)}` their "
    table.warn("column_assumed", f"{said}names, which are read; label_column says otherwise")
    return NamedNumbers(label, told)


def _names(plain: str, label: str) -> bool:
    """Whether a column is called as the names of the label's numbers are."""
    stem = label.removesuffix("_id").removesuffix("_idx").removesuffix("_index")
    return plain in _NAMES or plain in {f"{one}_{end}" for one in (label, stem) for end in _ENDS}


def _are_names(sample: Sequence[Mapping[str, Any]], label: str, name: str) -> bool:
    """Whether each number has one name, and each name one number."""
    pairs = {(_word(row.get(label)), _word(row.get(name))) for row in sample} - {("", "")}
    numbers, names = {one for one, _ in pairs}, {other for _, other in pairs}
    whole = all(one.isdecimal() for one in numbers) and not any(one.isdecimal() for one in names)
    return len(pairs) == len(numbers) == len(names) > 0 and whole and "" not in names


def _has_numbers(
    known: Set[str], sample: Sequence[Mapping[str, Any]], label: str, name: str
) -> bool:
    """Whether the dataset that is added to has the numbers as its labels, and none of the names."""
    numbers, names = ({_word(row.get(one)) for row in sample} for one in (label, name))
    return bool(numbers & known) and not names & known


def _word(value: Any) -> str:
    word = "" if value is None or isinstance(value, dict | list) else str(value).strip()
    return word.removesuffix(".0")
