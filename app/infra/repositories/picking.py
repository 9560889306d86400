"""Which work is next: the statements behind `work.claim` and `work.urgent`, for both databases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import BindParameter, TextClause, bindparam, text

from app.infra.lanes import Lanes

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

_GPU = "EXISTS (SELECT 1 FROM jobs g WHERE g.id = w.job_id AND (g.method IN :gpu_methods{of_job}))"
"""Whether work wants a GPU, as `Lanes.of` has it."""

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


def gpu_sql(lanes: Lanes) -> str:
    """Whether `w` wants a GPU; `prepared` has its parameters."""
    said = {
        column: "".join(f" OR {_names(column, f':gpu_{n}')}" for n in range(len(lanes.backbones)))
        for column in ("g.backbone", "w.backbone")
    }
    return f"({_GPU.format(of_job=said['g.backbone'])}{said['w.backbone']})"


def _names(column: str, place: str) -> str:
    """Whether a backbone is this one, or is made of it among others."""
    joint = f"'+' || coalesce({column}, '') || '+'"
    return f"replace({joint}, {place}, '') <> {joint}"


def prepared(sql: str, told: Mapping[str, Any], lanes: Lanes) -> tuple[TextClause, dict[str, Any]]:
    """A statement of these, and its parameters, those of `gpu_sql` among them."""
    places = {f"gpu_{n}": f"+{name}+" for n, name in enumerate(lanes.backbones)}
    asked = {"gpu_methods": list(lanes.methods), **places}
    given = {**told, **{name: value for name, value in asked.items() if f":{name}" in sql}}
    lists: list[BindParameter[Any]] = [
        bindparam(name, expanding=True) for name, value in given.items() if isinstance(value, list)
    ]
    return text(sql).bindparams(*lists), given


def ready_sql(*, clock: str, lanes: Lanes) -> str:
    """Whether `w` could be claimed now by a worker of these lanes."""
    ready = READY.format(clock=clock, reads=_READS)
    if lanes.accelerator == "any":
        return ready
    return f"{ready} AND {'' if lanes.accelerator == 'gpu' else 'NOT '}{gpu_sql(lanes)}"


def claim_sql(*, dialect: str, clock: str, overdue: bool, lanes: Lanes, but: bool = False) -> str:
    """Take the next work; with `overdue`, bulk that has waited for ten minutes ranks as urgent.

    With `but`, none of the organisations in the list `:but`.
    """
    rank = _RANK.format(clock=clock) if overdue else "w.priority"
    ready = ready_sql(clock=clock, lanes=lanes)
    if but:
        ready = f"{ready} AND w.organisation_id NOT IN :but"
    pick = _PICK[dialect].format(ready=ready, rank=rank)
    return _CLAIM.format(clock=clock, pick=pick)


def turn_sql(*, clock: str) -> str:
    """The organisation `:id` goes to the end of the line: behind everybody whose turn has been.

    The clock alone would not do: two claims may fall into one tick of it.
    """
    latest = "(SELECT max(last_claimed_at) + 0.00001 FROM organisations)"
    later = f"CASE WHEN {latest} > {clock} THEN {latest} ELSE {clock} END"
    return f"UPDATE organisations SET last_claimed_at = {later} WHERE id = :id"  # noqa: S608


def urgent_sql(*, clock: str, lanes: Lanes) -> str:
    """One row where work of a priority below `:before` could be claimed now, of another
    organisation than `:but`.
    """
    ready = ready_sql(clock=clock, lanes=lanes)
    which = "w.priority < :before AND w.organisation_id <> :but"
    return f"SELECT 1 FROM work w WHERE {which} AND {ready} LIMIT 1"  # noqa: S608


_LOOKED_AT = 1000
"""So many rows tell in which lanes work waits: behind more of them, a lane is found by polling."""


def waiting_sql(*, clock: str, lanes: Lanes) -> str:
    """The lanes (kind, 1 where a GPU is wanted) in which work that is not idle could be claimed."""
    ready = READY.format(clock=clock, reads=_READS)
    return (
        f"SELECT DISTINCT kind, gpu FROM (SELECT w.kind AS kind, CASE WHEN {gpu_sql(lanes)} "  # noqa: S608
        f"THEN 1 ELSE 0 END AS gpu FROM work w WHERE w.priority < {IDLE} AND {ready} "
        f"LIMIT {_LOOKED_AT}) AS looked"
    )


def demand_sql(*, clock: str) -> dict[str, str]:
    """The parts of a count of what trainers are wanted for, for who starts them by it.

    `waits`: whether `w` could be claimed or rescued now, and is not embedding ahead for idle time;
    `gpu`: whether it wants one; `backbone`: whether `{column}` names `{backbone}`. Lists are
    `{kinds}` and `{methods}`, clauses on backbones `{of_job}` and `{of_work}`.
    """
    ready = READY.format(clock=clock, reads=_READS).replace(":kinds", "({kinds})")
    lost = f"w.state = 'running' AND w.lease_until < {clock} AND w.kind IN ({{kinds}})"
    bulk = f"(w.priority < {IDLE} OR w.kind <> 'embed')"
    gpu = _GPU.replace(":gpu_methods", "({methods})")
    return {
        "waits": " ".join(f"{bulk} AND (({ready}) OR ({lost}))".split()),
        "gpu": f"({gpu}{{of_work}})",
        "backbone": _names("{column}", "'+{backbone}+'"),
    }
