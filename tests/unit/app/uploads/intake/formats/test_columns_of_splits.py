"""A column whose values are splits' words and nothing else is told, whatever it is called."""

from __future__ import annotations

import pytest

from app.uploads.intake import Built, IntakeOptions
from tests.archives import png, zipped
from tests.unit.app.uploads.intake.conftest import Take

PICTURES = {f"images/{at}.png": png(at) for at in range(6)}


def archive(column: str, words: tuple[str, str]) -> bytes:
    rows = "".join(f"{at}.png,{'ab'[at % 2]},{words[at > 3]}\n" for at in range(6))
    return zipped({**PICTURES, "labels.csv": f"file_name,label,{column}\n{rows}".encode()})


def unread(built: Built) -> list[str]:
    return [one.message for one in built.problems if one.code == "column_unread"]


@pytest.mark.parametrize("column", ["Dataset_type", "stage", "mode"])
@pytest.mark.parametrize("words", [("TRAIN", "TEST"), ("train", "val"), ("training", "")])
def test_it_is_named_and_split_column_reads_it(
    take: Take, column: str, words: tuple[str, str]
) -> None:
    (told,) = unread(take(archive(column, words)))
    assert f"`{column}`" in told
    assert "split_column" in told
    if not words[1]:
        return
    built = take(archive(column, words), options=IntakeOptions(columns={"split": column}))
    assert not unread(built)
    held = "val" if words[1] == "val" else "test"
    assert sorted(one.split for one in built.examples) == sorted(["train"] * 4 + [held] * 2)


@pytest.mark.parametrize("words", [("TRAIN", "spare"), ("dog", "test"), ("", "")])
def test_one_that_says_other_things_is_not(take: Take, words: tuple[str, str]) -> None:
    assert unread(take(archive("stage", words))) == []


@pytest.mark.parametrize(
    ("column", "words"),
    [
        *((name, ("0", "1")) for name in ("holdout", "is_test", "held-out", "fold", "test", "set")),
        ("train", ("True", "False")),
        ("Train", ("yes", "no")),
        ("fold", ("1", "5")),
    ],
)
def test_a_mark_of_what_is_held_out_is_told_beside_a_label(
    take: Take, column: str, words: tuple[str, str]
) -> None:
    rows = [f"the text {at},{'ab'[at % 2]},{words[at > 3]}" for at in range(6)]
    table = "\n".join([f"text,label,{column}", *rows]).encode()
    for built in (take(table, "x.csv"), take(archive(column, words))):
        (told,) = unread(built)
        assert f"`{column}`" in told
        assert "held out" in told


@pytest.mark.parametrize("column", ["is_test", "holdout", "fold", "set"])
def test_it_is_no_class_beside_others(take: Take, column: str) -> None:
    rows = [f"the text {at},{at % 2},{int(at % 3 == 0)},{int(at > 5)}" for at in range(8)]
    built = take("\n".join([f"text,spam,toxic,{column}", *rows]).encode(), "x.csv",
                 options=IntakeOptions(label_mode=None))  # fmt: skip
    assert {name for one in built.examples for name in one.names} == {"spam", "toxic"}
    assert any(f"`{column}`" in one for one in unread(built))


def test_a_class_that_is_called_train_is_one(take: Take) -> None:
    rows = [f"the text {at},{at % 2},{int(at % 3 == 0)}" for at in range(8)]
    built = take("\n".join(["text,car,train", *rows]).encode(), "x.csv",
                 options=IntakeOptions(label_mode=None))  # fmt: skip
    assert {name for one in built.examples for name in one.names} == {"car", "train"}
    assert not unread(built)
