"""The examples that a gate asks: held out from both models, whatever way they could have leaked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.orm import Session

from app.core.augmented.judging import copies_among
from app.core.errors import HeadstartError
from app.core.manifest import Example, usable
from app.core.modalities import MODALITIES
from app.core.texts import alike
from app.infra.orm import DatasetVersionRow, JobRow, ModelRow, PromotionRow
from app.infra.repositories import versions
from worker.trainer.attempt import Attempt
from worker.trainer.inputs import learned_from
from worker.trainer.inputs.asked import rows_of

NEAR_COPY = 0.97
"""Cosine in the last layer from which an example may be a copy of a training example: of five sets
of different pictures no test picture came as near to a training one
(benchmarks/results/promotion_gate.json).
"""
MUCH_NEARER = 0.25
"""Where all pictures are alike, as a fixed camera's are, a copy is nearer to its original than so
many times what training examples are apart from one another.
"""
MOST_COPIES = 0.1
"""The share of near copies from which a set is refused as a whole."""
_NAMED = 10


@dataclass(frozen=True, kw_only=True)
class Contest:
    """Who is compared, and on which version."""

    promotion: PromotionRow
    candidate: ModelRow
    incumbent: ModelRow | None
    version: DatasetVersionRow | None
    named: bool
    """Whether the gate names an evaluation set."""

    @property
    def models(self) -> list[ModelRow]:
        """Both, as far as there are two."""
        return [one for one in (self.candidate, self.incumbent) if one is not None]


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """What may be asked; `refusal` says why nothing may, `unchecked` what could not be looked at.

    `told` is what evidence shows of it.
    """

    examples: list[Example]
    known: Sequence[Example] = ()
    """What the models were trained on."""
    told: dict[str, Any] = field(default_factory=dict)
    held: int = 0
    """How many there were before any was left out."""
    refusal: str | None = None
    unchecked: str | None = None


def contest(session: Session, promotion: PromotionRow, version_id: str | None) -> Contest | None:
    """The rows of a promotion; None where the candidate is gone."""
    candidate = session.get(ModelRow, promotion.candidate)
    incumbent = session.get(ModelRow, promotion.incumbent) if promotion.incumbent else None
    if candidate is None or (promotion.incumbent and incumbent is None):
        return None
    wanted = version_id or _own(session, candidate)
    return Contest(
        promotion=promotion,
        candidate=candidate,
        incumbent=incumbent,
        version=session.get(DatasetVersionRow, wanted) if wanted else None,
        named=version_id is not None,
    )


def _own(session: Session, candidate: ModelRow) -> str | None:
    """The version whose held-out examples are the candidate's own."""
    job = session.get(JobRow, candidate.job_id) if candidate.job_id else None
    return (job.validation_version_id if job is not None else None) or candidate.version_id


def find(attempt: Attempt, asked: Contest) -> HeldOut:
    """The examples that neither model has seen. Raises dataset_failed."""
    if asked.version is None:
        return HeldOut(examples=[], refusal="the held-out dataset was deleted")
    held = _split(attempt, asked, asked.version)
    trained = [_trained_on(attempt, model) for model in asked.models]
    if any(one is None for one in trained):
        unchecked = "a dataset that was trained on is deleted, so leaks cannot be ruled out"
        return HeldOut(examples=held, held=len(held), unchecked=unchecked)
    all_of_it = [one for some in trained if some is not None for one in some]
    known = [example for some in all_of_it for example in some[0]]
    same = [some for some in all_of_it if some[1] == asked.version.dataset_id]
    groups = {one.group for some in same for one in some[0]} - {None}
    return _apart(attempt, asked, held, known=known, groups=groups)


def _split(attempt: Attempt, asked: Contest, version: DatasetVersionRow) -> list[Example]:
    """What the version holds out: its split `test`, or `val`, or, of another dataset, all; of a
    picture and its augmented copies the picture."""
    if version.status != "ready":
        why = (version.error or {}).get("message", f"it is {version.status}")
        raise HeadstartError("dataset_failed", f"the held-out dataset is not ready: {why}")
    all_of_it = usable(attempt.examples(version), versions.problems_of(version))
    for split in ("test", "val"):
        some = [example for example in all_of_it if example.split == split]
        if some:
            copies = copies_among(some)
            return [example for example in some if example.id not in copies]
    own = version.id == asked.candidate.version_id and not asked.named
    return [] if own else all_of_it


def _trained_on(attempt: Attempt, model: ModelRow) -> list[tuple[list[Example], str]] | None:
    """What a model was trained on, by dataset; None where some of it is gone."""
    versions = attempt.read(lambda session: learned_from.versions_of(session, model))
    if versions is None:
        return None
    return [
        ([one for one in attempt.examples(version) if one.split == "train"], version.dataset_id)
        for version in versions
    ]


