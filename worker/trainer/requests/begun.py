"""A request that is answered in part, from one try at its piece to the next.

It is a file beside the answers, which the work that goes on names: with it what was answered is not
computed again. Without it the request begins anew.
"""

from __future__ import annotations

from pathlib import Path

import structlog
from pydantic_core import from_json, to_json

from app.infra import storage_keys
from app.infra.storage import storage_errors
from worker.trainer.attempt import Attempt
from worker.trainer.requests.asking import Begun

log = structlog.get_logger(__name__)


def load(attempt: Attempt) -> Begun:
    """What earlier tries have left of the piece's first request; nothing where that is gone."""
    key = attempt.claim.payload.get("begun")
    if not key:
        return Begun()
    try:
        return Begun(**from_json(attempt.context.storage.fetch(key).read_bytes()))
    except (FileNotFoundError, ValueError) as error:
        log.warning("a request that was begun is asked anew", reason=error)
        return Begun()


def stored(attempt: Attempt, begun: Begun, folder: Path) -> str | None:
    """The key of what there is of a request; None where there is nothing."""
    if not begun.items:
        return None
    claim = attempt.claim
    key = storage_keys.piece(claim.organisation_id, claim.id, kind="begun", fence=claim.fence)
    path = folder / "begun"
    with storage_errors():
        path.write_bytes(to_json({"by": begun.by, "items": begun.items}))
    attempt.outbox.put(key, path)
    return key
