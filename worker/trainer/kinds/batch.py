"""A chunk of a batch: embed what the cache lacks, predict, and keep the answers as one file.

The file is durable before the one transaction that makes it part of the results and ends the chunk,
under the fence; what was embedded until then is cached by content, so no try begins from nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic_core import to_json
from sqlalchemy.orm import Session

from app.core import agreement, batch
from app.core.agreement import Tally
from app.core.batch import BatchInput, Fault, Smoothing
from app.core.errors import HeadstartError
from app.core.job_state import TERMINAL
from app.core.manifest import Problem
from app.core.modalities import is_pixels
from app.infra import storage_keys
from app.infra.orm import BatchRow, DatasetVersionRow, ModelRow
from app.infra.precision import fitted_on, precision_of
from app.infra.repositories import batches, embeddings, versions, work
from app.infra.repositories.batches import ChunkOutcome
from app.infra.repositories.work import MAX_CRASHES, Claim, LostClaimError
from app.infra.storage import fetch_manifest, scratch, sha256_of, storage_errors
from worker.formats import models, same_weights
from worker.trainer.attempt import Attempt
from worker.trainer.context import MadeWayError
from worker.trainer.embedding_cache import Segment
from worker.trainer.inputs import learned_from
from worker.trainer.inputs.embed_missing import embed, missing, pixels, scope_of, texts
from worker.trainer.inputs.features import Features, gather
from worker.trainer.tensor_process import EngineFacts

MOST_HALVINGS = 50
"""Enough for five inputs that kill; where everything does, the batch is to fail."""
_TRIES = 3
_FAULTS = "faults"
"""In the payload of a chunk that was passed: its contents that cannot be decoded, as far as it got.
Those are in no cache, and would be all that each of its turns finds out again.
"""
Said = str | list[str]
"""The label of an input, or all of a model that says several."""
Answers = dict[str, tuple[bytes, Said]]


@dataclass(frozen=True, kw_only=True)
class BatchChunk:
    """What a claim of kind `batch` asks for; `judged` are the ids that count for figures, `trained`
    the contents that the model was trained on, None where nobody knows any more.
    """

    row: BatchRow
    start: int
    inputs: Sequence[BatchInput]
    judged: frozenset[str]
    trained: frozenset[str] | None


def run(attempt: Attempt) -> None:
    """Predict the chunk, and commit what came of it under the fence. Raises MadeWayError."""
    chunk = _chunk_of(attempt)
    with scratch(attempt.staging) as folder:
        outcome, used = _Prediction(attempt, chunk, folder).outcome()

    def conclude(session: Session) -> None:
        batches.finish_chunk(session, attempt.claim, outcome)
        embeddings.touch(session, used)

    attempt.commit(conclude)
    attempt.context.cache.evict()


def _chunk_of(attempt: Attempt) -> BatchChunk:
    """Read the rows and the manifest's lines. Raises LostClaimError when the batch is gone."""
    claim = attempt.claim
    row, excluded, seen = attempt.read(lambda session: _rows(session, claim))
    start, stop = int(claim.payload["start"]), int(claim.payload["stop"])
    storage = attempt.context.storage
    listed = fetch_manifest(storage, row.organisation_id, row.manifest_sha256)
    with listed.open("rb") as file:
        inputs = batch.load(islice(file, start, stop))
    if "fault" in claim.payload:
        fault = Fault.model_validate(claim.payload["fault"])
        inputs = [one.model_copy(update={"fault": fault}) for one in inputs]
    labelled = [one.id for one in inputs if one.labelled and one.id not in excluded]
    trained = _trained_on(attempt, seen, inputs) if labelled else None
    return BatchChunk(
        row=row, start=start, inputs=inputs, judged=frozenset(labelled), trained=trained
    )


