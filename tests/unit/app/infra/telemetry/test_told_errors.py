"""What log lines say of errors: where and what kind, and nothing that a caller has sent."""

from __future__ import annotations

import io
import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import structlog
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from app.core.errors import HeadstartError
from app.infra.database import open_engine
from app.infra.telemetry.logs import configure_logs, told

CANARY = "canary-7f3a"
KEY = "hs_1f0c9a2b3d4e_" + "x" * 43


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    out = io.StringIO()
    monkeypatch.setattr(sys, "__stderr__", out)
    configure_logs("INFO")
    yield out
    structlog.reset_defaults()
    root = logging.getLogger()
    root.handlers[:] = [one for one in root.handlers if one.name != "headstart"]
    root.setLevel(logging.WARNING)


def raised(error: Exception) -> Exception:
    """The error with the way that it took."""
    try:
        raise error
    except type(error) as caught:
        return caught


def written(out: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


@pytest.mark.parametrize(
    "error",
    [
        HeadstartError("invalid_value", f"the label {CANARY} is too long"),
        HeadstartError("internal", f"could not read '{CANARY}'"),
        KeyError(CANARY),
        ValueError(f"could not convert string to float: '{CANARY}'"),
        ValueError(f"it isn't one's \"{CANARY}\""),
        ValueError(f"the clerk's note can't be read: '{CANARY}'"),
        OSError(2, "No such file", f"/tmp/{CANARY}"),
        RuntimeError(f"GET http://user:{CANARY}@host/in?token={CANARY} failed"),
        RuntimeError(f"with {KEY.replace('x' * 13, CANARY)}"),
        RuntimeError(f"signed by whsec_{CANARY}"),
        RuntimeError(f"violates\nDETAIL:  Failing row contains (1, {CANARY})."),
        psycopg.errors.CheckViolation(f"new row\nDETAIL:  Failing row contains ({CANARY})."),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_is_told_without_what_it_quotes(error: Exception, lines: io.StringIO) -> None:
    structlog.get_logger().warning("it failed", reason=error)
    structlog.get_logger().error("it failed", exc_info=raised(error))
    logging.getLogger("a.library").error("it failed: %s", error)
    logging.getLogger("a.library").error("it failed", exc_info=raised(error))
    assert CANARY not in lines.getvalue()
    assert len(written(lines)) == 4
    assert all(line["level"] in ("warning", "error") for line in written(lines))


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (HeadstartError("not_found", "no x"), "not_found"),
        (HeadstartError("storage_full", "no room"), "storage_full: no room"),
        (
            RuntimeError("shapes [2, 3] and [4] differ"),
            "RuntimeError: shapes [2, 3] and [4] differ",
        ),
        (KeyError("x"), "KeyError: …"),
        (ValueError(), "ValueError"),
        (RuntimeError("the server's too old; don't go on"), None),
    ],
)
def test_what_is_no_callers_is_told(error: Exception, said: str | None) -> None:
    assert told(error) == (said or f"RuntimeError: {error}")


def test_a_traceback_names_every_place_and_its_causes(lines: io.StringIO) -> None:
    try:
        try:
            raise KeyError(CANARY)
        except KeyError as error:
            raise RuntimeError("it broke") from error
    except RuntimeError:
        structlog.get_logger().exception("it failed", job="ftjob-1")
    (line,) = written(lines)
    assert line["job"] == "ftjob-1"
    assert line["exception"].count("test_told_errors.py") == 2
    assert line["exception"].index("KeyError: …") < line["exception"].index(
        "RuntimeError: it broke"
    )
    assert CANARY not in line["exception"]


def test_errors_of_a_group_are_told(lines: io.StringIO) -> None:
    group = ExceptionGroup("both", [KeyError(CANARY), raised(ValueError("two"))])
    structlog.get_logger().error("they failed", exc_info=group)
    assert "ValueError: two" in written(lines)[0]["exception"]
    assert CANARY not in lines.getvalue()


def test_the_databases_errors_have_no_values(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path}/one.db")
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE one (name TEXT UNIQUE)"))
        insert = text("INSERT INTO one VALUES (:name)")
        connection.execute(insert, {"name": CANARY})
        with pytest.raises(IntegrityError) as caught:
            connection.execute(insert, {"name": CANARY})
    engine.dispose()
    assert CANARY not in str(caught.value)
    assert "INSERT INTO one" in told(caught.value)