def _apart(
    attempt: Attempt,
    asked: Contest,
    held: list[Example],
    *,
    known: Sequence[Example],
    groups: set[str | None],
) -> HeldOut:
    contents = {example.content for example in known}
    strange = _of_no_class(asked.models, held)
    count, held = len(held), [one for one in held if one.id not in strange]
    leaked = [one for one in held if one.content in contents]
    grouped = [one for one in held if one.group in groups and one.content not in contents]
    left = [one for one in held if one.content not in contents and one.group not in groups]
    copies = _near_copies(attempt, asked, left, known)
    kept = [one for one in left if one.id not in copies]
    told = {
        "dataset": asked.version.dataset_id if asked.version is not None else None,
        "version": asked.version.number if asked.version is not None else None,
        "asked": len(kept),
        "left_out": {
            "trained_on": _listed([one.id for one in leaked]),
            "same_group": _listed([one.id for one in grouped]),
            "near_copies": _listed(list(copies)),
            "of_no_class": _listed(list(strange)),
        },
        "shared_group_names": _of_named_groups(known, kept),
    }
    return HeldOut(
        examples=kept,
        held=count,
        known=known,
        told=told,
        refusal=_refusal(len(held), leaked, grouped, list(copies))
        or _misspelt(asked.models, strange, alone=not held),
    )


def classes_of(model: ModelRow) -> list[str]:
    """The classes that the model tells apart."""
    return list(model.card.get("config", {}).get("classes", ()))


def _classes(models: Sequence[ModelRow]) -> set[str]:
    return {name for model in models for name in classes_of(model)}


def _of_no_class(models: Sequence[ModelRow], held: Sequence[Example]) -> dict[str, Example]:
    """By id those all of whose labels no model has: both would be wrong, and so seem equal."""
    classes = _classes(models)
    return {one.id: one for one in held if classes and one.names and classes.isdisjoint(one.names)}


def _misspelt(
    models: Sequence[ModelRow], strange: Mapping[str, Example], *, alone: bool
) -> str | None:
    """Why a set of other labels cannot judge: it spells the classes otherwise, or has no other."""
    labels = sorted({name for one in strange.values() for name in one.names})
    known = {alike(name): name for name in _classes(models)}
    spelled = [f"{one!r} for {known[alike(one)]!r}" for one in labels if alike(one) in known]
    if spelled:
        some = ", ".join(spelled[:_NAMED])
        return (
            f"the held-out set spells classes otherwise than the models: {some}; write them alike"
        )
    if strange and alone:
        some = ", ".join(map(repr, labels[:_NAMED]))
        return f"no label of the held-out set is a class of the models: {some}"
    return None


def _of_named_groups(known: Sequence[Example], kept: Sequence[Example]) -> int:
    """How many are in groups that are called as groups of another dataset that was trained on: they
    are others, as far as anybody knows."""
    names = {one.group for one in known} - {None}
    return sum(one.group in names for one in kept)


def _listed(ids: Sequence[str]) -> dict[str, Any]:
    return {"count": len(ids), "examples": list(ids[:_NAMED])}


def _refusal(
    count: int, leaked: Sequence[Example], grouped: Sequence[Example], copies: Sequence[str]
) -> str | None:
    """Why the set cannot judge: it leaks. A few near copies are only left out."""
    if leaked:
        return f"the held-out set leaks: {len(leaked)} of its {count} examples were trained on"
    if grouped:
        many = f"{len(grouped)} of its {count} examples"
        return f"the held-out set leaks: {many} are of groups that were trained on"
    if len(copies) > MOST_COPIES * count:
        many = f"{len(copies)} of its {count} examples"
        return f"the held-out set leaks: {many} are near copies of training examples"
    return None


def _near_copies(
    attempt: Attempt, asked: Contest, held: Sequence[Example], known: Sequence[Example]
) -> dict[str, float]:
    """The ids of held-out examples that nearly are training examples, with their cosines."""
    if not held or not known:
        return {}
    model = asked.candidate
    view = MODALITIES[model.modality].primary
    scale = model.card.get("config", {}).get("pixel_scale")
    facts = attempt.engine(model.backbone).reading(scale)
    unique = list({example.sha256: example for example in known}.values())
    rows, there = rows_of(attempt, facts, [view], list(held))
    others, known_there = rows_of(attempt, facts, [view], unique)
    if not there or not known_there:
        return {}
    said = attempt.ask(
        {
            "op": "likeness",
            "backbone": facts.backbone,
            "fitted": facts.precision,
            "rows": rows[view].rows(there),
            "others": others[view].rows(known_there),
        }
    )
    apart = said["apart"]
    least = NEAR_COPY if apart is None else max(NEAR_COPY, 1 - MUCH_NEARER * apart)
    found = zip(there, said["cosines"], strict=True)
    return {one.id: cosine for one, cosine in found if cosine >= least}