def _trained_on(
    attempt: Attempt, seen: list[DatasetVersionRow] | None, inputs: Sequence[BatchInput]
) -> frozenset[str] | None:
    """Which of the inputs' contents these versions have in `train`; None where one is gone."""
    if seen is None:
        return None
    wanted = {one.content for one in inputs}
    there = [one for version in seen for one in attempt.among(version, wanted)]
    return frozenset(one.content for one in there if one.split == "train")


def _rows(
    session: Session, claim: Claim
) -> tuple[BatchRow, set[str | None], list[DatasetVersionRow] | None]:
    """The batch, the ids of the examples whose labels its dataset doubts, and the versions that its
    model was made of, if they are still there."""
    row = session.get(BatchRow, claim.batch_id)
    if row is None:
        raise LostClaimError(claim.id)
    problems = versions.problems_by_id(session, row.version_id) if row.version_id else []
    model = session.get(ModelRow, row.model_id)
    seen = learned_from.versions_of(session, model) if model is not None else None
    return row, {problem.example_id for problem in problems if problem.excluded}, seen


class _Prediction:
    """One chunk on its way to a result file in `folder`."""

    def __init__(self, attempt: Attempt, chunk: BatchChunk, folder: Path) -> None:
        self._attempt = attempt
        self._chunk = chunk
        self._folder = folder
        self._faults = _known_faults(attempt.claim)
        self._wanted = [
            one for one in chunk.inputs if one.fault is None and one.sha256 not in self._faults
        ]
        stored = models.load(attempt.context.storage, chunk.row.artifact, chunk.row.sha256)
        self._config: Mapping[str, Any] = stored.card["config"]
        self._trained = same_weights.trained_on(stored.card)
        self._read_as = same_weights.read_as(stored.card)
        self._fitted = fitted_on(stored.card)
        self._per_class = _per_class(stored.card)
        self._problem: Problem | None = None
        self._smoothing: Smoothing | None = None

    def outcome(self) -> tuple[ChunkOutcome, set[str]]:
        """The stored file and what it adds to the batch; the segments that were read."""
        features: dict[str, Features] = {}
        answers: Answers = {}
        if self._wanted:
            facts = self._attempt.engine(self._chunk.row.backbone, fitted=self._fitted)
            facts = facts.reading(self._config.get("pixel_scale"))
            same_weights.check(facts.backbone, trained=self._trained, loaded=facts.weights_sha256)
            same_weights.check_reading(
                facts.backbone,
                trained=self._read_as,
                loaded=facts.fingerprint,
                former=facts.former,
            )
            features = self._features(facts)
        if self._wanted:
            answers = self._answers(facts, features)
            self._problem = _in_another_precision(self._fitted, facts.precision)
        used = {segment for view in features.values() for segment in view.read}
        return self._written(answers), used

    def _features(self, facts: EngineFacts) -> dict[str, Features]:
        """Every view that the head reads, of all inputs that can be embedded."""
        views = [view for view in self._config["prediction_views"] if not is_pixels(view)]
        for _ in range(_TRIES):
            for view in views:
                self._embed(facts, view)
            cached = {view: gather(self._attempt, facts, view, self._wanted) for view in views}
            complete = {view: features for view, features in cached.items() if features}
            if len(complete) == len(cached):
                return complete
        raise HeadstartError("storage_unavailable", "embeddings vanish as fast as they are made")

    def _embed(self, facts: EngineFacts, view: str) -> None:
        for part in facts.parts:
            self._embed_part(part, view)

    def _embed_part(self, facts: EngineFacts, view: str) -> None:
        """Embed what the cache lacks of a view; inputs that cannot be decoded get their fault."""
        scope = scope_of(facts, view, self._chunk.row.organisation_id)
        todo = missing(self._attempt, scope, self._wanted)
        embedded = embed(self._attempt, facts, view=view, scope=scope, examples=todo)
        if embedded.segment is not None:
            self._keep(embedded.segment)
        self._faults |= {
            sha256: Fault(code=error.code, message=error.message)
            for sha256, error in embedded.faults.items()
        }
        if embedded.left:
            told = {sha256: fault.model_dump() for sha256, fault in self._faults.items()}
            raise MadeWayError(**{_FAULTS: told})
        self._wanted = [one for one in self._wanted if one.sha256 not in self._faults]

    def _keep(self, segment: Segment) -> None:
        def index(session: Session) -> None:
            self._attempt.context.cache.index(session, segment)
            row = batches.lock_batch(session, self._chunk.row.id)
            row.passes += len(segment.sha256s)

        self._attempt.commit(index)

    def _answers(self, facts: EngineFacts, features: Mapping[str, Features]) -> Answers:
        """What the head says of each content: an item of an answer, and the label in it."""
        row = self._chunk.row
        unique = list({one.sha256: one for one in self._wanted}.values())
        file = self._folder / "answers.jsonl"
        request = {
            "op": "predict",
            "backbone": facts.backbone,
            "fitted": facts.precision,
            "head": str(self._attempt.context.storage.fetch(f"{row.artifact}/{models.HEAD}")),
            "config": self._config,
            "views": {view: one.rows(unique) for view, one in features.items()},
            "texts": texts(self._attempt, row.modality, unique),
            "pixels": pixels(self._attempt, self._config["prediction_views"], unique),
            "top_k": row.options["top_k"],
            "unknown": row.options["unknown"],
            "level": row.options.get("threshold"),
            "levels": row.options.get("thresholds"),
            "use_unlabelled": row.options.get("use_unlabelled", False),
            "per_class": self._per_class,
            "out": str(file),
        }
        answer = self._attempt.ask(request)
        labels = answer["labels"]
        if "left_off" in answer:
            self._smoothing = self._smoothed(answer["left_off"])
        self._faults |= {
            unique[fault["index"]].sha256: Fault(code=fault["code"], message=fault["message"])
            for fault in answer.get("faults", ())
        }
        self._wanted = [one for one in self._wanted if one.sha256 not in self._faults]
        lines = file.read_bytes().splitlines()
        return {
            one.sha256: (line, label)
            for one, line, label in zip(unique, lines, labels, strict=True)
            if one.sha256 not in self._faults
        }

    def _smoothed(self, left_off: Mapping[str, str] | None) -> Smoothing:
        """What is said of the chunk's inputs that have an answer."""
        start, count = self._chunk.start, len(self._wanted)
        if left_off is None:
            return Smoothing(smoothed=count)
        part = {"start": start, "stop": start + len(self._chunk.inputs), **left_off}
        return Smoothing(one_by_one=count, left_off=[part])

    def _written(self, answers: Mapping[str, tuple[bytes, Said]]) -> ChunkOutcome:
        """Store the lines of the whole chunk, in the inputs' order."""
        chunk, claim = self._chunk, self._attempt.claim
        part, failed = self._folder / "part.jsonl", 0
        with storage_errors(), part.open("wb") as out:
            for index, one in enumerate(chunk.inputs, chunk.start):
                fault = one.fault or self._faults.get(one.sha256)
                failed += fault is not None
                out.write(_line(index, one, fault or answers[one.sha256][0]))
        size, digest = part.stat().st_size, sha256_of(part)
        row = chunk.row
        key = storage_keys.result(row.organisation_id, row.id, start=chunk.start, fence=claim.fence)
        self._attempt.outbox.put(key, part)
        return ChunkOutcome(
            start=chunk.start,
            key=key,
            bytes=size,
            sha256=digest,
            done=len(chunk.inputs),
            failed=failed,
            tally=self._tally(answers),
            problem=self._problem,
            smoothing=self._smoothing,
        )

    def _tally(self, answers: Mapping[str, tuple[bytes, Said]]) -> Tally:
        known, tally = frozenset(self._config["classes"]), Tally()
        trained = self._chunk.trained
        smoothed = self._smoothing is not None and self._smoothing.smoothed > 0
        for one in self._chunk.inputs:
            if one.id in self._chunk.judged and one.sha256 in answers:
                seen = None if trained is None else one.content in trained
                _count(tally, one, answers[one.sha256][1], known=known, seen=seen)
        if smoothed:
            agreement.note_smoothed(tally)
        return tally


