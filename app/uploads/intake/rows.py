"""What a row says: its text or path, its label, its group and its split, each checked."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.core.errors import HeadstartError
from app.core.manifest import Split
from app.core.texts import is_seen
from app.uploads.intake.labels.intervals import may_be_list
from app.uploads.intake.labels.rules import SINGLE, LabelRules
from app.uploads.intake.limits import Limits
from app.uploads.intake.names import UNSAFE, shown
from app.uploads.intake.splits import SPLITS
from app.uploads.printed import UNPRINTED, listed, read

PATHS = ("path", "file_name")
"""What a metadata file may call its first column; the second is Hugging Face's word."""

DENIED = "denied"
"""The key of a row's values that has the label which the row says is not there."""

SET_ASIDE = "set_aside"
"""The key that has the word by which its label does not count, though it has one."""


class SpokenAnswer(str):
    """What an assistant is to answer: a label as it stands, also where it is an object's JSON."""

    __slots__ = ()


_LINE_END = re.compile(r"[\r\n\x85\u2028\u2029]")


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table: `number` counts a CSV's header as 1, a JSONL's first line as 1."""

    table: str
    number: int
    values: Mapping[str, Any]
    columns: Mapping[str, str] = field(default_factory=dict, compare=False)
    """What the columns of its values are called in the table."""

    def called(self, role: str) -> str:
        """What the column of a value is called."""
        return shown(self.columns.get(role, role), 60)

    @property
    def where(self) -> str:
        """The row's name, which is also the path of the example that it holds."""
        return f"{self.table}:{self.number}"

    def error(self, code: str, why: str) -> HeadstartError:
        """`code`, naming this row."""
        return HeadstartError(code, f"{self.table}, row {self.number}: {why}", param=self.where)


@dataclass(frozen=True, slots=True)
class PictureCell:
    """A picture that a row holds: where its bytes lie in a file of the intake's own."""

    path: Path
    offset: int
    length: int

    def read(self) -> bytes:
        """The bytes."""
        with self.path.open("rb") as file:
            file.seek(self.offset)
            return file.read(self.length)


@dataclass(frozen=True, slots=True)
class InlinePicture:
    """A picture that a row holds as text, decoded."""

    data: bytes

    @property
    def length(self) -> int:
        return len(self.data)

    def read(self) -> bytes:
        """The bytes."""
        return self.data


@dataclass(frozen=True, slots=True)
class Box:
    """A part of a picture: what it is called in its list, and left, top, width and height of it in
    pixels, or as fractions of its sides; `size` is the picture's width and height, where the list
    says it."""

    key: str
    place: tuple[float, float, float, float]
    size: tuple[int, int] | None
    fractions: bool = False


@dataclass(frozen=True, slots=True)
class TextRow:
    """A labelled text; `text` is empty where the row has none, `label` where it has `labels`."""

    text: str
    label: str
    group: str | None
    split: Split | None
    labels: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class PathRow:
    """A labelled member of the archive that the metadata file lies in, or a part of one."""

    path: str
    label: str
    group: str | None
    split: Split | None
    labels: tuple[str, ...] | None = None
    box: Box | None = None


def text_row(
    row: Row, limits: Limits, *, labelled: bool = True, rules: LabelRules = SINGLE
) -> TextRow:
    """The row as a labelled text; OpenAI's older prompt form is understood.

    Without `labelled` only its `text` counts. Raises schema_mismatch, invalid_value or
    label_too_long.
    """
    if not labelled:
        return TextRow(_text(row, row.values), "", None, None)
    values = row.values
    if "prompt" in values and "completion" in values and "text" not in values:
        values = {**values, "text": values["prompt"], "label": _answer(values["completion"])}
    text = _text(row, values)
    if "label" not in values:
        raise row.error("schema_mismatch", "it has no `label`")
    return TextRow(
        text,
        label_of(row, values["label"], limits, rules),
        group_of(row, values.get("group"), limits),
        split_of(row, values.get("split")),
        labels_of(row, values["label"], limits, rules),
    )


def picture_row(
    row: Row, limits: Limits, *, labelled: bool = True, rules: LabelRules = SINGLE
) -> TextRow:
    """The row's label, group and split, its picture being elsewhere. Raises as `text_row`."""
    if not labelled:
        return TextRow("", "", None, None)
    return TextRow(
        "",
        label_of(row, row.values.get("label"), limits, rules),
        group_of(row, row.values.get("group"), limits),
        split_of(row, row.values.get("split")),
        labels_of(row, row.values.get("label"), limits, rules),
    )


