"""Every query on a tenant's rows is narrowed to its organisation, or says here why it is not.

A function that queries a tenant's table names `organisation_id`, or is handed a row, a claim or a
key that somebody has found through it. What remains is on one of two short lists. That routes
answer 404 for other organisations' things is tested by tests/hostile/test_authorisation.py.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from app.infra.orm import Base
from tests.house.reading import Function, functions, module_of, parsed, sources

TABLES = {
    mapper.class_.__name__: str(mapper.local_table.name)
    for mapper in Base.registry.mappers
    if mapper.class_.__name__ != "OrganisationRow"
}
QUERIES = {"select", "update", "delete", "delete_from", "get", "get_one", "insert"}
OWNERS = {*TABLES, "Claim", "Attempt", "IdempotencyKey"}

BY_ID = {
    "app.feedback.watching": "_is_due",
    "app.hooks.endpoints": "_signal",
    "app.hooks.new_labels": "_look",
    "app.infra.repositories.batches": "parts lock_batch settle _pending refuse_if_used",
    "app.infra.repositories.datasets": "refuse_if_used _drop_empty",
    "app.infra.repositories.embeddings": "digests touch rows_of lock_segments wear mend",
    "app.infra.repositories.exports": "forget",
    "app.infra.repositories.job_queries": "newest_events events_after status checkpoints",
    "app.infra.repositories.jobs": "lock_job cancel_job add_checkpoints",
    "app.infra.repositories.live.log": "has_more",
    "app.infra.repositories.retraining.hook_runs": "lock lock_hook hook_of of_job",
    "app.infra.repositories.retraining.promotions": "lock",
    "app.infra.repositories.retraining.webhooks": "lock",
    "app.infra.repositories.openai.request_batches": "pieces",
    "app.infra.repositories.versions": "lock_version problems_by_id settle_jobs",
    "app.infra.repositories.work": "end suspend resume _lock",
    "worker.trainer.inputs.job_data": "_version",
    "worker.trainer.kinds.embed": "_waiting_jobs",
}
"""Asked by the id of something that the caller has found through its organisation, or has claimed:
a lookup of what belongs to it, or a lock."""

OF_ALL = {
    "app.infra.changes": "JOB BATCH EVENTS VERSION WORK PROMOTION RUN REQUESTS",
    "app.http.keyring": "Keyring.note_used",
    "app.infra.repositories.audit": "prune",
    "app.infra.repositories.deletions": "prune settle",
    "app.infra.repositories.embeddings": "total_bytes",
    "app.infra.repositories.exports": "kept",
    "app.infra.repositories.job_queries": "durations",
    "app.infra.repositories.live.labelling": "is_any_due",
    "app.infra.repositories.models": "width_on",
    "app.infra.repositories.openai.request_batches": "begun",
    "app.infra.repositories.retraining.webhooks": "prune",
    "app.infra.repositories.work": "due seconds_to_next rescue prune",
    "app.operations.metrics": "_Queue.collect",
    "app.infra.repositories.holds": "drop expire end is_held",
    "app.infra.repositories.references": (
        "named required _runs _is_artifact_needed _is_result_needed _is_segment_needed"
        " _is_tuning_needed"
    ),
}
"""Of every organisation at once, and none of it is told to a tenant: claims, quotas, sweeps,
metrics, and the one poller that wakes who waits."""


def test_queries_are_narrowed_to_an_organisation() -> None:
    assert sorted(_open() - _listed(BY_ID) - _listed(OF_ALL)) == []


def test_the_lists_name_nothing_that_is_gone() -> None:
    assert sorted((_listed(BY_ID) | _listed(OF_ALL)) - _open()) == []


@pytest.mark.parametrize(
    ("source", "narrowed"),
    [
        ("def f(session, name):\n    return select(JobRow).where(JobRow.id == name)", False),
        ("def f(session, organisation_id):\n    return select(JobRow)", False),
        ("def f(s, o):\n    return select(JobRow).where(JobRow.organisation_id == o)", True),
        (
            "def f(s, job: JobRow):\n    return select(EventRow).where(EventRow.job_id == job.id)",
            True,
        ),
    ],
)
def test_the_rule_sees(source: str, narrowed: bool) -> None:
    (function,) = ast.parse(source).body
    assert isinstance(function, Function)
    assert _queries(function)
    assert _is_narrowed(function) == narrowed


@cache
def _open() -> frozenset[str]:
    return frozenset(name for name, function in _querying() if not _is_narrowed(function))


def _querying() -> Iterator[tuple[str, Function]]:
    for path in sources("app", "worker"):
        for name, function in [*functions(path), *_constants(path)]:
            if _queries(function):
                yield f"{module_of(path)}.{name}", function


def _constants(path: Path) -> Iterator[tuple[str, Function]]:
    """Statements that a module keeps as constants, as functions of nothing."""
    for node in parsed(path).body:
        if isinstance(node, ast.Assign):
            (function,) = ast.parse("def constant(): ...").body
            assert isinstance(function, Function)
            function.body = [node]
            yield ast.unparse(node.targets[0]), function


def _queries(function: Function) -> bool:
    return any(_is_query(node) for node in ast.walk(function) if isinstance(node, ast.Call))


def _is_query(call: ast.Call) -> bool:
    name = getattr(call.func, "id", getattr(call.func, "attr", ""))
    inside = [node for argument in call.args for node in ast.walk(argument)]
    if name == "text":
        said = " ".join(str(node.value) for node in inside if isinstance(node, ast.Constant))
        return any(f" {table} " in f" {said} " for table in TABLES.values())
    return name in QUERIES and any(getattr(node, "id", "") in TABLES for node in inside)


def _is_narrowed(function: Function) -> bool:
    """It compares or hands on an organisation, or reads what it was handed."""
    arguments = [*function.args.args, *function.args.kwonlyargs]
    handed = {
        getattr(node, "id", "")
        for argument in arguments
        if argument.annotation is not None
        for node in ast.walk(argument.annotation)
    }
    body = ast.unparse(ast.Module(body=function.body, type_ignores=[]))
    return "organisation_id" in body or bool(handed & OWNERS)


def _listed(names: dict[str, str]) -> set[str]:
    return {f"{module}.{name}" for module, said in names.items() for name in said.split()}