def _known_faults(claim: Claim) -> dict[str, Fault]:
    told = claim.payload.get(_FAULTS, {})
    return {sha256: Fault.model_validate(one) for sha256, one in told.items()}


def _count(
    tally: Tally,
    one: BatchInput,
    said: str | Sequence[str],
    *,
    known: Collection[str],
    seen: bool | None,
) -> None:
    """Add one example; a model that says one label is judged by examples that have one."""
    if not isinstance(said, str):
        labels = [name for name in one.names if name in known]
        agreement.count_several(tally, split=one.split, labels=labels, predicted=said, seen=seen)
        return
    label = one.names[0] if len(one.names) == 1 else ""
    predicted = said if label in known else None
    agreement.count(tally, split=one.split, label=label, predicted=predicted, seen=seen)


def _per_class(card: Mapping[str, Any]) -> float | None:
    """Examples a class that a model learned from; None where its card does not say."""
    learned = card.get("dataset", {}).get("train")
    return None if learned is None else learned / len(card["config"]["classes"])


def _in_another_precision(fitted: str, served: str) -> Problem | None:
    """What is said of a batch whose model's precision this machine has no units for."""
    wanted = precision_of(fitted)
    if wanted is None or wanted == precision_of(served):
        return None
    told = f"inputs were answered in {served}: the model was fitted on {fitted}, and a worker that"
    return Problem(code="precision_unavailable", message=f"{told} took some has no units for it")


