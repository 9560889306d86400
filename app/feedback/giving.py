"""One piece of feedback's way in: what it is about, what was answered, what is kept of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import structlog
from anyio import to_thread
from pydantic_core import from_json
from sqlalchemy.orm import Session

from app.core import messages
from app.core.errors import HeadstartError
from app.core.identity import Identity
from app.core.ids import as_uuid, new_id
from app.core.live.rule import DAY_SECONDS
from app.core.messages import Call, Input, Options, Target
from app.core.modalities import MODALITIES
from app.core.openai.inputs import READ
from app.core.texts import alike, by_word, composed, plain
from app.feedback.recording import answer_of, flush, kept_of
from app.feedback.schemas import Feedback, FeedbackInput, NewFeedback
from app.feedback.views import feedback_of
from app.http.dependencies import Services, written
from app.infra import erasure, storage_keys
from app.infra.database import reading
from app.infra.orm import FeedbackRow, LoggedPredictionRow
from app.infra.repositories import aliases, quotas
from app.infra.repositories.live import drift
from app.infra.repositories.live import feedback as rows
from app.infra.repositories.live import log as log_rows
from app.infra.repositories.live.drift import Watched
from app.infra.repositories.targets import ResolvedModel
from app.infra.storage import scratch, staging, storage_errors
from app.predictions.inputs import matching
from app.uploads import blobs
from app.uploads.printed import single

log = structlog.get_logger()
_SOON = 10.0
"""Seconds within which an answer of another process may still be on its way into the log."""
_OTHERS = ("chatcmpl-", "resp_")
HOLDS = "an audited label is here already and holds: what was said now has changed nothing"


@dataclass(frozen=True, kw_only=True)
class Said:
    """What feedback is about, and what was answered."""

    subject: str
    model_id: str
    prediction_id: str | None
    place: int
    sha256: str
    answer: Mapping[str, Any]
    data: bytes | None
    logged: str | None = None
    """The log's row that the input comes of."""

    @classmethod
    def of(cls, subject: str, model_id: str, answer: Mapping[str, Any], item: Input) -> Said:
        """About an input that was sent itself; without a DICOM's patient. Raises as that."""
        data = kept_of(item)
        return cls(
            subject=subject,
            model_id=model_id,
            prediction_id=None,
            place=0,
            sha256=sha256(data).hexdigest(),
            answer=answer,
            data=data,
        )


async def give(services: Services, caller: Identity, name: str, new: NewFeedback) -> Feedback:
    """Keep feedback on a model or an alias. Raises not_found, in_flight, invalid_request, and what
    is wrong with an input; forbidden where a key that may not write says that it has audited.
    """
    if new.audited:
        _may_audit(caller)
    resolved = await services.resolver.resolve(caller.organisation_id, name)
    if new.input is not None:
        said = await asked(services, caller.organisation_id, resolved, new.input)
    else:
        said = await _recalled(services, caller.organisation_id, resolved, new)
    values = {**worded(new, said.answer), "source": "api", "actor": caller.key_id}
    return await to_thread.run_sync(
        keep, services, caller.organisation_id, resolved.alias, said, values
    )


def _may_audit(caller: Identity) -> None:
    try:
        caller.require("write")
    except HeadstartError as error:
        why = f"audited: accuracy is told by it, and {error.message}; send it without, or ask a key"
        raise HeadstartError(error.code, f"{why} that may write", param="audited") from error


async def asked(
    services: Services, tenant: str, resolved: ResolvedModel, told: FeedbackInput
) -> Said:
    """An input that was sent itself: the model is asked now what it says. Raises what is wrong."""
    kind, value = told.told
    modality = MODALITIES[resolved.modality].name
    item = await to_thread.run_sync(lambda: matching(READ[kind](value), modality))
    if item.kind == "error":
        wrong = messages.read_error(bytes(item.data))
        raise HeadstartError(wrong.code, wrong.message, param=f"input.{kind}")
    answer = await answered(services, tenant, resolved, item)
    identity = MODALITIES[resolved.modality].identity
    content = await to_thread.run_sync(lambda: _content(kept_of(item), identity))
    subject = f"sha256:{resolved.alias or resolved.id}:{content}"
    return await to_thread.run_sync(Said.of, subject, resolved.id, answer, item)


def _content(data: bytes, identity: Callable[[bytes], str | None]) -> str:
    """The same for inputs that a dataset takes for one example."""
    return identity(data) or sha256(data).hexdigest()


