"""How many labels an example may have, and how a cell says them."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Collection, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

from app.uploads.intake.labels.intervals import ends
from app.uploads.printed import LONGEST, listed

MARK = "__label__"
"""What fastText puts before a label."""
_LABEL = r"(?=[^@]{1,32}$)([^\W\d_][\w-]*(?: [\w-]+){0,2})"
GLUED = re.compile(rf"(.*\S)\s*@{_LABEL}")
SPACED = re.compile(rf"(.*\S)\s*@\s+{_LABEL}")
"""A text and the label behind it, `the text@label` as the Financial PhraseBank has them, or
`the text @ label`; the first also as a single line may have it, with a blank before."""
_HANDLE = re.compile(r".*\s@\S+")
"""What people write who are spoken of: it tells no label."""
_FEWEST, _WORDS = 4, 3
"""Lines that tell that form, and words of their texts in the mean: a list of addresses has none."""


@dataclass(frozen=True, slots=True)
class LabelRules:
    """`several`: an example may have several labels, or none. `judging`: it may not yet, but what
    has several says that it should. `separator` parts the labels of one text, and `negative` is the
    name that says that an example belongs to no class.
    """

    several: bool = False
    judging: bool = False
    separator: str | None = None
    negative: str | None = None

    def parted(self, text: str) -> Sequence[Any] | None:
        """The labels that one text says; None where it is one label as it stands."""
        found = listed(text) if self.several or self.judging or self.separator else None
        if found is not None:
            return found
        if self.separator is not None:
            return [one.strip() for one in text.split(self.separator) if one.strip()]
        return None

    def says_one(self, cell: object) -> bool:
        """Whether a cell says one label of an example that may have more in other rows: a list says
        all that it has, however it is written."""
        return isinstance(cell, str) and self.parted(cell) is None

    def lists(self, cell: object) -> bool:
        """Whether a cell says several labels, or could."""
        return isinstance(cell, list) or (isinstance(cell, str) and self.parted(cell) is not None)


SINGLE = LabelRules()


def joined(labels: Collection[str], *, besides: str | None = None) -> tuple[str, list[str]] | None:
    """What parts labels that seem to be several (another mark than `besides`, which parts them
    already), and those: their parts are labels themselves, or are few that come back again and
    again. None where there are none."""
    known = set(labels)
    for separator in PARTERS:
        if separator == besides:
            continue
        parts = {
            label: frozenset(one.strip() for one in label.split(separator)) - {""}
            for label in labels
            if separator in label.strip()
        }
        several = {label: some for label, some in parts.items() if len(some) > 1}
        found = sorted(label for label, some in several.items() if some <= known)
        found = found or sorted(
            label for label, some in several.items() if _is_tight(label, some, known, separator)
        )
        again = set().union(*several.values())
        if not found and separator in REPEATED and len(again) * REPEATED[separator] < len(several):
            found = sorted(several)
        if found:
            return separator, found
    return None


def _is_tight(label: str, parts: Collection[str], labels: Set[str], separator: str) -> bool:
    """Whether a label is made of others without a blank between them, one of which is a label
    itself: `bubble,melded wax` beside `bubble`."""
    words = all(any(map(str.isalpha, part)) for part in parts)
    tight = separator in REPEATED and separator != " " and f"{separator} " not in label
    return tight and words and not labels.isdisjoint(parts)


_BRACKETED = re.compile(r"\[[^\[\]]*,[^\[\]]*\]|\{[^{}]*,[^{}]*\}")


def bracketed(labels: Collection[str]) -> list[str]:
    """The labels that look like lists whose words have no quotation marks, as Java, Spark and
    Postgres print them."""
    return sorted(label for label in labels if _BRACKETED.fullmatch(label) and ends(label) is None)


PARTERS = ("|", ";", ",", "/", "+", " ")
REPEATED: Mapping[str, int] = {"|": 1, ";": 1, ",": 1, " ": 2}
"""How many times fewer the parts are than the labels made of them, where that tells."""


_NONE = re.compile(r"-1(\.0+)?")
_NUMBER = re.compile(r"([0-9]+)(\.0+)?")


def marks_none(label: str) -> bool:
    """Whether it is the -1 by which Hugging Face's data sets say that a row has no class."""
    return _NONE.fullmatch(label) is not None


def none_is_marked(labels: Mapping[str, Set[str]]) -> bool:
    """Whether -1 says that there is no class, by all labels of each split.

    All others are whole numbers from 0 or 1 on. Where one of them is 2 or more, -1 is none of
    them; beside 0 and 1 alone it may be one (-1, 0 and 1 as sentiments are), unless it is all that
    held-out splits say, and no example to train on has it.
    """
    with_none = [split for split, told in labels.items() if any(map(marks_none, told))]
    others = {one for told in labels.values() for one in told if not marks_none(one)}
    found = [_NUMBER.fullmatch(one) for one in others]
    numbers = [int(one[1]) for one in found if one is not None]
    if not with_none or not numbers or len(numbers) < len(others) or min(numbers) > 1:
        return False
    alone = all(all(map(marks_none, labels[split])) for split in with_none)
    return max(numbers) > 1 or (alone and "train" not in with_none)


def chosen(text: str) -> list[str] | None:
    """What Label Studio writes into a cell where several were chosen, `{"choices": […]}`; None for
    anything else."""
    found = _parsed(text.strip()) if "choices" in text else None
    told = found["choices"] if isinstance(found, dict) and found.keys() == {"choices"} else None
    return told if isinstance(told, list) and all(isinstance(one, str) for one in told) else None


def _parsed(text: str) -> Any:
    """What JSON or Python writes between braces; None where it is neither."""
    if text[:1] != "{" or text[-1:] != "}" or len(text) > LONGEST:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        try:
            return ast.literal_eval(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            return None


def is_fasttext(head: bytes) -> bool:
    """Whether a file begins with a label of fastText's."""
    return head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(MARK.encode())


def is_tailed(head: bytes) -> bool:
    """Whether the whole lines are sentences, each with one of a few labels at its end, and none in
    a handle, ` @name`."""
    if b"\0" in head:
        return False
    lines = _whole_lines(head)
    return any(_all_tailed(lines, form) for form in (GLUED, SPACED))


def _all_tailed(lines: Sequence[str], form: re.Pattern[str]) -> bool:
    told = [one for one in map(form.fullmatch, lines) if one is not None]
    words = sum(len(one[1].split()) for one in told)
    few = 2 * len({one[2] for one in told}) <= len(told)
    plain = len(lines) == len(told) >= _FEWEST and not any(map(_HANDLE.fullmatch, lines))
    return plain and few and words >= _WORDS * len(told)


def _whole_lines(head: bytes) -> list[str]:
    return [line.strip() for line in head.decode("latin-1").split("\n")[:-1] if line.strip()]


def almost_tailed(head: bytes) -> str | None:
    """What keeps a file, most of whose first lines end in `@` and a word, from being read as lines
    with their labels; None where few do."""
    lines = [] if b"\0" in head else _whole_lines(head)
    told = [bool(GLUED.fullmatch(one) or SPACED.fullmatch(one)) for one in lines]
    if len(lines) < _FEWEST or 2 * sum(told) < len(lines):
        return None
    said = f"{sum(told)} of its first {len(lines)} lines end in `@` and a word"
    if not all(told):
        said += f", and line {told.index(False) + 1} of them does not"
    elif any(map(_HANDLE.fullmatch, lines)):
        said += ", as handles are written"
    else:
        said += ", most of which come once or behind hardly a text"
    return f"{said}: if those are labels, send a table with the columns text and label"
