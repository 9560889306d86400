"""Which column is the text and which the label: by name, by type, or because the caller says so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from app.core.errors import HeadstartError
from app.core.manifest import Problem
from app.uploads.intake.labels.rules import chosen
from app.uploads.intake.names import shown
from app.uploads.intake.rows import DENIED, SET_ASIDE, Box, Row
from app.uploads.intake.splits import SPLITS
from app.uploads.intake.tables import consensus
from app.uploads.intake.tables.consensus import Voting
from app.uploads.intake.tables.roles import (
    coordinates,
    former,
    headless,
    mark_columns,
    marks,
    responses,
    split_guess,
    telling,
)
from app.uploads.intake.tables.roles.grouping import UnreadGroups
from app.uploads.intake.tables.roles.held_out import HeldOutFlags, held_out
from app.uploads.intake.tables.roles.holding import DenyingColumn, holding
from app.uploads.intake.tables.roles.named_numbers import named_numbers
from app.uploads.intake.tables.roles.names import (
    FURTHER,
    OWN,
    READ_ANYWAY,
    USUAL,
    folded,
    matching,
)
from app.uploads.intake.tables.roles.set_aside import StateColumn, states
from app.uploads.intake.tables.roles.split_guess import SplitGuess
from app.uploads.intake.tables.roles.watch import ColumnWatch, watch
from app.uploads.intake.tables.source import TableFile

__all__ = ["FURTHER", "READ_ANYWAY", "USUAL", "Columns", "find", "folded", "matching"]


@dataclass(frozen=True, slots=True)
class Columns:
    """The name of the column that has each role; a role that no column has is not there."""

    places: Mapping[str, str]
    guess: SplitGuess | HeldOutFlags | None = None
    marks: tuple[str, ...] = ()
    """Columns of zeros and ones, one a class, in the place of one that says the label."""
    signed: bool = False
    """Whether these say 1 and -1."""
    marked: set[str] = field(default_factory=set)
    """Those of them that said one so far."""
    voting: Voting | None = None
    """Whose answers the rows are, where several people have labelled."""
    holds: DenyingColumn | None = None
    """The column that says of a row that its label is not there."""
    groups: UnreadGroups | None = None
    """What looks for columns that may say which examples belong together."""
    watch: ColumnWatch | None = None
    states: Sequence[StateColumn] = ()
    """Those that say of a row that its label does not count."""

    def read(self, row: Row, values: Mapping[str, Any]) -> Row:
        """The row with its `values` by role; a column that it lacks is left out.

        Raises invalid_value where the column that is taken for the split has none.
        """
        told = {name: values[name] for name in READ_ANYWAY if name in values}
        told |= {role: values[role] for role in USUAL if role in values and role not in told}
        told |= {role: values[name] for role, name in self.places.items() if name in values}
        if isinstance(box := values.get("box"), Box):
            told["box"] = box
        values = self._counting(row, told, values)
        if self.marks:
            told["label"] = [
                name
                for name in self.marks
                if marks.read(row, name, values.get(name), signed=self.signed)
            ]
            self.marked.update(told["label"])
        elif isinstance(told.get("label"), str) and (listed := chosen(told["label"])) is not None:
            told["label"] = listed
        if SET_ASIDE in told:
            told["label"] = None
        if self.watch is not None:
            self.watch.see(told.get("label"), values)
        if values.get("weight") == 0 and "messages" in told:
            told["weight"] = 0
        said = told.get("label") not in (None, "", [])
        if said and self.holds and self.holds.denies(row, values.get(self.holds.name)):
            told[DENIED], told["label"] = told["label"], []
        if self.guess is not None and "split" not in told:
            told["split"] = self.guess.see(row, values)
        if self.voting is not None and (vote := self.voting.of(values)) is not None:
            told[consensus.VOTE] = vote
        if self.groups is not None:
            self.groups.see(values, told.get("label", told.get("completion", "messages")))
        return Row(row.table, row.number, told, self.places)

    def _counting(
        self, row: Row, told: dict[str, Any], values: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """The values without what sets the row aside, which is `told`, as is what several people's
        answers agree about."""
        place = self.places.get("label", "")
        if place.endswith(responses.ENDING):
            told["label"] = _agreed(row, values, place)
        for column in self.states:
            if (word := column.sets_aside(values)) is not None:
                told[SET_ASIDE] = word
                values = {**values, column.name: None}
        return values

    def tell_unmarked(self, table: TableFile) -> None:
        """Tell of the columns that said one in no row, and of such as may say groups, when all were
        read. Raises schema_mismatch where what was taken for splits is not."""
        if self.groups is not None:
            self.groups.tell()
        if isinstance(self.guess, HeldOutFlags):
            self.guess.check()
        if self.watch is not None:
            self.watch.tell(table, self.places.get("label"))
        for column in self.states:
            column.tell()
        for name in self.marks:
            if name not in self.marked:
                said = f"{table.name}: `{shown(name, 60)}` is 1 in no row, so it is no class"
                table.tell(Problem(code="empty_class", message=said, path=name, excluded=True))


def find(
    table: TableFile,
    names: Sequence[str],
    *,
    number: int = 1,
    typed: Sequence[str] = (),
    images: Sequence[str] = (),
    sample: Sequence[Mapping[str, Any]] = (),
) -> Columns:
    """The columns of a table whose header is row `number`.

    `typed` are columns that the file itself declares to be classes, `images` those with pictures;
    `sample` is its first rows: where no column is the label, those are that say 0 or 1 in them.
    Raises schema_mismatch where a role has no column, several, or one that is there twice.
    """
    table = former.heeded(table, partial(matching, names))
    header = Row(table.name, number, {})
    _check_chosen(table, header, names)
    places = {}
    kept = [name for name in names if name not in images]
    free_of = kept, _without_measures(table, kept, sample)
    for role in USUAL if table.labelled else ("text",):
        name = _place(table, header, role, free_of[role == "label"], typed)
        if name is not None:
            places[role] = name
    if images:
        own = [name for name in images if folded(name) == "image"]
        places["image"] = _one(header, "image", own[:1] or images)
    plain = table.labelled and not _is_chat(names)
    marked = mark_columns.marked(table, header, places, names, sample) if plain else ()
    if marked:
        places.pop("label", None)
    _check_needed(table, header, {**places, **({"label": ""} if marked else {})}, names)
    _check_twice(header, places, names)
    _say_assumed(table, places)
    named = {*places.values(), *typed}
    free = {name: folded(name) for name in names if name not in named}
    numbers = named_numbers(table, free, sample, places)
    flags = _flags(table, places, [name for name in names if name not in marked], sample)
    said = set(flags.columns) if flags else set()
    _say_unread(table, places, [name for name in names if name not in said], sample)
    taken = set(places.values())
    free = {name: folded(name) for name in names if name not in taken}
    if table.labelled and "text" in places and not _is_chat(names):
        telling.say_unread_texts(table, free, places["text"], sample)
    telling.say_numbers(table, places.get("text"), sample)
    guess = flags or _guess(table, places, names)
    holds = holding(table, free, sample, places.get("label"))
    aside = states(table, free, sample)
    voting = _voting(table, places, names)
    signed = marks.are_signed(sample, marked)
    told = {*said, *marked}
    groups = _groups(table, places, {name: free[name] for name in free if name not in told})
    others = {name: free[name] for name in free if not consensus.says(free[name])}
    watched = watch(others, sample, places.get("label"), numbers) if table.labelled else None
    return Columns(
        places,
        guess,
        marked,
        signed,
        voting=voting,
        holds=holds,
        groups=groups,
        watch=watched,
        states=aside,
    )


def _without_measures(
    table: TableFile, names: Sequence[str], sample: Sequence[Mapping[str, Any]]
) -> list[str]:
    """The columns that may be the label: no side of a box, no `y` beside an `x` where another may
    be it, and beside pictures nothing measured."""
    no_labels = {*coordinates.coordinates(names), *coordinates.points(names)}
    if table.paths:
        no_labels |= {name for name in names if coordinates.are_measured(sample, name)}
    asked = matching(names, table.columns["label"]) if "label" in table.columns else []
    return [name for name in names if name not in no_labels or name in asked]


def _agreed(row: Row, values: Mapping[str, Any], name: str) -> Any:
    try:
        return responses.agreed(values, name)
    except ValueError as error:
        why = f"`{shown(name, 40)}` has not as many answers as there are states of them"
        raise row.error("schema_mismatch", why) from error


def _groups(
    table: TableFile, places: Mapping[str, str], free: Mapping[str, str]
) -> UnreadGroups | None:
    """What looks for groups among the `free` columns (as they are called folded), which say nothing
    else, where no column is one."""
    if not table.labelled or "group" in places:
        return None
    others = consensus.VOTERS | {*consensus.TIMES, *USUAL["label"], *FURTHER["label"], ""}
    kept = [name for name in free if free[name] not in others]
    return UnreadGroups(table, [one for one in kept if not split_guess.is_no_class(free[one])])


def _voting(table: TableFile, places: Mapping[str, str], names: Sequence[str]) -> Voting | None:
    """Whose answers the rows are, by the columns that have no other role."""
    if not table.labelled:
        return None
    free = {folded(name): name for name in names if name not in places.values()}
    objects = table.kind in ("jsonl", "json") and "text" in places
    doccano = objects and consensus.is_doccano(map(folded, names))
    return consensus.voting(free, table=table.name if doccano else None)


def _guess(table: TableFile, places: Mapping[str, str], names: Sequence[str]) -> SplitGuess | None:
    """What may be the split where no column is sure to be."""
    free = [name for name in names if name not in places.values()]
    named = [name for name in free if folded(name) in split_guess.NAMES]
    return SplitGuess(table, named) if named and table.labelled and "split" not in places else None


def _flags(
    table: TableFile,
    places: Mapping[str, str],
    names: Sequence[str],
    sample: Sequence[Mapping[str, Any]],
) -> HeldOutFlags | None:
    """The columns of yes and no that say what is held out, where no other may say the split."""
    free = {name: folded(name) for name in names if name not in places.values()}
    worded = any(_has_splits(sample, one) for one in free if free[one] in split_guess.NAMES)
    if not table.labelled or "split" in places or worded:
        return None
    return held_out(table, free, sample)


def _check_chosen(table: TableFile, header: Row, names: Sequence[str]) -> None:
    for role, told in table.columns.items():
        if not matching(names, told):
            why = f"{role}_column is {shown(told, 60)!r}, but {telling.has(names)}"
            raise HeadstartError(
                "schema_mismatch", f"{header.table}: {why}", param=f"{role}_column"
            )
    for told in table.marks:
        if not matching(names, told):
            why = f"label_columns names {shown(told, 60)!r}, but {telling.has(names)}"
            said = f"{header.table}: {why}"
            raise HeadstartError("schema_mismatch", said, param="label_columns")


def _place(
    table: TableFile, header: Row, role: str, names: Sequence[str], typed: Sequence[str]
) -> str | None:
    if role in table.columns:
        return matching(names, table.columns[role])[0]
    taken = {name for told in table.columns.values() for name in matching(names, told)}
    free = [name for name in names if name not in taken]
    own = [name for name in free if folded(name) == role]
    if own:
        return own[0]
    if role in ("text", "label") and _is_chat(names):
        return None
    usual = [name for name in free if folded(name) in USUAL[role]]
    if role == "label":
        classes = [name for name in free if name in typed]
        usual = [name for name in usual if name in classes] or usual or classes
    usual = usual or [name for name in free if folded(name) in FURTHER.get(role, ())]
    usual = usual or (responses.questions(free) if role == "label" else [])
    return _one(header, role, usual) if usual else None


def _one(header: Row, role: str, found: Sequence[str]) -> str:
    if role == "path":
        return found[0]
    if len(set(found)) > 1:
        some = ", ".join(f"`{shown(name, 40)}`" for name in found[:10])
        hint = f"; say which with {role}_column" if role in ("text", "label") else ""
        why = f"several columns may be the {role}: {some}{hint}"
        raise header.error("schema_mismatch", why)
    return found[0]


def _is_chat(names: Sequence[str]) -> bool:
    return "messages" in names or {"prompt", "completion"} <= set(names)


def _check_needed(
    table: TableFile, header: Row, places: Mapping[str, str], names: Sequence[str]
) -> None:
    if _is_chat(names):
        return
    needed = ["label"] if table.labelled else []
    if "image" not in places:
        needed.append("path" if table.paths else "text")
    missing = [role for role in needed if role not in places]
    if missing:
        lacks = ", no ".join(f"`{role}`" for role in missing)
        why = f"the header has no {lacks}; {telling.has(names)}{telling.hint(missing, places)}"
        if table.header == headless.NONE:
            said = " and ".join(f"{role}_column" for role in missing)
            why = f"it has columns 1 to {len(names)}; say by its number with {said} which is which"
        raise header.error("schema_mismatch", why)


def _check_twice(header: Row, places: Mapping[str, str], names: Sequence[str]) -> None:
    counts = Counter(map(folded, names))
    for name in places.values():
        if counts[folded(name)] > 1:
            raise header.error("schema_mismatch", f"the header has {shown(name, 30)!r} twice")


def _say_unread(
    table: TableFile,
    places: Mapping[str, str],
    names: Sequence[str],
    sample: Sequence[Mapping[str, Any]],
) -> None:
    """Warn of columns that may say which examples are held out, and are left unread."""
    if not table.labelled:
        return
    taken = set(places.values())
    free = [name for name in names if name not in taken]
    worded = [
        name for name in free if folded(name) not in split_guess.NAMES and _has_splits(sample, name)
    ]
    if worded and "split" not in places:
        some = ", ".join(f"`{shown(name, 40)}`" for name in worded[:10])
        said = f"not read: {some}, whose values are splits' words; split_column says that one is"
        table.warn("column_unread", said)
    marked = {name for name in free if split_guess.is_no_class(folded(name))}
    if "split" not in places or ("label" not in places and marked):
        rest = {name: folded(name) for name in free if name in marked or "label" in places}
        split_guess.tell_held_out(table, rest, sample)


def _has_splits(sample: Sequence[Mapping[str, Any]], name: str) -> bool:
    """Whether the cells of a column that are not blank say train, val or test, and nothing else."""
    cells = {str(row.get(name) or "").strip().casefold() for row in sample} - {""}
    return bool(cells) and cells <= SPLITS.keys()


def _say_assumed(table: TableFile, places: Mapping[str, str]) -> None:
    """Tell of the columns that are taken for roles by their names, and keep those in mind that
    what is added is to be read by."""
    assumed: dict[str, str] = {}
    for role, name in places.items():
        own = OWN.get(role, {role})
        unread = role == "path" and not table.paths
        if unread or role in table.columns or role == "image" or folded(name) in own:
            continue
        assumed |= {role: name} if role in ("text", "label") else {}
        table.warn(
            "column_assumed",
            f"the column `{shown(name, 60)}` is taken for the {role}"
            + (f"; {role}_column says otherwise" if role in ("text", "label") else ""),
        )
    table.assume(assumed)
