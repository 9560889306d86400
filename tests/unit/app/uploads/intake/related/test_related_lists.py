"""Lists that relate pictures to labels and splits, as public data sets have them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.errors import HeadstartError
from app.uploads.intake import Built, IntakeOptions, build
from tests.archives import png, zipped
from tests.unit.app.uploads.intake.conftest import Take
from tests.unit.app.uploads.intake.related import public_sets
from tests.unit.app.uploads.intake.related.public_sets import Files, Said, lines

Refused = Callable[..., HeadstartError]
JUDGED = IntakeOptions(label_mode=None)
SETS = {
    "CUB-200": public_sets.cub(),
    "CUB-200, all in one folder": public_sets.cub(flat=True),
    "CUB-200, a part of it": public_sets.cub(kept=6),
    "NABirds": public_sets.nabirds(),
    "CelebA": public_sets.celeba(),
    "CelebA in tables": public_sets.celeba_in_tables(),
    "Tiny ImageNet": public_sets.tiny_imagenet(),
    "Oxford's pets": public_sets.pets(),
    "Oxford's pets without the list of all": public_sets.pets(whole=False),
    "FGVC's aircraft": public_sets.aircraft(),
    "Food-101": public_sets.food(),
}


def told(built: Built) -> dict[str, tuple[str | tuple[str, ...], str | None]]:
    """What the examples have become, by the names of their files."""
    return {
        one.path.rpartition("/")[2]: (
            one.label if one.labels is None else tuple(one.labels),
            one.split,
        )
        for one in built.examples
    }


@pytest.mark.parametrize(("files", "said"), SETS.values(), ids=SETS)
def test_labels_and_splits_are_what_the_lists_say(take: Take, files: Files, said: Said) -> None:
    built = take(zipped(files), options=JUDGED)
    assert told(built) == said
    assert built.names_splits


def test_how_they_were_read_is_told(take: Take) -> None:
    files, _ = public_sets.cub(flat=True)
    said = [one.message for one in take(zipped(files), options=JUDGED).problems]
    assert any("0 is read as test, 1 is read as train" in one for one in said)
    assert any("classes.txt names the numbers" in one for one in said)


def test_lists_that_say_other_labels_of_one_picture_are_refused(refused: Refused) -> None:
    files, _ = public_sets.aircraft()
    files["data/images_family_train.txt"] = files["data/images_variant_train.txt"].replace(
        b" 707-320", b" Boeing 707"
    )
    error = refused(zipped(files), options=JUDGED)
    assert error.code == "ambiguous_layout"
    assert "say other labels of" in error.message


PARTS = "list_eval_partition.txt"


@pytest.mark.parametrize("values", ["001122001122", "000000000011", "012012012012", "345345345345"])
@pytest.mark.parametrize("form", ["txt", "csv"])
def test_partitions_in_numbers_that_are_not_sure_are_told(
    take: Take, values: str, form: str
) -> None:
    files, said = public_sets.celeba() if form == "txt" else public_sets.celeba_in_tables()
    rows = [f"{name} {part}" for name, part in zip(said, values, strict=True)]
    if form == "csv":
        rows = ["image_id,partition", *(one.replace(" ", ",") for one in rows)]
    files[PARTS.replace("txt", form)] = lines(rows)
    built = take(zipped(files), options=JUDGED)
    assert not built.names_splits
    told = [one.message for one in built.problems]
    assert any("is not clear" in one or "image_id, partition" in one for one in told)


def test_a_split_of_yes_and_no_that_is_mostly_no_is_told(take: Take) -> None:
    files, said = public_sets.cub()
    marks = [f"{at} {int(at > 10)}" for at in range(1, 13)]
    built = take(zipped({**files, "CUB/train_test_split.txt": lines(marks)}), options=JUDGED)
    assert {one: label for one, (label, _) in told(built).items()} == {
        one: label for one, (label, _) in said.items()
    }
    assert not built.names_splits
    assert any("train_test_split.txt" in one.message for one in built.problems)


@pytest.mark.parametrize(
    "told_of_each",
    [
        [f"{at} 0 1 1" for at in range(6)],
        [f"{at} 7 {at % 2} 3" for at in range(6)],
        [f"{at} 4.5 7.5" for at in range(6)],
    ],
)
def test_columns_without_names_that_may_be_anything_are_refused(
    refused: Refused, told_of_each: list[str]
) -> None:
    files = {f"images/{at}.png": png(at) for at in range(6)}
    error = refused(zipped({**files, "said.txt": lines(told_of_each)}), options=JUDGED)
    assert error.code == "ambiguous_layout"
    assert "said.txt" in error.message


@pytest.mark.parametrize("name", ["devkit/cars_annos.mat", "imagelabels.mat", "labels.npy"])
def test_labels_in_arrays_are_told(refused: Refused, name: str) -> None:
    files = {f"jpg/image_{at:05d}.jpg": png(at) for at in range(6)}
    error = refused(zipped({**files, name: b"MATLAB 5.0 MAT-file" + bytes(99)}), options=JUDGED)
    assert error.code == "ambiguous_layout"
    assert name in error.message


def test_a_list_of_what_no_folder_is_called_is_told(take: Take) -> None:
    files, _ = public_sets.tiny_imagenet()
    name = "t/val/val_annotations.txt"
    built = take(zipped({**files, name: files[name].replace(b"n01443537", b"n09")}), options=JUDGED)
    assert {one.split for one in built.examples} == {"train"}
    assert any("val_annotations.txt" in one.message for one in built.problems)
    assert any(one.excluded and "val/images" in one.message for one in built.problems)


@pytest.mark.parametrize("zeros", ["", "0000"])
def test_tables_say_what_is_in_a_flat_folder_of_tests(take: Take, zeros: str) -> None:
    files = {f"Train/{zeros}{at % 2}/{at}.png": png(at) for at in range(6)}
    files |= {f"Test/{at}.png": png(at) for at in range(6, 9)}
    rows = [f"30,{at % 2},Test/{at}.png" for at in range(6, 9)]
    built = take(zipped({**files, "Test.csv": lines(["Width,ClassId,Path", *rows])}))
    assert told(built) == {
        f"{at}.png": (f"{zeros}{at % 2}", "test" if at > 5 else "train") for at in range(9)
    }


LABELS = st.sampled_from(["cat", "dog", "great tit", "7"])


@settings(max_examples=60, deadline=None)
@given(
    st.lists(LABELS, min_size=4, max_size=20).filter(lambda some: len(set(some)) > 1),
    st.randoms(use_true_random=False),
    st.sampled_from([" ", "\t"]),
    st.booleans(),
)
def test_lists_joined_in_whatever_order(
    labels: list[str], random: object, mark: str, numbered: bool
) -> None:
    shuffled = random.shuffle  # type: ignore[attr-defined]
    keys = [f"k{at}x" if not numbered else str(at + 100) for at in range(len(labels))]
    names = [f"p{at}_.png" for at in range(len(labels))]
    shuffled(names)
    classes = sorted(set(labels))
    by_list = {
        "images.txt": [f"{key}{mark}all/{name}" for key, name in zip(keys, names, strict=True)],
        "labels_of_images.txt": [
            f"{key}{mark}{classes.index(label) + 1}"
            for key, label in zip(keys, labels, strict=True)
        ],
        "class_names.txt": [f"{at}{mark}{name}" for at, name in enumerate(classes, 1)],
    }
    files = {f"all/{name}": png(at) for at, name in enumerate(names)}
    for path, some in by_list.items():
        shuffled(some)
        files[path] = lines(some)
    with TemporaryDirectory() as folder:
        upload = Path(folder) / "upload"
        upload.write_bytes(zipped(files))
        built = build(upload, filename="x.zip", staging=Path(folder), options=JUDGED)
    assert {one: label for one, (label, _) in told(built).items()} == dict(
        zip(names, labels, strict=True)
    )


def beside(rows: list[str]) -> bytes:
    files = {f"images/{at}.png": png(at) for at in range(6)}
    labels = ["path,label", *(f"{at}.png,{'ab'[at % 2]}" for at in range(6))]
    return zipped({**files, "labels.csv": lines(labels), "more.csv": lines(rows)})


def test_a_table_without_labels_says_splits_and_groups_of_another(take: Take) -> None:
    rows = [f"{at}.png,{'train' if at < 4 else 'val'},g{at // 2}" for at in range(6)]
    built = take(beside(["path,split,group", *rows]))
    assert [(one.split, one.group) for one in sorted(built.examples, key=lambda one: one.path)] == [
        ("train" if at < 4 else "val", f"g{at // 2}") for at in range(6)
    ]
    assert any("more.csv says the split of 6" in one.message for one in built.problems)
