"""What of a hook has no effect now, and why: told when it is made, and whenever it is read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from pydantic_core import from_json, to_json
from sqlalchemy.orm import Session

from app.core import manifest
from app.core.errors import HeadstartError
from app.core.promotion import paired_tests
from app.core.promotion.gate import PromotionGate
from app.core.promotion.spending import Budget
from app.http.dependencies import Services
from app.infra.orm import AliasRow, DatasetVersionRow, HookRow, ModelRow
from app.infra.repositories import datasets, needs, versions
from app.infra.repositories.datasets import DatasetSnapshot
from app.infra.repositories.retraining import moves
from app.uploads import blobs


def of(session: Session, services: Services, hook: HookRow) -> list[str]:
    """All that is to be said of a hook as things stand."""
    gone = needs.lost(session, hook)
    if gone:
        told = ", ".join(f"{field} {name}" for field, name in gone.items())
        rest = "" if hook.enabled else " and enable the hook"
        return [f"{told} was deleted: name another{rest}"]
    found = _snapshot(session, hook, hook.dataset_id)
    return [*_of_alias(session, hook, found), *_of_gate(session, services, hook, found)]


def _snapshot(session: Session, hook: HookRow, dataset_id: str) -> DatasetSnapshot:
    return datasets.get(session, dataset_id, organisation_id=hook.organisation_id)


def _of_alias(session: Session, hook: HookRow, found: DatasetSnapshot) -> Iterator[str]:
    alias = session.get(AliasRow, (hook.organisation_id, hook.alias))
    meant = session.get(ModelRow, alias.model_id) if alias is not None else None
    ours = (found.dataset.modality, found.dataset.label_mode)
    if meant is not None and (meant.modality, meant.label_mode) != ours:
        theirs = f"{meant.modality}, {meant.label_mode}"
        yield (
            f"{hook.alias} means a model of another kind ({theirs}) than the dataset's "
            f"({', '.join(ours)}): no model of this hook can take its place"
        )
    if hook.enabled and moves.is_taken_away(
        session, organisation_id=hook.organisation_id, alias=hook.alias, since=0.0
    ):
        yield (
            f"{hook.alias} was deleted: the next trigger makes it anew, of a model that passes the "
            "gate's floors; disable the hook, or have it name another alias, where it is to stay "
            "deleted"
        )
    watched = alias is not None and alias.prediction_log is not None
    if any(one["type"] == "drift" for one in hook.triggers) and not watched:
        yield (
            f"the drift trigger never fires: {hook.alias} keeps no prediction log "
            f'(PATCH /v1/aliases/{hook.alias} {{"prediction_log": {{}}}})'
        )


def _of_gate(
    session: Session, services: Services, hook: HookRow, found: DatasetSnapshot
) -> Iterator[str]:
    gate = PromotionGate.model_validate(hook.gate)
    asked, whole = found, False
    other = gate.evaluation_set or hook.job.get("validation_file")
    if other and other != hook.dataset_id:
        asked, whole = _snapshot(session, hook, other), True
    if asked.version.status == "processing":
        return
    try:
        splits = _splits(services, asked.version)
    except HeadstartError as error:
        yield f"how many examples the gate can ask is not known: {error.message}"
        return
    held = splits["test"] or splits["val"] or (splits["train"] if whole else 0)
    if not held and gate.evaluation_set == hook.dataset_id:
        yield (
            "every comparison would leak: the evaluation set is the dataset that is trained on, "
            "and it holds nothing out"
        )
        return
    if not held:
        yield (
            "nothing is held out: candidate and incumbent are compared on the training examples "
            "that both share, each answered by fits that had not seen it; an evaluation_set or a "
            "split `test` would judge the models themselves"
        )
    yield from _too_few(gate, held or splits["train"])
    classes = {one["label"] for one in asked.version.classes if one["count"]}
    for label in sorted(gate.floors.keys() - classes):
        yield f"no example is of {label!r}, which has a floor: nothing can be promoted"


def _too_few(gate: PromotionGate, held: int) -> Iterator[str]:
    """Whether even a candidate that is right wherever the incumbent is could be promoted."""
    level = Budget(gate.alpha).level
    if gate.rule == "superior":
        least = paired_tests.least_pairs(level)
        said = "nothing can be shown to be better"
    elif gate.margin:
        least = paired_tests.least_examples(gate.margin, level)
        said = f"a margin of {gate.margin:g} cannot be shown to hold"
    else:
        least = paired_tests.least_pairs(level)
        said = "without a margin only a better model passes, and none can be shown"
    if held >= least:
        return
    wider = paired_tests.least_margin(held, level)
    more = f"; {wider:.2g} could" if gate.rule != "superior" and wider <= _MOST_MARGIN else ""
    yield f"{held} examples decide, and with fewer than {least} {said}{more}: add labels"


_MOST_MARGIN = 0.5


def _splits(services: Services, version: DatasetVersionRow) -> Mapping[str, int]:
    """How many usable examples of a version are in each split. Raises storage_unavailable."""
    key = f"splits {version.id} {version.manifest_sha256} {version.status}"
    known = services.looks.get(key)
    if known is None:
        examples = blobs.load_manifest(services, version)
        usable = manifest.usable(examples, versions.problems_of(version))
        known = to_json(Counter(one.split for one in usable))
        services.looks.put(key, known)
    return Counter(from_json(known))
