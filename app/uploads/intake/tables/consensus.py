"""What holds of the answers that several people gave for one example: one rule for all formats.

What is marked as the truth counts before all others, then what most have said, then of equally many
the latest. Where nothing tells, nobody's answer is taken.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from app.core.manifest import Problem
from app.uploads.intake.names import shown
from app.uploads.intake.rows import DENIED, Row

VOTE = "vote"
"""The role of a row's vote among its values."""
_WHO = (
    "annotator annotator_id annotator_name annotator_email annotated_by labeler labeller "
    "labeler_id labeled_by labelled_by rater rater_id worker_id workerid completed_by"
)
VOTERS = frozenset(_WHO.split())
"""What columns are called that say whose answer a row is."""
TIMES = ("updated_at", "timestamp", "created_at", "submittime", "annotated_at")
_FAR = 10**24
"""Seconds, or thousandths of them, that are a time."""
_SINGLY = 100
"""Disagreements that are listed one by one; the rest share one more."""
_DOCCANO = frozenset({"id", "text", "label", "labels", "comments"})
Told = TypeVar("Told")


@dataclass(frozen=True, slots=True)
class Vote:
    """Whose answer it is and since when; `item` parts examples that only look alike."""

    voter: str | None = None
    when: tuple[str, ...] = ()
    truth: bool = False
    item: str = ""


@dataclass(frozen=True, slots=True)
class Voting:
    """The columns of a table that say whose answer each row is, and when it was given."""

    voter: str | None
    times: tuple[str, ...]
    item: str | None = None
    table: str = ""

    def of(self, values: Mapping[str, Any]) -> Vote | None:
        """The row's vote, None where it does not say whose it is."""
        voter = self.table if self.voter is None else _word(values.get(self.voter))
        if not voter:
            return None
        when = tuple(moment(values.get(name)) for name in self.times)
        return Vote(voter, when, item="" if self.item is None else _word(values.get(self.item)))


def voting(free: Mapping[str, str], *, table: str | None) -> Voting | None:
    """How the rows say whose they are, by the columns without another role (folded name: name);
    None of others.

    Label Studio's `annotator`, Prodigy's `_annotator_id` or `_session_id`, Mechanical Turk's
    `WorkerId`. `table` is the file's name where it is one annotator's, as doccano writes them:
    the ids in all of them are the same.
    """
    times = tuple(free[one] for one in TIMES if one in free)
    found = [free[one] for one in free if one in VOTERS]
    if not found and {"input_hash", "session_id"} <= free.keys():
        found = [free["session_id"]]
    if found:
        return Voting(found[0], times)
    return Voting(None, (), free["id"], table) if table is not None and "id" in free else None


def says(name: str) -> bool:
    """Whether a column of this folded name says whose answer a row is, or since when."""
    return name in VOTERS or name in TIMES


def is_doccano(names: Iterable[str]) -> bool:
    """Whether objects have what doccano's lines have, and nothing else."""
    every = set(names)
    return {"id", "text"} <= every <= _DOCCANO


def moment(value: object) -> str:
    """A time so that later ones are greater, "" where there is none: ISO 8601, or seconds."""
    if value is None or isinstance(value, bool | dict | list):
        return ""
    if isinstance(value, int | float):
        return f"{value:020.6f}" if abs(value) < _FAR else ""
    said = str(value).strip()
    seconds = said.isascii() and said.isdecimal() and len(said) <= len(str(_FAR))
    return f"{int(said):020.6f}" if seconds else said


def winner(answers: Sequence[tuple[Hashable, Vote]]) -> int | None:
    """The place of the answer that holds, None where nothing tells which."""
    places = _latest_each(answers)
    places = [at for at in places if answers[at][1].truth] or places
    counts = Counter(answers[at][0] for at in places)
    most = max(counts.values())
    best = [at for at in places if counts[answers[at][0]] == most]
    last = max(best, key=lambda at: answers[at][1].when)
    latest = {answers[at][0] for at in best if answers[at][1].when == answers[last][1].when}
    return last if len(latest) == 1 else None


def _latest_each(answers: Sequence[tuple[Hashable, Vote]]) -> list[int]:
    """The places of all answers, but of one person's those that a later one has replaced."""
    last: dict[str, tuple[str, ...]] = {}
    for _, vote in answers:
        if vote.voter is not None:
            last[vote.voter] = max(last.get(vote.voter, ()), vote.when)
    return [
        at
        for at, (_, vote) in enumerate(answers)
        if vote.voter is None or vote.when == last[vote.voter]
    ]


