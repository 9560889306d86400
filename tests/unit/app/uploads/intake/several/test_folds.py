"""Tables that are folds of a cross-validation: told, and refused where each row would be both."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest

from app.core.errors import HeadstartError
from app.uploads.intake import Built, IntakeOptions
from app.uploads.intake.layout.cross_validation import fold_of
from tests.archives import png, zipped
from tests.unit.app.uploads.intake.conftest import Take

Refused = Callable[..., HeadstartError]


def texts(numbers: Iterable[int]) -> bytes:
    return "\n".join(["text,label", *(f"text {at},{'ab'[at % 2]}" for at in numbers)]).encode()


def pictures(numbers: Iterable[int]) -> bytes:
    return "\n".join(["path,label", *(f"p{at}.png,{'ab'[at % 2]}" for at in numbers)]).encode()


def told(built: Built) -> list[str]:
    return [one.message for one in built.problems if "cross-validation" in one.message]


@pytest.mark.parametrize(
    "name", ["fold{}.csv", "fold_{}/data.csv", "train_fold_{}.csv", "cv{}.csv", "KFold-{}.csv"]
)
def test_folds_are_one_dataset_which_is_told(take: Take, name: str) -> None:
    folds = {name.format(at): texts(range(6 * at, 6 * at + 6)) for at in range(1, 6)}
    built = take(zipped(folds))
    assert len(built.examples) == 30
    assert ["5 tables are 5 folds" in one and "column split" in one for one in told(built)] == [
        True
    ]


def test_folds_of_pictures_are_told_too(take: Take) -> None:
    folds = {f"fold{at}.csv": pictures(range(6 * at, 6 * at + 6)) for at in range(2)}
    built = take(zipped({**folds, **{f"p{at}.png": png(at) for at in range(12)}}))
    assert len(built.examples) == 12
    assert len(told(built)) == 1


@pytest.mark.parametrize("name", ["fold{0}/{1}.csv", "{1}_fold_{0}.csv", "cv_{0}_{1}.csv"])
@pytest.mark.parametrize("held_out", ["val", "test"])
def test_what_each_fold_holds_out_the_others_train_on(
    refused: Refused, name: str, held_out: str
) -> None:
    files = {}
    for fold in range(3):
        files[name.format(fold, "train")] = texts(at for at in range(18) if at % 3 != fold)
        files[name.format(fold, held_out)] = texts(at for at in range(18) if at % 3 == fold)
    error = refused(zipped(files))
    assert error.code == "ambiguous_layout"
    assert "Send one fold's tables, or all rows once" in error.message


def test_one_fold_is_a_split_like_any(take: Take) -> None:
    files = {"train_fold_0.csv": texts(range(12)), "val_fold_0.csv": texts(range(12, 18))}
    built = take(zipped(files))
    assert {one.split for one in built.examples} == {"train", "val"}
    assert told(built) == []


def test_inputs_of_a_prediction_are_no_folds(take: Take) -> None:
    files = {f"fold{at}/{name}.csv": texts([at]) for at in range(2) for name in ("train", "val")}
    assert len(take(zipped(files), options=IntakeOptions(labelled=False)).examples) == 4


@pytest.mark.parametrize(
    ("path", "number"),
    [
        *[("fold1.csv", 1), ("a/fold_02/x.csv", 2), ("train_fold_0.csv", 0), ("trainfold3.csv", 3)],
        *[("cv-4.csv", 4), ("k-fold 5.csv", 5), ("5_folds_cv_3.csv", 3)],
        *[("scaffold1.csv", None), ("part1.csv", None), ("folds.csv", None), ("mcv2.csv", None)],
        *[("train-00001-of-00003.csv", None), ("fold.csv", None), ("manifold2.csv", None)],
    ],
)
def test_which_names_are_of_folds(path: str, number: int | None) -> None:
    assert fold_of(path) == number
