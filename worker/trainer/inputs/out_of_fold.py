"""Where nothing is held out: what both models answered to the examples that they share, each by a
fit that had not seen it.

Only examples with the label that both were trained on count: what is new cannot speak for the
candidate that brought it, so that wrong labels, however many arrive, are judged by right ones.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from app.core.errors import HeadstartError
from app.core.held_out import FILE, HeldOutAnswer
from app.core.manifest import Example
from app.core.promotion.pairs import Verdicted
from app.infra.orm import DatasetVersionRow, ModelRow
from worker.trainer.attempt import Attempt
from worker.trainer.inputs.held_out import Contest

HOW = "out_of_fold"
Answers = Mapping[str, HeldOutAnswer]
"""By the example's id or its content."""


@dataclass(frozen=True, kw_only=True)
class Shared:
    """The examples that both models answered without having seen them, and what each said, by id;
    `told` is what evidence shows of it.
    """

    examples: list[Example]
    candidate: Mapping[str, Verdicted]
    incumbent: Mapping[str, Verdicted] | None
    told: dict[str, Any]
    called: str = "held-out examples"


def find(attempt: Attempt, asked: Contest) -> Shared | None:
    """What can be compared; None where a model has no such answers. Raises model_corrupt."""
    version = asked.version
    if version is None or version.id != asked.candidate.version_id:
        return None
    known = {one.id: one for one in attempt.examples(version)}
    mine = _answers(attempt, asked.candidate)
    if mine is None:
        return None
    judged = {known[name]: said for name, said in mine.items() if name in known}
    if asked.incumbent is None:
        return _shared(version, judged, None, relabelled=0)
    theirs = _answers(attempt, asked.incumbent)
    if theirs is None:
        return None
    other = _by_content(attempt, asked.incumbent, theirs)
    both = {one: other[one.content] for one in judged if one.content in other}
    same = {one: said for one, said in both.items() if said.truth == judged[one].truth}
    kept = {one: judged[one] for one in same}
    return _shared(version, kept, same, relabelled=len(both) - len(same))


def _shared(
    version: DatasetVersionRow,
    mine: Mapping[Example, HeldOutAnswer],
    theirs: Mapping[Example, HeldOutAnswer] | None,
    *,
    relabelled: int,
) -> Shared:
    return Shared(
        examples=list(mine),
        candidate={one.id: said.verdicted for one, said in mine.items()},
        incumbent=None
        if theirs is None
        else {one.id: said.verdicted for one, said in theirs.items()},
        called="examples, each answered by fits that had not seen it",
        told={
            "how": HOW,
            "dataset": version.dataset_id,
            "version": version.number,
            "asked": len(mine),
            "left_out": {"relabelled": {"count": relabelled}},
        },
    )


def _by_content(attempt: Attempt, model: ModelRow, answers: Answers) -> Answers:
    """The same by content: the same picture may have another name in another dataset."""
    version = attempt.read(
        lambda session: (
            session.get(DatasetVersionRow, model.version_id) if model.version_id else None
        )
    )
    if version is None:
        return {}
    contents = {one.id: one.content for one in attempt.examples(version)}
    return {contents[name]: said for name, said in answers.items() if name in contents}


def _answers(attempt: Attempt, model: ModelRow) -> Answers | None:
    """A model's answers to what it, or the fit that judged, had not seen, by the example's id; None
    where it has none. Raises model_corrupt.
    """
    try:
        data = attempt.context.storage.fetch(f"{model.artifact}/{FILE}").read_bytes()
    except FileNotFoundError:
        return None
    registered = model.card.get("held_out", {}).get("sha256")
    if registered not in (None, hashlib.sha256(data).hexdigest()):
        raise _corrupt()
    try:
        found = [HeldOutAnswer.model_validate_json(line) for line in data.splitlines()]
    except ValidationError as error:
        raise _corrupt() from error
    return {one.example_id: one for one in found}


def _corrupt() -> HeadstartError:
    return HeadstartError("model_corrupt", f"the stored model is damaged: {FILE}")
