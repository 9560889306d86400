"""Splits' words in longer names, and tables that say the classes of what is held out alone."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from app.core.errors import HeadstartError
from app.uploads.intake import Built, IntakeOptions
from tests.archives import png, zipped
from tests.unit.app.uploads.intake.conftest import Take

Refused = Callable[..., HeadstartError]
JUDGED = IntakeOptions(label_mode=None)
TOPS = [
    ("Final_Training", "Final_Test"),
    ("a. Training Set", "b. Testing Set"),
    ("train", "test"),
    ("Trainingsdaten", "Testdaten"),
]


def told(built: Built) -> dict[str, tuple[str, str | None]]:
    return {one.path.rpartition("/")[2]: (one.label, one.split) for one in built.examples}


def tree(tops: tuple[str, str], inner: str) -> dict[str, bytes]:
    """Class folders to train on, and a folder of tests without any."""
    files = {
        f"{tops[0]}/{inner}{name}/{name}{at}.png": png(at + 20 * (name == "dog"))
        for name in ("cat", "dog")
        for at in range(4)
    }
    return files | {f"{tops[1]}/{inner}{at:05d}.png": png(60 + at) for at in range(4)}


ROWS = "\n".join(["filename,label", *(f"{at:05d}.png,{'cat' if at % 2 else 'dog'}"
                                      for at in range(4))]).encode()  # fmt: skip


@pytest.mark.parametrize("tops", TOPS)
@pytest.mark.parametrize("inner", ["", "Images/"])
@pytest.mark.parametrize("table", ["gt_test.csv", "truth.csv"])
def test_a_table_says_the_classes_of_the_tests(
    take: Take, tops: tuple[str, str], inner: str, table: str
) -> None:
    built = take(zipped({**tree(tops, inner), table: ROWS}), options=JUDGED)
    expected = {
        f"{name}{at}.png": (name, "train") for name in ("cat", "dog") for at in range(4)
    } | {f"{at:05d}.png": ("cat" if at % 2 else "dog", "test") for at in range(4)}
    assert told(built) == expected


@pytest.mark.parametrize("tops", TOPS)
def test_splits_without_classes_are_none_themselves(
    refused: Refused, tops: tuple[str, str]
) -> None:
    files = {f"{top}/{at}.png": png(at + 9 * (top == tops[0])) for top in tops for at in range(4)}
    error = refused(zipped(files))
    assert error.code == "ambiguous_layout"
    assert tops[0] in error.message
    assert tops[1] in error.message


def test_crash_tests_and_train_stations_are_classes(take: Take) -> None:
    tops = ("crash_test", "train_station")
    files = {f"{top}/{at}.png": png(at + 9 * (top == tops[0])) for top in tops for at in range(4)}
    assert {one.label for one in take(zipped(files)).examples} == set(tops)


def test_a_table_of_what_is_held_out_alone_trains_nothing(refused: Refused) -> None:
    files = {f"all/{at:05d}.png": png(at) for at in range(12)}
    error = refused(zipped({**files, "gt_test.csv": ROWS}), options=JUDGED)
    assert error.code == "ambiguous_layout"
    assert "gt_test.csv is called as what is held out" in error.message
    assert "4 of 12" in error.message


@pytest.mark.parametrize("count", [4, 7])
def test_a_table_called_so_that_has_most_pictures_is_read(take: Take, count: int) -> None:
    files = {f"all/{at:05d}.png": png(at) for at in range(count)}
    assert len(take(zipped({**files, "gt_test.csv": ROWS}), options=JUDGED).examples) == 4


@pytest.mark.parametrize("name", ["labels.csv", "metadata.csv", "GT.csv"])
@pytest.mark.parametrize("other", [False, True])
def test_a_table_names_the_pictures_of_its_own_folder(take: Take, name: str, other: bool) -> None:
    """`other`: the labels are not the folders, but one of two in each."""
    files, expected = {}, {}
    for seed, top in enumerate(("cat", "dog")):
        labels = [("ok", "bad")[(at + seed) % 2] if other else top for at in range(4)]
        files |= {f"{top}/{at}.png": png(at + 20 * seed) for at in range(4)}
        rows = [f"{at}.png,{label}" for at, label in enumerate(labels)]
        files[f"{top}/{name}"] = "\n".join(["filename,label", *rows]).encode()
        expected |= {f"{top}/{at}.png": label for at, label in enumerate(labels)}
    if other:
        files = {key.replace("cat/", "site1/").replace("dog/", "site2/"): x for key, x in
                 files.items()}  # fmt: skip
        expected = {key.replace("cat/", "site1/").replace("dog/", "site2/"): x for key, x in
                    expected.items()}  # fmt: skip
    built = take(zipped(files), options=JUDGED)
    assert {one.path: one.label for one in built.examples} == expected
