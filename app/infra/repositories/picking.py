"""Which work is next: the statements behind `work.claim` and `work.urgent`, for both databases."""

from __future__ import annotations

IDLE = 10
"""The priority of idle-time work, which may wait for ever."""
OVERDUE_SECONDS = 600.0

_READS = (
    "'+' || j.backbone || '+' <> replace('+' || j.backbone || '+', '+' || e.backbone || '+', '')"
)
"""Whether work is on the job's backbone, or on one of several that it names: `a+b`."""

READY = """
  w.state = 'queued' AND w.not_before <= {clock} AND w.kind IN :kinds
  AND (w.kind <> 'fine_tune' OR NOT EXISTS (
    SELECT 1 FROM work e JOIN jobs j ON j.id = w.job_id
    WHERE e.kind = 'embed' AND e.priority = 0 AND e.state IN ('queued', 'running')
      AND e.version_id IN (j.version_id, j.validation_version_id)
      AND ({reads} OR EXISTS (
        SELECT 1 FROM dataset_versions v WHERE v.id = e.version_id AND v.status = 'processing'))))
  AND (w.kind <> 'batch' OR NOT EXISTS (
    SELECT 1 FROM batches b JOIN dataset_versions v ON v.id = b.version_id
    WHERE b.id = w.batch_id AND v.status = 'processing'))
"""

_RANK = f"""
  CASE WHEN w.priority < {IDLE} AND w.created_at < {{clock}} - {OVERDUE_SECONDS}
  THEN 0 ELSE w.priority END
"""

_PICK = {
    "sqlite": """
      SELECT w.id FROM work w JOIN organisations o ON o.id = w.organisation_id
      WHERE {ready} ORDER BY {rank}, o.last_claimed_at, w.created_at, w.id LIMIT 1
    """,
    "postgresql": """
      SELECT w.id FROM work w JOIN organisations o ON o.id = w.organisation_id
      WHERE {ready} ORDER BY {rank}, o.last_claimed_at, w.created_at, w.id LIMIT 1
      FOR UPDATE OF w SKIP LOCKED
    """,
}

_CLAIM = """
  UPDATE work SET state = 'running', fence = fence + 1, claimed_by = :worker,
    lease_until = {clock} + :lease
  WHERE id = ({pick}) AND state = 'queued'
  RETURNING id
"""


def claim_sql(*, dialect: str, clock: str, overdue: bool) -> str:
    """Take the next work; with `overdue`, bulk that has waited for ten minutes ranks as urgent."""
    rank = _RANK.format(clock=clock) if overdue else "w.priority"
    pick = _PICK[dialect].format(ready=READY.format(clock=clock, reads=_READS), rank=rank)
    return _CLAIM.format(clock=clock, pick=pick)


def turn_sql(*, clock: str) -> str:
    """The organisation `:id` goes to the end of the line: behind everybody whose turn has been.

    The clock alone would not do: two claims may fall into one tick of it.
    """
    latest = "(SELECT max(last_claimed_at) + 0.00001 FROM organisations)"
    later = f"CASE WHEN {latest} > {clock} THEN {latest} ELSE {clock} END"
    return f"UPDATE organisations SET last_claimed_at = {later} WHERE id = :id"  # noqa: S608


def urgent_sql(*, clock: str) -> str:
    """One row where work of a priority below `:before` could be claimed now."""
    ready = READY.format(clock=clock, reads=_READS)
    return f"SELECT 1 FROM work w WHERE w.priority < :before AND {ready} LIMIT 1"  # noqa: S608