@dataclass(slots=True)
class Consensus:
    """Counts what people disagreed about, and tells of it."""

    tell: Callable[[Problem], None]
    _settled: list[Problem] = field(default_factory=list)
    _open: list[Problem] = field(default_factory=list)
    _further: int = 0

    def taken(self, answers: Sequence[tuple[Hashable, Vote]], path: str) -> int | None:
        """The place of the answer that holds for the example at `path`, None where none does."""
        at = winner(answers)
        counts = Counter(said(answer) for answer, _ in answers)
        if len(counts) > 1:
            named = ", ".join(f"{shown(one, 40)!r} {n}x" for one, n in counts.most_common(5))
            self._note(path, named, None if at is None else said(answers[at][0]))
        return at

    def _note(self, path: str, named: str, label: str | None) -> None:
        held = self._open if label is None else self._settled
        what = "which of equally many is the latest is not known, and it is left out"
        taken = what if label is None else f"{shown(label, 40)!r} is taken"
        one = Problem(
            code="label_conflict",
            message=f"{shown(path)}: several people labelled it {named}; {taken}",
            path=path,
            excluded=label is None,
        )
        if len(self._settled) + len(self._open) < _SINGLY:
            held.append(one)
        elif label is None:
            self._open.append(one)
        else:
            self._further += 1

    def settle(self) -> None:
        """Tell of all disagreements: how many, and each of the first."""
        count = len(self._settled) + self._further
        if count:
            told = (
                f"{count} example(s) have answers of several people that disagree: what is "
                "marked as the truth is taken, else what most say, of equally many the latest"
            )
            first = self._settled[0].path if self._settled else None
            self.tell(Problem(code="label_conflict", message=told, path=first))
        for one in (*self._settled, *self._open):
            self.tell(one)
        self._settled, self._open, self._further = [], [], 0


def said(answer: Hashable) -> str:
    """An answer in words: its label, or all of them."""
    return ", ".join(map(str, answer)) if isinstance(answer, tuple) else str(answer)


def answer_of(value: Any) -> Hashable:
    """A row's label so that equal answers are equal."""
    listed = value if isinstance(value, list | tuple) else [value]
    told = tuple(sorted({str(one).strip() for one in listed}))
    return told[0] if len(told) == 1 else told


def settled(
    rows: Iterable[tuple[Told, Row]], tell: Callable[[Problem], None], *, several: bool = False
) -> Iterator[tuple[Told, Row]]:
    """The rows that name files, of those that several people labelled the one that holds. With
    `several` labels asked for, one person's rows of one label each are one answer with all.
    """
    held: dict[tuple[str, str, str], list[tuple[Told, Row]]] = defaultdict(list)
    for told, row in rows:
        vote = row.values.get(VOTE)
        if isinstance(vote, Vote):
            key = vote.item, str(row.values.get("path")), str(row.values.get("split"))
            held[key].append((told, row))
        else:
            yield told, row
    consensus = Consensus(tell)
    for (_, path, _), every in held.items():
        some = _of_voters(every) if several else every
        answers = [(answer_of(row.values.get("label")), row.values[VOTE]) for _, row in some]
        at = consensus.taken(answers, path)
        if at is not None:
            yield some[at]
    consensus.settle()


def _of_voters(rows: Iterable[tuple[Told, Row]]) -> list[tuple[Told, Row]]:
    """The rows of several people, those of one person with a label each as one with all of them,
    as late as the last; what one says to be there and not to be stays two."""
    mine: dict[str | None, list[tuple[Told, Row]]] = defaultdict(list)
    for told, row in rows:
        mine[row.values[VOTE].voter].append((told, row))
    return [one for voter, some in mine.items() for one in (_as_one(some) if voter else some)]


def _as_one(rows: list[tuple[Told, Row]]) -> list[tuple[Told, Row]]:
    every = [row.values for _, row in rows]
    said = {str(one["label"]).strip() for one in every if isinstance(one.get("label"), str)}
    denied = {str(one[DENIED]).strip() for one in every if DENIED in one}
    each = all(isinstance(one.get("label"), str) or DENIED in one for one in every)
    if len(rows) < 2 or not each or said & denied:
        return rows
    told, first = rows[0]
    later = max((one[VOTE] for one in every), key=lambda one: one.when)
    return [(told, replace(first, values={**first.values, "label": sorted(said), VOTE: later}))]


def _word(value: Any) -> str:
    return "" if value is None or isinstance(value, dict | list) else str(value).strip()
