"""Label Studio's tasks: what was chosen for each, by whom it counts, and what was left open."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from app.core.manifest import Problem
from app.uploads.intake import images
from app.uploads.intake.names import plain, shown
from app.uploads.intake.rows import Row
from app.uploads.intake.tables import columns
from app.uploads.intake.tables.consensus import Consensus, Vote
from app.uploads.intake.tables.roles import held_out, split_guess
from app.uploads.intake.tables.roles.grouping import UnreadGroups
from app.uploads.intake.tables.source import TableFile
from app.uploads.intake.tables.studio_regions import (
    Boxes,
    check_one,
    choices,
    parted,
    parts_of,
    shapes,
)

ANNOTATIONS = ("annotations", "completions")
"""The second is what they were called until 2021."""
EXTRA = ("group", "split")


def is_task(value: Mapping[str, Any]) -> bool:
    """Whether the object is a task with its annotations, as Label Studio exports it."""
    listed = any(isinstance(value.get(name), list) for name in ANNOTATIONS)
    return listed and isinstance(value.get("data"), dict)


@dataclass(slots=True)
class _Counts:
    """What is told of all tasks together."""

    open: int = 0
    empty: int = 0
    rejected: int = 0
    boxed: int = 0
    unread: Counter[str] = field(default_factory=Counter)
    """Tasks without a choice, by the kinds of answers that they have."""
    beside: Counter[str] = field(default_factory=Counter)
    """Answers of other controls than the one that is read."""
    left: Counter[str] = field(default_factory=Counter)
    """Regions that are no boxes, by their kinds."""
    further: Counter[str] = field(default_factory=Counter)
    """Keys that may say a split, and are not read."""


def rows(tasks: Iterable[tuple[Row, dict[str, Any]]], table: TableFile) -> Iterator[Row]:
    """One row a task that somebody has labelled.

    Raises schema_mismatch for a task that is none, that has several choices or several texts.
    """
    counts, consensus = _Counts(), Consensus(table.tell)
    groups: UnreadGroups | None = None
    boxes = Boxes(table, counts.left, counts.beside)
    for row, task in tasks:
        if not is_task(task):
            raise row.error("schema_mismatch", "it has no `annotations` beside its `data`")
        held = _counting(task)
        counts.further.update(_unread(task, table))
        groups = groups or UnreadGroups(table, _free(task, table))
        counts.rejected += not held and any(map(_is_rejected, _listed(task)))
        if table.crops and table.paths:
            counts.open += not held
            latest = max(held, key=_when, default={})
            found = boxes.rows(row, parts_of(latest), _content(row, task, table))
        else:
            found = _whole(row, task, table, counts, consensus)
        for told in found:
            groups.see(_noted(task), told.values.get("label"))
            yield told
    if table.labelled:
        consensus.settle()
    if groups is not None:
        groups.tell()
    _tell(counts, table)


def _whole(
    row: Row, task: Mapping[str, Any], table: TableFile, counts: _Counts, consensus: Consensus
) -> Iterator[Row]:
    """The task's row, if somebody has labelled it."""
    answers = _answers(row, task, table, counts)
    at = consensus.taken(answers, row.where) if answers else None
    if answers and at is None:
        return
    label = None if at is None else answers[at][0]
    others = _others(task) if label is None else set()
    counts.unread.update(others)
    counts.open += label is None and not others
    counts.empty += label == ()
    values = _content(row, task, table)
    if label is not None or not table.labelled:
        told = list(label) if isinstance(label, tuple) else label
        yield Row(row.table, row.number, {**values, "label": told})


