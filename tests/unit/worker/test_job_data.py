"""Which examples a job learns from, and which belong together."""

from __future__ import annotations

from typing import cast

from app.core.manifest import Example
from worker import job_data
from worker.job_data import Rows


def example(
    name: str, label: str, *, sha256: str | None = None, group: str | None = None
) -> Example:
    return Example(
        id=f"ex_{name}", sha256=sha256 or name, label=label, group=group, path=name,
        pack="p", offset=0, length=1,
    )  # fmt: skip


ROWS = cast(Rows, None)


def test_classes_are_the_sorted_labels_of_the_training_examples() -> None:
    data = job_data.assemble(ROWS, [example("1", "b"), example("2", "a")], [])
    assert data.classes == ["a", "b"]
    assert job_data.labels(data.train, data.classes)["labels"] == [1, 0]


def test_held_out_examples_of_unknown_classes_are_left_out_with_a_warning() -> None:
    train = [example("1", "a"), example("2", "b")]
    data = job_data.assemble(ROWS, train, [example("3", "a"), example("4", "z")])
    assert [e.id for e in data.validation] == ["ex_3"]
    assert len(data.warnings) == 1
    assert "z" in data.warnings[0]


def test_equal_contents_and_named_groups_belong_together() -> None:
    described = job_data.labels(
        [
            example("1", "a", group="g"),
            example("2", "a", group="g"),
            example("3", "a"),
            example("4", "a", sha256="3"),
            example("5", "a"),
            example("6", "a", group="5"),
        ],
        ["a"],
    )
    assert described["groups"] == [0, 0, 1, 1, 2, 3]


def test_contents_that_cannot_be_embedded_leave_every_part() -> None:
    train = [example("1", "a"), example("2", "b"), example("3", "c", sha256="bad")]
    data = job_data.assemble(ROWS, train, [example("4", "a", sha256="bad")])
    left = data.without({"bad"})
    assert [e.id for e in left.examples] == ["ex_1", "ex_2"]
    assert left.classes == ["a", "b"]