async def answered(
    services: Services, tenant: str, resolved: ResolvedModel, item: Input
) -> dict[str, Any]:
    """What the model says of an input. Raises what is wrong with it."""
    target = Target(
        model=resolved.id,
        backbone=resolved.backbone,
        artifact=resolved.artifact,
        sha256=resolved.sha256,
    )
    call = Call(
        id=new_id("pred_"),
        tenant=tenant,
        target=target,
        options=Options(),
        inputs=(item,),
        single=True,
    )
    answer = await services.predictor.predict(call)
    (said,) = from_json(answer.body)["data"]
    return answer_of(said)


async def _recalled(
    services: Services, tenant: str, resolved: ResolvedModel, new: NewFeedback
) -> Said:
    assert new.prediction_id is not None
    prediction_id = prediction_of(new.prediction_id)
    logged = await to_thread.run_sync(_logged, services, tenant, prediction_id)
    if not logged:
        await flush(services)
        logged = await to_thread.run_sync(_logged, services, tenant, prediction_id)
    of = [one for one in logged if is_under(resolved, one)]
    if not of:
        raise _missing(prediction_id)
    found = _meant(of, new.index)
    return Said(
        subject=f"{prediction_id}:{found.place}",
        model_id=found.model_id,
        prediction_id=prediction_id,
        place=found.place,
        sha256=found.sha256,
        answer=found.answer,
        data=await to_thread.run_sync(content_of, services, found),
        logged=found.id,
    )


def is_under(resolved: ResolvedModel, row: LoggedPredictionRow | FeedbackRow) -> bool:
    """Whether it is of the alias that was named; or, where an id named a model, of that."""
    return row.alias == resolved.alias if resolved.alias else row.model_id == resolved.id


def prediction_of(told: str) -> str:
    """A prediction's id, as the log has it, from what any answer is called."""
    for prefix in _OTHERS:
        if told.startswith(prefix):
            return "pred_" + told.removeprefix(prefix)
    return told


def _logged(services: Services, tenant: str, prediction_id: str) -> list[LoggedPredictionRow]:
    with reading(services.sessions) as session:
        return log_rows.of_prediction(session, prediction_id, organisation_id=tenant)


def _meant(logged: Sequence[LoggedPredictionRow], index: int | None) -> LoggedPredictionRow:
    """The input of an answer that feedback is about. Raises invalid_value where it is not told."""
    places = sorted({row.place for row in logged})
    if index is None and places != [0]:
        raise HeadstartError(
            "invalid_value",
            f"the answer had several inputs: say which (index: {places[0]} to {places[-1]})",
            param="index",
        )
    found = [row for row in logged if row.place == (index or 0)]
    if not found:
        raise HeadstartError(
            "invalid_value",
            f"the log has inputs {places[0]} to {places[-1]} of the answer, and no {index}",
            param="index",
        )
    return found[0]


def _missing(prediction_id: str) -> HeadstartError:
    uuid = as_uuid(prediction_id)
    age = time.time() - (uuid.int >> 80) / 1000 if uuid is not None else DAY_SECONDS
    if abs(age) < _SOON:  # by this machine's clock, which may be behind the one that answered
        why = "the prediction is not in the log yet, if it was drawn for it"
        return HeadstartError("in_flight", why, param="prediction_id", retry_after=1)
    return HeadstartError(
        "not_found",
        "the log has no such prediction: it is off, did not draw it, was told no-store, or has "
        "deleted it; send the input itself",
        param="prediction_id",
    )


def content_of(services: Services, row: LoggedPredictionRow) -> bytes | None:
    """The input's bytes; None where they are not kept, are damaged or have just been deleted."""
    if row.content_key is None:
        return None
    try:
        with services.storage.fetch(row.content_key).open("rb") as file:
            file.seek(row.content_start)
            return _intact(file.read(row.content_length), row)
    except FileNotFoundError:
        return None


def _intact(data: bytes, row: LoggedPredictionRow | FeedbackRow) -> bytes | None:
    if sha256(data).hexdigest() == row.sha256:
        return data
    log.warning("an input is not what was written down", id=row.id, key=row.content_key)
    return None


