"""Columns beside the label that contradict it, or say that a row is not to count."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from app.uploads.intake import Built, IntakeOptions
from tests.unit.app.uploads.intake.conftest import Take

Rows = Sequence[Mapping[str, Any]]
WORDS = ["neg", "pos", "neu"]


def rows(count: int = 12, **columns: Any) -> Rows:
    """Texts and their labels, and what each further column says of the row of a number."""
    told = {"label": lambda at: WORDS[at % 3], **columns}
    return [{"text": f"the text {at}", **{name: say(at) for name, say in told.items()}}
            for at in range(count)]  # fmt: skip


def csv(some: Rows) -> bytes:
    lines = [",".join(some[0]), *(",".join(map(str, one.values())) for one in some)]
    return "\n".join(lines).encode()


def jsonl(some: Rows) -> bytes:
    return "\n".join(map(json.dumps, some)).encode()


def parquet(some: Rows) -> bytes:
    pyarrow, written = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    out = io.BytesIO()
    written.write_table(pyarrow.Table.from_pylist(list(some)), out)
    return out.getvalue()


FORMS = {"x.csv": csv, "x.jsonl": jsonl, "x.parquet": parquet}


def told(built: Built, code: str = "column_unread") -> list[str]:
    return [one.message for one in built.problems if one.code == code]


def labels(built: Built) -> list[str]:
    return [one.label for one in built.examples]


@pytest.mark.parametrize("name", FORMS)
class TestInEveryTable:
    def test_other_answers_are_told_with_how_many_differ(self, take: Take, name: str) -> None:
        for other in ("final_label", "label_2", "annotator_2", "corrected_label"):
            some = rows(**{other: lambda at: WORDS[(at + (at > 6)) % 3]})
            built = take(FORMS[name](some), name)
            assert labels(built) == [one["label"] for one in some]
            found = told(built)
            assert [f"`{other}`" in one and "5 row(s)" in one for one in found] == [True]

    def test_what_says_the_same_is_not(self, take: Take, name: str) -> None:
        assert told(take(FORMS[name](rows(final_label=lambda at: WORDS[at % 3])), name)) == []

    @pytest.mark.parametrize(
        ("column", "yes", "no"),
        [
            *[("deleted", 1, 0), ("exclude", "yes", "no"), ("is_rejected", "true", "false")],
            *[("status", "rejected", "approved"), ("review_status", "In progress", "done")],
            *[("weight", 0, 2), ("sample_weight", 0.0, 1.0)],
        ],
    )
    def test_rows_that_may_not_count_are_told(
        self, take: Take, name: str, column: str, yes: Any, no: Any
    ) -> None:
        late = take(FORMS[name](rows(130, **{column: lambda at: yes if at == 120 else no})), name)
        assert len(late.examples) == 130
        assert [f"`{column}`" in one and "(1)" in one for one in told(late)] == [True]
        assert told(take(FORMS[name](rows(**{column: lambda _: no})), name)) == []

    def test_the_names_of_numbers_are_the_labels(self, take: Take, name: str) -> None:
        some = rows(label=lambda at: at % 3, label_text=lambda at: WORDS[at % 3])
        built = take(FORMS[name](some), name)
        assert labels(built) == [one["label_text"] for one in some]
        assert any("`label_text`" in one for one in told(built, "column_assumed"))
        asked = take(FORMS[name](some), name, options=IntakeOptions(columns={"label": "label"}))
        assert set(labels(asked)) == {"0", "1", "2"}


class TestOtherAnswers:
    def test_that_one_row_differs_far_below_is_told(self, take: Take) -> None:
        some = rows(300, second_opinion=lambda at: WORDS[(at + (at == 290)) % 3])
        assert ["1 row(s)" in one for one in told(take(csv(some), "x.csv"))] == [True]

    def test_blank_cells_say_nothing(self, take: Take) -> None:
        some = rows(corrected_label=lambda at: {3: "neu", 5: "neg"}.get(at, ""))
        assert ["2 row(s)" in one for one in told(take(csv(some), "x.csv"))] == [True]

    def test_the_caller_s_word_ends_no_doubt(self, take: Take) -> None:
        some = rows(final_label=lambda at: WORDS[(at + 1) % 3])
        asked = IntakeOptions(columns={"label": "final_label"})
        built = take(csv(some), "x.csv", options=asked)
        assert labels(built) == [one["final_label"] for one in some]
        assert ["`label`" in one for one in told(built)] == [True]

    @pytest.mark.parametrize(
        "columns",
        [
            {"label": lambda at: at % 2, "helpful": lambda at: (at // 2) % 2},
            {"label": lambda at: 1 + at % 5, "votes": lambda at: 1 + (at // 2) % 5},
            {"label": lambda at: at % 3, "label_count": lambda at: (at // 2) % 3},
            {"language": lambda at: ["en", "fr", "de"][at % 3]},
            {"topic": lambda at: ["neg", "sport", "news", "film"][at % 4]},
        ],
    )
    def test_other_facts_are_not_told(self, take: Take, columns: dict[str, Any]) -> None:
        assert told(take(csv(rows(**columns)), "x.csv")) == []

    def test_numbers_are_told_of_what_is_called_a_label(self, take: Take) -> None:
        some = rows(label=lambda at: at % 2, gold_label=lambda at: (at // 2) % 2)
        assert ["`gold_label`" in one for one in told(take(csv(some), "x.csv"))] == [True]


class TestNamesOfNumbers:
    def test_a_name_of_two_numbers_is_none(self, take: Take) -> None:
        some = rows(label=lambda at: at % 3, label_text=lambda at: WORDS[at % 2])
        assert set(labels(take(csv(some), "x.csv"))) == {"0", "1", "2"}

    def test_numbers_that_contradict_their_names_below_are_told(self, take: Take) -> None:
        some = rows(
            300, label=lambda at: (at + (at == 290)) % 3, label_text=lambda at: WORDS[at % 3]
        )
        assert ["1 row(s)" in one for one in told(take(csv(some), "x.csv"), "labels_doubtful")] == [
            True
        ]


def test_a_conversation_of_weight_0_is_left_out(take: Take) -> None:
    some = [
        {
            "messages": [
                {"role": "user", "content": f"the text {at}"},
                {"role": "assistant", "content": WORDS[at % 3]},
            ],
            "weight": 0 if at == 4 else 1.0,
        }
        for at in range(12)
    ]
    built = take(jsonl(some), "x.jsonl")
    assert len(built.examples) == 11
    assert len(told(built, "unlabelled")) == 1


def test_what_is_deleted_is_no_class(take: Take) -> None:
    some = rows(
        8, toxic=lambda at: at % 2, rude=lambda at: at // 2 % 2, deleted=lambda at: int(at == 3)
    )
    some = [{name: said for name, said in one.items() if name != "label"} for one in some]
    built = take(csv(some), "x.csv", options=IntakeOptions(label_mode="multi_label"))
    assert {name for one in built.examples for name in one.names} == {"toxic", "rude"}
    assert ["`deleted`" in one for one in told(built)] == [True]