def path_row(row: Row, limits: Limits, rules: LabelRules = SINGLE) -> PathRow:
    """The row as a labelled path. Raises schema_mismatch, invalid_value or label_too_long."""
    path = next((row.values[name] for name in PATHS if name in row.values), None)
    if "label" not in row.values or path is None:
        missing = "path" if path is None else "label"
        raise row.error("schema_mismatch", f"it has no `{missing}`")
    if not isinstance(path, str) or not path.strip():
        raise row.error("invalid_value", "`path` is empty")
    return PathRow(
        path,
        label_of(row, row.values["label"], limits, rules),
        group_of(row, row.values.get("group"), limits),
        split_of(row, row.values.get("split")),
        labels_of(row, row.values["label"], limits, rules),
        row.values.get("box"),
    )


def label_of(row: Row, value: Any, limits: Limits, rules: LabelRules = SINGLE) -> str:
    """A label: a text, a number, or true or false as JSON writes them; "" where there are several.

    Raises invalid_value, label_too_long.
    """
    if rules.several:
        return ""
    if isinstance(value, str) and may_be_list(value):
        return _label(row, value, limits)  # all labels together tell
    only = listed(value) if isinstance(value, str) else None
    return _label(row, _only(row, value if only is None else only), limits)


def labels_of(row: Row, value: Any, limits: Limits, rules: LabelRules) -> tuple[str, ...] | None:
    """All labels in order, where there may be several or none; else None. Raises as `label_of`."""
    if not rules.several:
        return None
    parted = rules.parted(value) if isinstance(value, str) else None
    told = value if parted is None else parted
    if not isinstance(told, list | tuple):
        told = [told]
    _check_listed(row, told)
    names = sorted({_label(row, one, limits) for one in told})
    if rules.negative not in names:
        return tuple(names)
    if len(names) > 1:
        raise row.error("invalid_value", f"it has {rules.negative!r} beside other labels")
    return ()


def _label(row: Row, value: Any, limits: Limits) -> str:
    label = _word(row, "label", _unwrapped(row, value))
    if label is None:
        raise row.error("invalid_value", "`label` is empty")
    if not is_seen(label):
        raise row.error("invalid_value", "`label` has no character that can be seen")
    if len(label) > limits.label_characters:
        raise row.error("label_too_long", too_long(label, limits))
    return label.strip()


def _unwrapped(row: Row, value: Any) -> Any:
    """The value that Python has printed with its type around it. Raises invalid_value where it has
    printed an object."""
    if isinstance(value, SpokenAnswer):
        return str(value)
    found = read(value) if isinstance(value, str) else UNPRINTED
    if isinstance(found, dict):
        why = f"`label` is an object as a text, {shown(value, 60)}: write the label alone"
        raise row.error("invalid_value", why)
    return value if found is UNPRINTED or isinstance(found, list) else found


def is_unlabelled(row: Row, rules: LabelRules = SINGLE) -> bool:
    """Whether nobody has labelled the row: it has no label, null or an empty cell, or where an
    example has one label an empty list, or it was set aside. An empty cell that would be
    parted says: no class."""
    if SET_ASIDE in row.values:
        return True
    if "label" not in row.values:
        return not any(name in row.values for name in ("messages", "prompt"))
    label = row.values["label"]
    if isinstance(label, str) and rules.separator is None:
        return not label.strip() or (listed(label) == [] and not rules.several)
    return label is None or (label == [] and not rules.several)


def _only(row: Row, value: Any) -> Any:
    """The one label of a list. Raises several_labels, or invalid_value for marked passages."""
    if not isinstance(value, list):
        return value
    _check_listed(row, value)
    if len(set(map(_stripped, value))) > 1:
        some = ", ".join(shown(str(one), 30) for one in value[:5])
        raise row.error("several_labels", f"`label` has {len(value)} labels: {some}; one is read")
    return value[0] if value else None


def _check_listed(row: Row, labels: Sequence[Any]) -> None:
    """Raise invalid_value for a list that has no labels in it, whatever it may look like."""
    if any(isinstance(one, list | dict) for one in labels):
        raise row.error("invalid_value", "`label` marks passages; one label for all of it is read")
    if ... in labels:
        why = "`label` is a list that was cut short with `...` as it was printed: export all of it"
        raise row.error("invalid_value", why)
    if len(labels) > 1 and any(isinstance(one, float) and not one.is_integer() for one in labels):
        why = "`label` is a list of numbers with a fraction, as probabilities of classes are: give "
        raise row.error("invalid_value", f"{why}the names of those that are there")
    marks = all(isinstance(one, int | float) and one in (0, 1) for one in labels)
    if marks and len(labels) > len(set(labels)):
        raise row.error(
            "invalid_value",
            "`label` is a 0 or 1 for each class, without their names: give the names that have a 1,"
            " as a list, or a column a class",
        )