def _line(index: int, one: BatchInput, answer: bytes | Fault) -> bytes:
    """One line of the results: which input it is, then what is said of it."""
    told: dict[str, Any] = {"index": index, "id": one.id, "path": one.path}
    if one.labelled:
        expected = one.label if one.labels is None else list(one.labels)
        told |= {"expected": expected, "split": one.split}
    if isinstance(answer, Fault):
        return to_json({**told, "error": answer.model_dump()}) + b"\n"
    return to_json(told)[:-1] + b"," + answer.partition(b",")[2] + b"\n"


def begin(session: Session, claim: Claim) -> bool:
    """Note in the batch that it runs; False where it has ended."""
    row = batches.lock_batch(session, str(claim.batch_id))
    if row.status == "validating_files":
        batches.settle_batch(session, row)
    if row.status == "queued":
        batches.advance(session, row, "running")
    return row.status == "running"


def fail(session: Session, claim: Claim, error: HeadstartError) -> None:
    """End the chunk for good, and with it the batch."""
    work.lock_batches(session, [str(claim.batch_id)])
    work.fail(session, claim, error)
    row = batches.lock_batch(session, str(claim.batch_id))
    if row.status not in TERMINAL:
        batches.fail(session, row, error)


def isolate(session: Session, claim: Claim, why: str) -> bool:
    """Halve a chunk that has killed the tensor process, down to the one input that does it.

    What has done so by itself as often as may be gets its error without being looked at again.
    False where halving would not help.
    """
    start, stop = int(claim.payload["start"]), int(claim.payload["stop"])
    if "fault" in claim.payload:
        return False
    if stop - start == 1 and claim.crashes + 1 < MAX_CRASHES:
        return False
    if stop - start == 1:
        fault = {"code": "worker_lost", "message": f"this input is not survived: {why}"}
        work.give_back(session, claim, payload={**claim.payload, "fault": fault})
        return True
    work.hold(session, claim)
    row = batches.lock_batch(session, str(claim.batch_id))
    if sum(problem["code"] == "worker_lost" for problem in row.problems) >= MOST_HALVINGS:
        return False
    said = f"inputs {start} to {stop - 1}: {why}; they are tried in halves"
    row.problems = [*row.problems, Problem(code="worker_lost", message=said).model_dump()]
    middle = (start + stop) // 2
    batches.add_chunk(session, row, start, middle)
    batches.add_chunk(session, row, middle, stop)
    work.finish(session, claim)
    return True
