"""Which examples a job learns from, and which belong together."""

from __future__ import annotations

import pytest

from app.core.errors import HeadstartError
from app.core.manifest import Example
from app.infra.orm import DatasetRow, DatasetVersionRow, JobRow
from worker.trainer.inputs import job_data
from worker.trainer.inputs.job_data import JobRows


def example(
    name: str, label: str, *, sha256: str | None = None, group: str | None = None
) -> Example:
    return Example(
        id=f"ex_{name}", sha256=sha256 or name, label=label, group=group, path=name,
        pack="p", offset=0, length=1,
    )  # fmt: skip


def rows(held_out: str | None = None, modality: str = "text") -> JobRows:
    """Of a job on the dataset ds_1; what is held out is of another one, or of its own splits."""
    validation = None if held_out is None else DatasetVersionRow(dataset_id=held_out)
    version = DatasetVersionRow(dataset_id="ds_1")
    return JobRows(
        job=JobRow(),
        dataset=DatasetRow(id="ds_1", modality=modality),
        version=version,
        validation=validation,
    )


ROWS = rows()


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


def test_a_validation_file_of_other_labels_is_refused() -> None:
    train = [example("1", "neg"), example("2", "pos")]
    with pytest.raises(HeadstartError, match=r"its labels \(Neg, Pos\) is a class .*\(neg, pos\)"):
        job_data.assemble(rows("ds_2"), train, [example("3", "Neg"), example("4", "Pos")])
    some = job_data.assemble(rows("ds_2"), train, [example("3", "Neg"), example("4", "pos")])
    assert [e.id for e in some.validation] == ["ex_4"]
    copies = job_data.assemble(rows("ds_2"), train, [example("5", "x", sha256="1")])
    assert copies.validation == []


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


def test_held_out_copies_of_training_examples_do_not_judge() -> None:
    train = [example("1", "a"), example("2", "b")]
    held_out = [example("3", "a", sha256="1"), example("4", "b", sha256="1"), example("5", "b")]
    data = job_data.assemble(rows("ds_2"), train, held_out)
    assert [e.id for e in data.validation] == ["ex_5"]
    assert len(data.warnings) == 1
    assert data.warnings[0].startswith("2 held-out examples have the same content")


def test_a_set_held_out_against_itself_leaves_folds() -> None:
    train = [example("1", "a"), example("2", "b")]
    data = job_data.assemble(rows("ds_1"), train, train)
    assert data.validation == []
    assert data.warnings[0].startswith("2 held-out examples")
    assert "folds" in data.warnings[1]


def test_a_group_that_is_trained_on_does_not_judge() -> None:
    train = [example("1", "a", group="g"), example("2", "b")]
    held_out = [example("3", "a", group="g"), example("4", "b", group="h"), example("5", "b")]
    for own in (rows(), rows("ds_1")):
        data = job_data.assemble(own, train, held_out)
        assert [e.id for e in data.validation] == ["ex_4", "ex_5"]
        assert [warning.split(" and ")[0] for warning in data.warnings] == [
            "1 held-out examples are in a group that is trained on"
        ]


def test_another_datasets_group_of_the_same_name_is_another_group() -> None:
    train = [example("1", "a", group="g"), example("2", "b")]
    data = job_data.assemble(rows("ds_2"), train, [example("3", "a", group="g")])
    assert [e.id for e in data.validation] == ["ex_3"]
    assert len(data.warnings) == 1, "it is told"


def test_groups_of_another_dataset_that_are_called_alike_are_told() -> None:
    train = [example("1", "a", group="p1"), example("2", "b", group="p2")]
    held_out = [example("3", "a", group="p1"), example("4", "b", group="p9")]
    told = job_data.assemble(rows("ds_2"), train, held_out)
    assert job_data.shared_groups(told.train, told.validation) == 1
    assert told.warnings[0].startswith("1 of 2 held-out examples are in groups of names")
    own = job_data.assemble(rows("ds_1"), train, held_out)
    assert [one.id for one in own.validation] == ["ex_4"]
    assert not any("of names" in one for one in own.warnings)


def test_what_was_left_out_is_still_said_when_more_is() -> None:
    train = [example("1", "a"), example("2", "b")]
    held_out = [example("3", "a", sha256="1"), example("4", "a", sha256="bad"), example("5", "b")]
    data = job_data.assemble(rows("ds_2"), train, held_out)
    left = data.without({"bad"})
    assert [e.id for e in left.validation] == ["ex_5"]
    assert left.warnings == data.warnings


@pytest.mark.parametrize(("modality", "left"), [("text", ["ex_v2", "ex_v3"]), ("image", ["ex_v3"])])
def test_a_held_out_copy_is_left_out_and_said(modality: str, left: list[str]) -> None:
    train = [example("1", "a"), example("2", "b")]
    held_out = [example("v1", "a"), example("v2", "b"), example("v3", "b")]
    data = job_data.assemble(rows("ds_2", modality), train, held_out)
    data = data.without_copies([[train[0], held_out[0], held_out[1]]])
    assert [one.id for one in data.validation] == left
    many = len(held_out) - len(left)
    said = f"{many} held-out examples are near copies of a training example and are not used"
    assert data.warnings == [said]


def test_copies_have_a_number_that_no_other_example_has() -> None:
    train = [example(str(at), "a") for at in range(4)]
    data = job_data.assemble(ROWS, train, []).without_copies([[train[1], train[3]]])
    assert data.warnings == []
    told = job_data.labels(data.train, data.classes, data.copies)["copies"]
    assert told[1] == told[3]
    assert len(set(told)) == 3
    assert "copies" not in job_data.labels(train, ["a"])


def test_augmented_copies_train_and_are_not_judged() -> None:
    names = ["1", "1_flip", "1_crop", "2", "2_flip"]
    train = [example(name, "a", group=name[0]) for name in names]
    held_out = [example(name, "a", group=name[0]) for name in ("7", "7_flip", "8_flip", "8_rot90")]
    data = job_data.assemble(ROWS, train, held_out)
    assert data.train == train
    assert data.augmented == {"ex_1_flip", "ex_1_crop", "ex_2_flip"}
    assert [one.id for one in data.validation] == ["ex_7", "ex_8_flip"]
    assert data.warnings == [
        "3 of 5 examples are augmented copies; they train, and are not judged",
        "2 held-out examples are augmented copies of others and are not used",
    ]
    told = job_data.labels(data.train, data.classes, augmented=data.augmented)
    assert told["augmented"] == [False, True, True, False, True]
    held = job_data.labels(data.validation, data.classes, augmented=data.augmented)
    assert "augmented" not in held


def test_another_copy_stands_for_an_original_that_turned_out_unusable() -> None:
    train = [example(name, "a", group="1") for name in ("1", "1_crop", "1_flip")]
    assert job_data.assemble(ROWS, train, []).without({"1"}).augmented == {"ex_1_flip"}
