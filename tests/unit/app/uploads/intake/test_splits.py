"""Which split a name speaks of."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.uploads.intake.splits import SPLITS, of_folders, of_tables, read_name

WORDS = [(word, split) for word, split in SPLITS.items()]


@pytest.mark.parametrize(("word", "split"), WORDS)
@pytest.mark.parametrize(
    "form", ["{}", "x_{}", "{}set", "{}_data", "{}-00000-of-00001", "{}2017", "my {} set", "a.{}"]
)
def test_a_word_between_separators(word: str, split: str, form: str) -> None:
    for spelled in (word, word.upper(), word.title()):
        said = read_name(form.format(spelled))
        assert said is not None
        assert said.split == split
        assert said.exact == (form == "{}")


@pytest.mark.parametrize(
    "name",
    [
        "cat",
        "contest",
        "trainer",
        "evaluate",
        "testfile",
        "train_test",
        "протест",
        "testé",
        "testy",
        "validate",
        "",
    ],
)
def test_no_word_or_two(name: str) -> None:
    assert read_name(name) is None


def test_humps_part_words_too() -> None:
    assert of_folders(["TrainImages", "TestImages"]) == {
        "TrainImages": "train",
        "TestImages": "test",
    }


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        (["train"], {"train": "train"}),
        (["seg_train", "seg_test", "seg_pred"], {"seg_train": "train", "seg_test": "test"}),
        (["x_train", "x_val"], {"x_train": "train", "x_val": "val"}),
        (["train", "test1"], {"train": "train", "test1": "test"}),
        (["train", "test_images"], {"train": "train", "test_images": "test"}),
        (["train", "test", "test_old"], {"train": "train", "test": "test"}),
        (["trainset", "TESTSET"], {"trainset": "train", "TESTSET": "test"}),
        (["\uff34EST", "train"], {"\uff34EST": "test", "train": "train"}),
        (["a. Training Set", "b. Testing Set"],
         {"a. Training Set": "train", "b. Testing Set": "test"}),
        (["Part A - train", "Part B - test"], {"Part A - train": "train", "Part B - test": "test"}),
        (["Trainingsdaten", "Testbilder"], {"Trainingsdaten": "train", "Testbilder": "test"}),
        (["Training_Images_v2", "Testing_Images_v2_final"],
         {"Training_Images_v2": "train", "Testing_Images_v2_final": "test"}),
        (["训练集", "测试集"], {"训练集": "train", "测试集": "test"}),
        (["images_tr", "images_ts"], {"images_tr": "train", "images_ts": "test"}),
        (["lang_tr", "lang_ts"], {}),
        (["images_tr", "images_de"], {}),
        (["tr", "ts"], {}),
        (["prueba"], {}),
        (["crash_test", "train_station"], {}),
        (["flight_test_a", "train_ride_b"], {}),
        (["my_test_data"], {}),
    ],
)  # fmt: skip
def test_folders_side_by_side(names: list[str], splits: dict[str, str]) -> None:
    assert of_folders(names) == splits


@pytest.mark.parametrize(
    ("paths", "splits"),
    [
        (["test.csv"], ["test"]),
        (["my_test.csv"], [None]),
        (["Corona_NLP_train.csv", "Corona_NLP_test.csv"], ["train", "test"]),
        (["shapes.csv", "shapes_test.csv"], [None, "test"]),
        (["a_test.csv", "b_test.csv"], [None, None]),
        (["train.csv", "dev.csv", "test.csv", "more.csv"], ["train", "val", "test", None]),
        (
            ["data/train-00000-of-00001.parquet", "data/validation-00000-of-00001.parquet"],
            ["train", "val"],
        ),
        (["Train/one.csv", "Test/one.csv"], ["train", "test"]),
    ],
)
def test_tables(paths: list[str], splits: list[str | None]) -> None:
    assert of_tables(paths) == splits


@given(st.text(max_size=30))
def test_every_name_can_be_asked(name: str) -> None:
    said = read_name(name)
    assert said is None or said.split in {"train", "val", "test"}
    assert set(of_folders([name])) <= {name}
