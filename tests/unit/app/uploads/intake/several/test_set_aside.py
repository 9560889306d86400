"""Rows that somebody has set aside, by the words of the tools that people label with."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.uploads.intake.tables.roles.set_aside import StateColumn, states
from app.uploads.intake.tables.source import TableFile
from tests.archives import png, zipped
from tests.unit.app.uploads.intake.conftest import Take
from tests.unit.app.uploads.intake.several.test_beside_labels import FORMS, labels, rows, told

HEEDED = [
    ("status", "discarded", "submitted"),
    ("Status", "Skipped", "Completed"),
    ("record status", "draft", "submitted"),
    ("annotation_status", "rejected", "whatever else"),
    ("review", "rejected", "approved"),
    ("label-status", "unlabeled", "labeled"),
    ("AssignmentStatus", "Rejected", "Approved"),
    ("answer", "ignore", "accept"),
]
TOLD = [
    ("status", "rejected", "approved"),
    ("status", "deleted", "active"),
    ("status", "draft", "published"),
    ("state", "draft", "stacked"),
    ("annotation_status", "pending", "done"),
    ("review", "rejected", "a good one"),
]


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize(("column", "no", "yes"), HEEDED)
def test_what_can_mean_nothing_else_is_heeded(
    take: Take, name: str, column: str, no: str, yes: str
) -> None:
    some = rows(130, **{column: lambda at: no if at in (5, 120) else yes})
    built = take(FORMS[name](some), name)
    assert labels(built) == [one["label"] for at, one in enumerate(some) if at not in (5, 120)]
    left = [one for one in built.problems if one.code == "unlabelled"]
    assert [one.excluded for one in left] == [True]
    assert f"2 row(s) say in `{column}`" in left[0].message
    assert f"{no.lower()!r} (2)" in left[0].message
    assert told(built) == []


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize(("column", "no", "yes"), TOLD)
def test_what_may_mean_something_else_is_told(
    take: Take, name: str, column: str, no: str, yes: str
) -> None:
    some = rows(30, **{column: lambda at: no if at == 5 else yes})
    built = take(FORMS[name](some), name)
    assert len(built.examples) == 30
    assert [f"`{column}`" in one for one in told(built)] == [True]


def test_rows_of_pictures_are_set_aside_too(take: Take) -> None:
    lines = [
        f"p{at}.png,{'ab'[at % 2]},{'discarded' if at == 3 else 'submitted'}" for at in range(8)
    ]
    pictures = {f"p{at}.png": png(at) for at in range(8)}
    table = "\n".join(["path,label,status", *lines]).encode()
    built = take(zipped({**pictures, "metadata.csv": table}))
    assert "p3.png" not in {one.path for one in built.examples}
    assert len(built.examples) == 7


def test_a_conversation_is_set_aside_too(take: Take) -> None:
    some = [
        {
            "messages": [
                {"role": "user", "content": f"the text {at}"},
                {"role": "assistant", "content": "ab"[at % 2]},
            ],
            "status": "discarded" if at == 3 else "submitted",
        }
        for at in range(8)
    ]
    built = take("\n".join(map(json.dumps, some)).encode(), "x.jsonl")
    assert len(built.examples) == 7


@pytest.mark.parametrize("name", FORMS)
def test_argilla_s_answers_are_read_from_every_table(take: Take, name: str) -> None:
    def record(at: int) -> dict[str, Any]:
        return {
            "text": f"the text {at}",
            "status": "discarded" if at == 4 else "completed",
            "kind.responses": ["ab"[at % 2]],
            "kind.responses.status": ["draft" if at == 5 else "submitted"],
            "kind.suggestion": "a",
        }

    some: list[dict[str, Any]] = [record(at) for at in range(10)]
    if name == "x.csv":
        some = [{key: f'"{said}"' for key, said in one.items()} for one in some]
    built = take(FORMS[name](some), name)
    assert labels(built) == ["ab"[at % 2] for at in range(10) if at not in (4, 5)]
    assert sum(one.code == "unlabelled" for one in built.problems) == 2


WORDS = st.sampled_from(["discarded", "submitted", "rejected", "draft", "done", "shipped", ""])


@settings(deadline=None)
@given(st.lists(WORDS, max_size=12), st.sampled_from(["status", "review", "annotation_status"]))
def test_a_word_that_no_tool_has_ends_it_unless_the_name_tells(said: list[str], name: str) -> None:
    table = TableFile(path=__file__, kind="csv", name="x.csv")  # type: ignore[arg-type]
    some = [{name: word} for word in said]
    found: list[StateColumn] = states(table, {name: name}, some)
    aside = [one.sets_aside(row) for one in found for row in some]
    if name != "annotation_status" and "shipped" in said:
        assert found == []
    if name == "annotation_status":
        assert [word for word in aside if word] == [
            word for word in said if word in ("discarded", "rejected", "draft")
        ]
    assert not {"submitted", "done", "shipped", ""} & set(aside)
