"""Live accuracy: an input that came again says nothing of its own."""

from __future__ import annotations

from app.feedback.views import accuracy_of
from app.infra.orm import FeedbackRow


def rows(contents: list[str], wrong: int = 0) -> list[FeedbackRow]:
    """Audited feedback on these contents, the first `wrong` of which were answered wrongly."""
    return [
        FeedbackRow(
            id=f"fb_{place}",
            sha256=content,
            answer={"label": "a", "scores": {"a": 0.9}},
            label="b" if place < wrong else "a",
            labels=None,
            correct=None,
            unknown=False,
            audited=True,
        )
        for place, content in enumerate(contents)
    ]


def width(contents: list[str], wrong: int = 0) -> float:
    told = accuracy_of(rows(contents, wrong), model="m", alias="a", volunteered=0).accuracy
    assert told.high is not None
    assert told.low is not None
    return told.high - told.low


def test_the_same_content_again_does_not_narrow_the_interval() -> None:
    once = [f"{n:064x}" for n in range(10)]
    often = [name for name in once for _ in range(20)]
    assert width(often) == width(once)
    assert width([f"{n:064x}" for n in range(200)]) < width(once) / 2


def test_what_has_no_hash_is_an_input_of_its_own() -> None:
    assert width([""] * 50) == width([f"{n:064x}" for n in range(50)])


def test_all_audited_inputs_are_counted() -> None:
    told = accuracy_of(rows(["a" * 64] * 5, 2), model="m", alias="a", volunteered=1)
    assert (told.audited, told.correct, told.accuracy.value) == (5, 3, 0.6)


def test_abstentions_have_a_figure_of_their_own_and_are_not_right() -> None:
    given = rows(["a" * 64, "b" * 64, "c" * 64])
    for row, label in zip(given, ["a", "new", "a"], strict=True):
        row.answer, row.label = {**row.answer, "unknown": True}, label
    given[2].answer = {**given[2].answer, "unknown": False}
    told = accuracy_of(given, model="m", alias="a", volunteered=0)
    assert (told.audited, told.correct, told.abstained) == (3, 2, 1)
    assert "1 of its classes were answered unknown" in told.basis


def test_of_several_labels_each_is_counted_by_itself() -> None:
    said = [(["a"], ["a", "b"]), (["a", "b"], ["a", "b"]), (["b"], []), ([], ["c"])]
    given = rows([f"{n:064x}" for n in range(4)])
    for row, (answered, right) in zip(given, said, strict=True):
        row.answer, row.label, row.labels = {"labels": answered, "scores": {}}, None, right
    told = accuracy_of(given, model="m", alias="a", volunteered=0)
    assert (told.audited, told.correct) == (4, 1)
    found = [(one.label, one.count, one.recall.value) for one in told.per_class]
    assert found == [("a", 2, 1.0), ("b", 2, 0.5), ("c", 1, 0.0)]
    single = accuracy_of(rows(["a" * 64] * 3, 1), model="m", alias="a", volunteered=0)
    assert [(one.label, one.recall.value) for one in single.per_class] == [("a", 1.0), ("b", 0.0)]
