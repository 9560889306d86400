"""A pytest plugin: what each promise's tests said, printed, and kept after the full counts.

A test is of a promise by `@pytest.mark.promise(number)`; its figures are what it notes with
`record_property`.
"""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any

import pytest

from benchmarks.record import RESULTS, record
from tests.faults.counts import FULL

Told = dict[str, dict[str, Any]]
_TOLD: dict[int, Told] = defaultdict(dict)
_HOW = (
    "Real processes on loopback: the app, trainers around a tensor process without tensors, "
    "redis-server, Postgres, an S3 server, a TCP proxy between; `make faults`"
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let each report say which promise its test is of."""
    for item in items:
        if mark := item.get_closest_marker("promise"):
            item.user_properties.append(("promise", mark.args[0]))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Keep how a promise's test ended, how long it took, and its figures."""
    figures: dict[str, Any] = dict(report.user_properties)
    if "promise" not in figures or (report.when != "call" and report.outcome == "passed"):
        return
    told = {"outcome": report.outcome, "seconds": round(report.duration, 1)}
    number = figures.pop("promise")
    _TOLD[number][report.nodeid.removeprefix("tests/")] = told | figures


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the figures by promise."""
    if not _TOLD:
        return
    terminalreporter.section("promises")
    for number in sorted(_TOLD):
        for name, told in _TOLD[number].items():
            terminalreporter.write_line(f"{number:2} {name}: {json.dumps(told, default=str)}")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """After the full counts, what is known by now of every promise is written down."""
    if not FULL or not _TOLD or hasattr(session.config, "workerinput"):
        return
    path = RESULTS / "faults.json"
    known = json.loads(path.read_text())["results"] if path.is_file() else {}
    for number, told in _TOLD.items():
        known.setdefault(f"promise {number}", {}).update(told)
    ordered = sorted(known.items(), key=lambda one: int(one[0].split()[1]))
    record("faults", figure="The promises under fire", method=_HOW, results=dict(ordered))
