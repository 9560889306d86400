"""Where everything lies in storage: each key is spelled here and nowhere else.

Keys begin with their kind and their organisation, and hold nothing that came from outside. An
export's key is made of its model's by `app.core.exports`.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

PACKS, MANIFESTS, SEGMENTS = "packs", "manifests", "embeddings"
FILES, PARTS, PIECES, LIVE = "files", "parts", "requests", "live"
ARTIFACTS, RESULTS, PROBES = "models", "batches", "probes"
TUNINGS = "tunings"
SERVED = "served"
HEAD, CARD = "head.safetensors", "model.json"
"""What every model's folder has."""


def pack(organisation_id: str, sha256: str) -> str:
    """The bytes of an upload's examples."""
    return f"{PACKS}/{organisation_id}/{sha256}"


def manifest(organisation_id: str, sha256: str) -> str:
    """The list of a version's examples."""
    return f"{MANIFESTS}/{organisation_id}/{sha256}.jsonl"


def segment(organisation_id: str, key: str, segment_id: str) -> str:
    """A file of embeddings; `key` is their cache's."""
    return f"{SEGMENTS}/{organisation_id}/{key}/{segment_id}.npy"


def artifact(*, organisation_id: str, name: str, fence: int) -> str:
    """The folder of one attempt at a model."""
    return f"{ARTIFACTS}/{organisation_id}/{name}/{fence}"


def of_model(prefix: str, others: Iterable[str] = ()) -> list[str]:
    """The files that a model's folder must have: head, card, and what else the card names."""
    return [f"{prefix}/{name}" for name in (HEAD, CARD, *others)]


def revision(prefix: str, revision_id: str) -> str:
    """The folder of a model whose thresholds were set anew, of the folder that it had."""
    return f"{prefix.rpartition('/')[0]}/{revision_id}"


def all_of_model(prefix: str) -> str:
    """The folder of all that was made of a model: its tries, revisions and exports."""
    return f"{prefix.rpartition('/')[0]}/"


def all_of(organisation_id: str) -> list[str]:
    """The folders of all that an organisation has."""
    kinds = PACKS, MANIFESTS, SEGMENTS, FILES, PARTS, PIECES, LIVE, ARTIFACTS, RESULTS, TUNINGS
    return [f"{kind}/{organisation_id}/" for kind in kinds]


def tunings(organisation_id: str, job_id: str) -> str:
    """The folder of what a job's tries have kept to go on from."""
    return f"{TUNINGS}/{organisation_id}/{job_id}"


def tuning(organisation_id: str, job_id: str, *, fence: int, number: int) -> str:
    """What one try kept after so many epochs; names sort by age."""
    return f"{tunings(organisation_id, job_id)}/{fence:09}-{number:06}.safetensors"


def result(organisation_id: str, batch_id: str, *, start: int, fence: int | str) -> str:
    """The results of a batch's inputs from `start` on, as one attempt at them wrote them, or, under
    a name that is no fence, as they were written anew.
    """
    return f"{RESULTS}/{organisation_id}/{batch_id}/{start:09}-{fence}.jsonl"


def served_on(day: date) -> str:
    """The folder of which tuned networks answered on a day: notes of predictors, of no tenant."""
    return f"{SERVED}/{day.isoformat()}"


def file(organisation_id: str, file_id: str) -> str:
    """A file that is kept as it is."""
    return f"{FILES}/{organisation_id}/{file_id}"


def part(organisation_id: str, upload_id: str, part_id: str) -> str:
    """A part of an upload that is not complete."""
    return f"{PARTS}/{organisation_id}/{upload_id}/{part_id}"


def piece(organisation_id: str, work_id: str, *, kind: str, fence: int) -> str:
    """What one attempt at a piece of a batch of requests was answered: `answers`, `errors`, or the
    items of a request that is answered in part, `begun`.
    """
    return f"{PIECES}/{organisation_id}/{work_id}/{fence}-{kind}.jsonl"


def live(organisation_id: str, name: str) -> str:
    """Inputs of predictions that a log or feedback keeps."""
    return f"{LIVE}/{organisation_id}/{name}"


def probe(probe_id: str) -> str:
    """A file that says whether the storage takes one."""
    return f"{PROBES}/{probe_id}"