def worded(new: NewFeedback, answer: Mapping[str, Any]) -> dict[str, Any]:
    """What rows keep of what was said. Raises invalid_request where the model says it otherwise."""
    several = "labels" in answer
    if new.label is not None and several:
        raise HeadstartError("invalid_request", "label: the model says several; send labels",
                             param="label")  # fmt: skip
    if new.labels is not None and not several:
        raise HeadstartError("invalid_request", "labels: the model says one label; send label",
                             param="labels")  # fmt: skip
    label, labels = _as_known(new, answer)
    says_none = bool(answer.get("unknown")) and not several
    if new.correct is True:
        label, labels = (None, sorted(answer["labels"])) if several else (answer["label"], None)
        label = None if says_none else label
    elif new.correct is False and label == answer["label"] and not says_none:
        why = "correct: false, and the label is the one that was answered"
        raise HeadstartError("invalid_request", why, param="correct")
    if new.unknown and several:
        labels = []
    return {
        "label": label,
        "labels": labels,
        "correct": new.correct,
        "unknown": new.unknown or (says_none and new.correct is True),
        "audited": new.audited,
    }


def _as_known(new: NewFeedback, answer: Mapping[str, Any]) -> tuple[str | None, list[str] | None]:
    """The label or the labels that were said; one of the model's own as the model spells it: a Mac
    composes accents otherwise, Python writes true with a capital, people write blanks for `_`."""
    known: dict[str, str] = {composed(name): name for name in answer["scores"]}
    words = by_word(known.values())

    def spelled(label: str) -> str:
        told = composed(label)
        return known.get(told, known.get(plain(told), words.get(alike(label), _read(label))))

    label = None if new.label is None else spelled(new.label)
    return label, None if new.labels is None else sorted(set(map(spelled, new.labels)))


def _read(label: str) -> str:
    """A label that the model has not, as an upload would read it; as it stands where none would."""
    try:
        return single(label)
    except ValueError:
        return label


def data_of(services: Services, row: FeedbackRow) -> bytes | None:
    """The input that feedback is on, None where it is not kept, or is damaged."""
    if row.content_key is None:
        return None
    try:
        return _intact(services.storage.fetch(row.content_key).read_bytes(), row)
    except FileNotFoundError:
        return None


def _anything(session: Session) -> None:
    del session


def keep(
    services: Services,
    organisation_id: str,
    alias: str,
    said: Said,
    values: Mapping[str, Any],
    *,
    require: Callable[[Session], None] = _anything,
) -> Feedback:
    """Write it down, and its input; what was said of the same before is no more, unless that is
    audited and this is not: then nothing changes, and the note says so.

    `require` raises in the same transaction where what has told it is no longer there. Raises
    not_found where what it is about was deleted while the model was asked.
    """
    row = {
        **values,
        "alias": alias,
        "model_id": said.model_id,
        "prediction_id": said.prediction_id,
        "place": said.place,
        "sha256": said.sha256,
        "answer": dict(said.answer),
        "content_key": None,
        "content_length": len(said.data or b""),
    }
    key = storage_keys.live(organisation_id, new_id("fb_"))
    with scratch(staging(services.settings)) as folder:
        path = folder / "content"
        if said.data is not None:
            row["content_key"] = key
            with storage_errors():
                path.write_bytes(said.data)
        files = {key: path} if said.data is not None else {}

        def step(session: Session) -> tuple[Feedback, Sequence[str]]:
            _require(session, organisation_id, alias, said)
            require(session)
            found, former = rows.put(session, said.subject, row, organisation_id=organisation_id)
            if found.audited and said.logged is not None and alias:
                whose = Watched(
                    organisation_id=organisation_id, alias=alias, model_id=said.model_id
                )
                drift.queue_labelled(session, whose)
            if files:
                quotas.check(session, services.settings, organisation_id, "stored_bytes")
            needless = log_rows.needless(session, [former, *files])
            told = feedback_of(found)
            if found.audited and not values["audited"]:
                told.notes.insert(0, HOLDS)
            hold.release(session)
            return told, needless

        with blobs.stored(services, files) as hold:
            told, needless = written(services, step)
    erasure.delete(services.storage, needless)
    return told


def _require(session: Session, organisation_id: str, alias: str, said: Said) -> None:
    """Hold the alias or the model until the commit. Raises not_found: what went with it stays gone,
    and so does what the log had of the input.
    """
    if alias:
        aliases.find(session, organisation_id=organisation_id, name=alias, lock=True)
    else:
        aliases.hold(session, [said.model_id], organisation_id=organisation_id)
    if said.logged is not None:
        log_rows.get(session, said.logged, organisation_id=organisation_id)