def _tell(counts: _Counts, table: TableFile) -> None:
    """Tell what was left out, and what was taken for the labels."""
    left = [
        f"{count} region(s) have no upright box with a label ({kind}), and are left out"
        for kind, count in counts.left.items()
    ]
    if table.labelled:
        left = [*_left_open(counts, crops=table.crops and table.paths), *left]
    for said in left:
        table.tell(Problem(code="unlabelled", message=said, path=table.name, excluded=True))
    if table.labelled and counts.empty:
        said = f"{counts.empty} task(s) were submitted without a choice, and are taken to belong "
        table.warn("unlabelled", f"{said}to none")
    if table.labelled and counts.boxed:
        said = f"{table.name}: {counts.boxed} picture(s) have the labels of their boxes"
        table.warn("boxes_whole", f"{said}; boxes=crops makes each box an example")
    if table.labelled and counts.further:
        some = ", ".join(f"`{shown(name, 40)}`" for name in sorted(counts.further)[:10])
        said = f"not read: {some}; split_column says that one says train, val or test"
        table.warn("column_unread", said)
    for name, count in counts.beside.items() if table.labelled else ():
        said = f"not read: {count} answer(s) of `{shown(name, 40)}`, beside those that are read"
        table.warn("column_unread", f"{said}; label_column says which are the labels")


def _left_open(counts: _Counts, *, crops: bool) -> Iterator[str]:
    """What is said of tasks that nobody has labelled, or not so that it counts."""
    if counts.open:
        why = f" ({counts.rejected} of them were rejected)" if counts.rejected else ""
        yield f"{counts.open} task(s) have no annotation that counts{why}, and are left out"
    for kind, count in counts.unread.items() if not crops else ():
        yield f"{count} task(s) have answers of the kind {kind!r}, which is not read, and no choice"


def _said(task: Mapping[str, Any], table: TableFile) -> dict[str, str]:
    """The keys of a task's data, or of what is noted beside it (`meta`), that say a group or a
    split, by role: those that the caller says, or that are called so."""
    found: dict[str, str] = {}
    for role in EXTRA:
        wanted = table.columns.get(role)
        keys = [
            key
            for key, value in _noted(task).items()
            if value is not None and (key == wanted if wanted else columns.folded(key) == role)
        ]
        found |= {role: keys[0]} if keys else {}
    return found


def _noted(task: Mapping[str, Any]) -> dict[str, Any]:
    """What is known of a task, its data before what is noted beside it."""
    beside = task.get("meta")
    return {**(beside if isinstance(beside, dict) else {}), **task["data"]}


def _unread(task: Mapping[str, Any], table: TableFile) -> set[str]:
    """The keys that may say a split, and are not read."""
    said = _said(task, table)
    names = set() if "split" in said else {*split_guess.NAMES, *held_out.FLAGS}
    return {key for key in _noted(task) if columns.folded(key) in names} - {*said.values()}


def _free(task: Mapping[str, Any], table: TableFile) -> list[str]:
    """The keys that may say a group, and are not read; none where one is."""
    said = _said(task, table)
    if not table.labelled or "group" in said:
        return []
    kept = [key for key in _noted(task) if key not in said.values()]
    return [key for key in kept if not split_guess.is_no_class(columns.folded(key))]


def _content(row: Row, task: Mapping[str, Any], table: TableFile) -> dict[str, Any]:
    """The text, or the picture's path, and what else of the task has a role."""
    data, said, noted = task["data"], _said(task, table), _noted(task)
    told = {role: noted[key] for role, key in said.items()}
    pictures = [value for value in data.values() if _is_picture(value)]
    if table.paths and pictures:
        return {**told, "path": pictures[0]}
    texts = {name: value for name, value in data.items() if isinstance(value, str)}
    texts = {name: value for name, value in texts.items() if name not in said.values()}
    texts = {name: value for name, value in texts.items() if not _is_picture(value)} or texts
    chosen = table.columns.get("text")
    usual = [name for name in texts if columns.folded(name) in columns.USUAL["text"]]
    found = [chosen] if chosen else (usual if len(usual) == 1 else list(texts))
    if pictures and not chosen and not usual:
        why = "its `data` is a picture: send a zip of this file and the pictures"
        raise row.error("schema_mismatch", why)
    if len(found) != 1 or found[0] not in texts:
        some = ", ".join(f"`{name}`" for name in sorted(data)[:10])
        raise row.error(
            "schema_mismatch", f"which of its `data` is the text? {some}; say so with text_column"
        )
    return {**told, "text": texts[found[0]]}


def _is_picture(value: object) -> bool:
    """Whether it is a path or an address of one, by its ending."""
    if not isinstance(value, str) or "\n" in value:
        return False
    return images.extension(plain(value).partition("&")[0]) in images.EXTENSIONS


