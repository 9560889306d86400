"""Calibrate a model by what it said of unlabelled inputs: a new revision of its files and its row.

The head's tensors stay as they are. Its config is in the card, and its hash in the head's metadata,
so that both files are written anew, into a folder of their own: whoever reads the former one still,
a batch or a predictor, goes on undisturbed until it asks again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from sqlalchemy.orm import Session

from app.core.calibration import head_files, recalibration
from app.core.calibration.recalibration import Judged
from app.core.errors import HeadstartError
from app.core.held_out import FILE, HeldOutAnswer
from app.core.ids import new_id
from app.http.dependencies import Services, written
from app.http.schemas import CalibratedThreshold, Calibration, Interval, ShiftedAccuracy
from app.infra import storage_keys
from app.infra.database import now, reading
from app.infra.orm import ModelRow
from app.infra.repositories import models
from app.infra.storage import scratch, staging, storage_errors
from app.infra.storage_keys import CARD, HEAD
from app.uploads import blobs

DEFAULT_FALSE_ALARM = 0.05
"""Of heads from before they said theirs."""


@dataclass(frozen=True, kw_only=True)
class Sent:
    """What was sent to calibrate by: how many inputs, and the answers to those that differ."""

    count: int
    answers: Sequence[Mapping[str, Any]]

    @property
    def readable(self) -> list[Mapping[str, Any]]:
        """The answers that are none of an error."""
        return [one for one in self.answers if "error" not in one]

    @property
    def failed(self) -> int:
        """How many could not be read."""
        return len(self.answers) - len(self.readable)


def _own(row: ModelRow) -> Mapping[str, Any]:
    """The thresholds that the model was made with, whatever has been calibrated since; none of a
    model that cannot tell what is unknown.
    """
    made: Mapping[str, Any] = row.card.get("calibration", {}).get("before", {})
    return made or row.card["config"].get("unknown", {})


def calibrate(
    services: Services, organisation_id: str, model: str, sent: Sent, *, known: bool
) -> Calibration:
    """Set a model's thresholds by what it answered to inputs, and keep what was done.

    Raises invalid_request for too few inputs, not_found, model_corrupt.
    """
    with reading(services.sessions) as session:
        row = models.find(session, organisation_id=organisation_id, name=model)
        created_at = int(now(session))
    own, items = _own(row), sent.readable
    _check(own, sent)
    told = _told(services, row, sent, at=created_at)
    if told.unknown.before > recalibration.DOUBTFUL and not known:
        return told
    told = told.model_copy(update={"calibrated": True})
    config = recalibration.recalibrated(row.card["config"], [one["score"] for one in items])
    kept = {**told.model_dump(), "before": own}
    _revise(services, row, {**row.card, "config": config, "calibration": kept})
    return told


def undo(services: Services, organisation_id: str, name: str) -> Calibration:
    """Put back the thresholds from before. Raises not_found, also where none were set."""
    with reading(services.sessions) as session:
        row = models.find(session, organisation_id=organisation_id, name=name)
    done = row.card.get("calibration")
    if done is None:
        raise HeadstartError("not_found", "this model was not calibrated", param="model")
    config = {**row.card["config"], "unknown": done["before"]}
    card = {name: told for name, told in row.card.items() if name != "calibration"}
    _revise(services, row, {**card, "config": config})
    return Calibration.model_validate(done)


def _check(own: Mapping[str, Any], sent: Sent) -> None:
    different = len(sent.readable)
    if different < recalibration.LEAST:
        why = (
            f"{sent.count} inputs, {different} of them readable and different: send "
            f"{recalibration.LEAST} different ones or more"
        )
        raise HeadstartError("invalid_request", why, param="inputs")
    if not own or any("score" not in one for one in sent.readable):
        raise HeadstartError(
            "invalid_request", "this model cannot tell what is unknown", param="model"
        )


def _told(services: Services, row: ModelRow, sent: Sent, *, at: int) -> Calibration:
    """What the inputs say, before anything is set."""
    rate = float(row.card["config"].get("unknown_false_alarm_rate", DEFAULT_FALSE_ALARM))
    known, items = _own(row)["thresholds"], sent.readable
    scores = [one["score"] for one in items]
    before = recalibration.unknown_share(scores, known, rate)
    return Calibration(
        model=row.id,
        calibrated=False,
        num_inputs=len(items),
        copies=sent.count - len(sent.answers),
        failed=sent.failed,
        unknown=CalibratedThreshold(
            stated=rate, before=before, plus_minus=recalibration.resolution(len(items), rate)
        ),
        accuracy=_accuracy(services, row, [one["probability"] for one in items]),
        warning=_warning(before, alike=recalibration.are_alike(scores, known)),
        created_at=at,
    )


def _warning(before: float, *, alike: bool) -> str | None:
    said = []
    if before > recalibration.DOUBTFUL:
        said.append(
            f"{before:.0%} of these inputs look like nothing that the model learned from: a source "
            "that is very different, or inputs of other classes; without labels nothing tells "
            "which. Send known=true if they are of its classes, and expect more errors than "
            "estimated"
        )
    if alike:
        said.append(
            "these inputs hardly differ from each other: if they are of one burst or one template, "
            "further ones will be called unknown far more often than stated; send inputs as they "
            "come over days"
        )
    return "; ".join(said) or None


def _accuracy(services: Services, row: ModelRow, confidences: Sequence[float]) -> ShiftedAccuracy:
    judged, reason = None, None
    if row.label_mode != "single_label":
        reason = "the model says several labels an input"
    else:
        judged = _judged(services, row)
        if judged is None:
            reason = "the model has no held-out answers to compare with: train it again"
    estimate = None if judged is None else recalibration.accuracy(judged, confidences)
    return ShiftedAccuracy(
        estimate=None if estimate is None else Interval.model_validate(estimate),
        method=recalibration.METHOD,
        evaluated=Interval.model_validate(row.accuracy) if row.accuracy else None,
        reason=reason,
    )


def _judged(services: Services, row: ModelRow) -> Judged | None:
    """Of the examples that the model was judged on; None where it kept no answers to them.

    Raises model_corrupt.
    """
    try:
        data = services.storage.fetch(f"{row.artifact}/{FILE}").read_bytes()
    except FileNotFoundError:
        return None
    registered = row.card.get("held_out", {}).get("sha256")
    try:
        answers = [HeldOutAnswer.model_validate_json(line) for line in data.splitlines()]
    except ValidationError as error:
        raise _corrupt(FILE) from error
    if registered not in (None, hashlib.sha256(data).hexdigest()):
        raise _corrupt(FILE)
    if not answers:
        return None
    return Judged(
        confidences=[one.probability for one in answers],
        right=[one.label == one.expected for one in answers],
    )


def _revise(services: Services, row: ModelRow, card: dict[str, Any]) -> None:
    """Store the model's files with this card, and let the row name them.

    Raises not_found where the model is gone, in_flight where it was revised meanwhile,
    model_corrupt.
    """
    prefix = storage_keys.revision(row.artifact, new_id("rev-"))
    with _files(services, row, prefix, card) as (files, told, sha256, size):
        stored = blobs.stored(services, files)

        def step(session: Session) -> None:
            own = _locked(session, row)
            own.artifact, own.sha256, own.bytes, own.card = prefix, sha256, size, told
            hold.release(session)

        with stored as hold:
            written(services, step)


def _locked(session: Session, row: ModelRow) -> ModelRow:
    own = session.get(ModelRow, row.id, with_for_update=True)
    if own is None:
        raise HeadstartError("not_found", "there is no such model", param="model")
    if own.artifact != row.artifact:
        raise HeadstartError("in_flight", "it was calibrated meanwhile; try again", retry_after=1)
    return own


_Revision = tuple[dict[str, Path], dict[str, Any], str, int]


@contextmanager
def _files(
    services: Services, row: ModelRow, prefix: str, card: dict[str, Any]
) -> Iterator[_Revision]:
    """The files by key, the card that describes them, the head's sha256 and size in bytes."""
    data = _head(services, row)
    hashed = {head_files.CONFIG_SHA256: head_files.config_sha256(card)}
    metadata = {**head_files.metadata(data), **hashed}
    head = head_files.with_metadata(data, metadata)
    sha256 = hashlib.sha256(head).hexdigest()
    told = {**card, "head": {**card["head"], "sha256": sha256, "bytes": len(head)}}
    with storage_errors(), scratch(staging(services.settings)) as folder:
        (folder / HEAD).write_bytes(head)
        text = json.dumps(told, indent=2, allow_nan=False, ensure_ascii=False)
        (folder / CARD).write_text(text + "\n")
        names = [HEAD, CARD, *_answers(services, row, folder)]
        yield {f"{prefix}/{name}": folder / name for name in names}, told, sha256, len(head)


def _head(services: Services, row: ModelRow) -> bytes:
    """Raises model_corrupt."""
    try:
        data = services.storage.fetch(f"{row.artifact}/{HEAD}").read_bytes()
    except FileNotFoundError as error:
        raise _corrupt(HEAD) from error
    if hashlib.sha256(data).hexdigest() != row.sha256:
        raise _corrupt(HEAD)
    return data


def _corrupt(file: str) -> HeadstartError:
    why = f"the stored model is damaged: {file} is not what was stored"
    return HeadstartError("model_corrupt", why, retry_after=60)


def _answers(services: Services, row: ModelRow, folder: Path) -> list[str]:
    """The held-out answers' file, copied into `folder` if there is one."""
    try:
        data = services.storage.fetch(f"{row.artifact}/{FILE}").read_bytes()
    except FileNotFoundError:
        return []
    (folder / FILE).write_bytes(data)
    return [FILE]