def denied_by(row: Row, limits: Limits) -> frozenset[str]:
    """The label that the row says is not there, nothing of others. Raises as `label_of`."""
    return frozenset({_label(row, row.values[DENIED], limits)} if DENIED in row.values else ())


def group_of(row: Row, value: Any, limits: Limits) -> str | None:
    """A group's name, or None. Raises invalid_value."""
    group = _word(row, "group", value)
    if group is not None and len(group) > limits.label_characters:
        raise row.error("invalid_value", f"`group` has over {limits.label_characters} characters")
    return group


def split_of(row: Row, value: Any) -> Split | None:
    """The split that the row asks for, or None. Raises invalid_value."""
    word = _word(row, "split", value)
    if word is None:
        return None
    split = SPLITS.get(word.lower())
    if split is None:
        why = f"`{row.called('split')}` is {shown(word)!r}; use train, val or test"
        raise row.error("invalid_value", why + _otherwise(row, "split"))
    return split


def _otherwise(row: Row, role: str) -> str:
    """What to do where a column that is called otherwise says something else."""
    if row.called(role) == role:
        return ""
    return f", or say with {role}_column which column is the {role} of this file"


def too_long(label: str, limits: Limits) -> str:
    """The sentence for a label_too_long."""
    return (
        f"the label {shown(label, 20)!r} has {len(label):,} characters; "
        f"{limits.label_characters} are allowed"
    )


def _word(row: Row, name: str, value: Any) -> str | None:
    """A short text without control characters and blanks around it, which nobody sees; numbers,
    true and false are written out. None where there is nothing."""
    value = _stripped(value)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        return _written(row, name, value)
    if (end := _LINE_END.search(value)) is not None:
        why = f"`{name}` goes on in another line behind {shown(value[: end.start()], 40)!r}: a "
        why += "quotation mark that opens there may be meant to close in that row, or to be written"
        raise row.error("invalid_value", f"{why} twice; else write it on one line")
    if UNSAFE.search(value):
        raise row.error("invalid_value", f"`{name}` has control or direction characters")
    return value


def _written(row: Row, name: str, value: Any) -> str:
    """What is no text, as JSON writes it. Raises invalid_value."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        value = int(value)  # what pandas makes of whole numbers with a gap among them
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) or (isinstance(value, int) and -(2**63) <= value < 2**63):
        return str(value)
    kind = "a number of more than 64 bits" if isinstance(value, int) else _unread(value) or "nested"
    raise row.error("invalid_value", f"`{name}` is {kind}: write it as a text")


_UNREAD = {
    "<class 'bytes'>": "bytes",
    "<class 'datetime.timedelta'>": "a duration",
    "formula": "a formula that has never been computed (a spreadsheet program does, where the "
    "workbook is opened and saved in it)",
    "beyond": "a value beyond what is read, such as a time outside of the years 1 to 9999 or in a "
    "time zone that is not known",
}
"""What stands for what the reader of Parquet cannot write (`tables/apart/child.py`)."""


def _unread(value: Any) -> str | None:
    """What a cell of Parquet is that no row can hold; None for anything else."""
    told = value.get("type") if isinstance(value, dict) and len(value) == 1 else None
    return _UNREAD.get(told) if isinstance(told, str) else None


def _text(row: Row, values: Mapping[str, Any]) -> str:
    """The row's text, "" where there is nothing to read. Raises schema_mismatch, invalid_value."""
    if "text" not in values:
        raise row.error("schema_mismatch", "it has no `text`")
    text = values["text"]
    if not isinstance(text, str):
        kind = _unread(text)
        why = "`text` is not a string" if kind is None else f"`text` is {kind}: write it as a text"
        raise row.error("invalid_value", why)
    if "\0" in text:
        raise row.error("invalid_value", "`text` has a NUL character")
    return text if is_seen(text) else ""


def _answer(value: Any) -> Any:
    return SpokenAnswer(value.strip()) if isinstance(value, str) else value


def _stripped(value: Any) -> Any:
    return value.strip() if isinstance(value, str) else value