Chosen = str | tuple[str, ...] | None
"""A choice, or all of them where there may be several; None where nobody has chosen."""


def _answers(
    row: Row, task: Mapping[str, Any], table: TableFile, counts: _Counts
) -> list[tuple[str | tuple[str, ...], Vote]]:
    """The choices of the annotations that count, and whose they are."""
    told = [(_choice(row, one, table, counts), vote_of(one)) for one in _counting(task)]
    return [(label, vote) for label, vote in told if label is not None]


def vote_of(annotation: Mapping[str, Any]) -> Vote:
    """Whose annotation it is: a user, by number or in whole."""
    who: Any = annotation.get("completed_by")
    who = who.get("id") if isinstance(who, dict) else who
    voter = str(who) if isinstance(who, int | str) else None
    return Vote(voter, _when(annotation), bool(annotation.get("ground_truth")))


def _listed(task: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    listed = next(task[name] for name in ANNOTATIONS if isinstance(task.get(name), list))
    return [one for one in listed if isinstance(one, dict)]


def _counting(task: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The annotations that count: what is marked as ground truth, else all that holds."""
    valid = [one for one in _listed(task) if holds(one)]
    return [one for one in valid if one.get("ground_truth")] or valid


def holds(annotation: Mapping[str, Any]) -> bool:
    """Whether an annotation was submitted, and nobody who reviewed it has rejected it."""
    skipped = annotation.get("was_cancelled") or annotation.get("skipped")
    return not (skipped or annotation.get("last_action") == "skipped" or _is_rejected(annotation))


def _is_rejected(annotation: Mapping[str, Any]) -> bool:
    """Whether the last that was done is that a reviewer rejected it; what was mended since is not.
    Of what says no last action the latest review counts."""
    action, reviews = annotation.get("last_action"), annotation.get("reviews")
    if isinstance(action, str):
        return action == "rejected"
    told = [one for one in reviews if isinstance(one, dict)] if isinstance(reviews, list) else []
    return bool(told) and max(told, key=_when).get("accepted") is False


def _others(task: Mapping[str, Any]) -> set[str]:
    """The kinds of answers that a task has: taxonomy, rating, labels or choices of parts."""
    every = [parts_of(one) for one in _counting(task)]
    kinds = {shown(str(part.get("type")), 30) for parts in every for part in parts} - {"choices"}
    passages = any(choices(parted(parts)[1]) for parts in every)
    return kinds | ({"choices of a part"} if passages else set())


def _when(annotation: Mapping[str, Any]) -> tuple[str, str, str]:
    """The times, and the id, which grows: of what tells no time the later one has the greater."""
    times = (annotation.get("updated_at"), annotation.get("created_at"))
    updated, created = (time if isinstance(time, str) else "" for time in times)
    return updated or created, created, str(annotation.get("id", "")).zfill(20)


def _choice(row: Row, annotation: Mapping[str, Any], table: TableFile, counts: _Counts) -> Chosen:
    """What one annotation says of the whole, else of a picture's regions; None where it chose
    nothing. Raises schema_mismatch, several_labels."""
    parts = parts_of(annotation)
    whole, placed = parted(parts)
    ways = [choices(whole), *([shapes(parts), choices(placed)] if table.paths else [])]
    wanted = table.columns.get("label")
    if wanted is not None:
        ways = [{name: told for name, told in way.items() if name == wanted} for way in ways]
    at = next((at for at, way in enumerate(ways) if way), None)
    if at is None:
        passages = not table.paths and choices(placed)
        return () if table.rules.several and not passages else None
    check_one(row, ways[at])
    counts.boxed += at > 0
    counts.beside.update(name for way in ways[at + 1 :] for name in way)
    told = next(iter(ways[at].values()))
    if table.rules.several:
        return tuple(sorted(set(told)))
    if len(told) > 1:
        some = ", ".join(shown(one, 30) for one in told[:5])
        what = f"its regions have {len(told)} labels" if at else f"it has {len(told)} choices"
        crops = "; boxes=crops makes each box an example" if at else ""
        raise row.error("several_labels", f"{what}: {some}; one is read{crops}")
    return told[0] if told else None
