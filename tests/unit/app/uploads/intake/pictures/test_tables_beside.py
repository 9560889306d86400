"""Tables beside pictures that name them: read where folders say nothing, never in silence."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import pytest

from app.core.errors import HeadstartError
from app.uploads.intake import IntakeOptions
from app.uploads.intake.built import Built
from tests.archives import png, zipped
from tests.unit.app.uploads.intake.conftest import Take

Refused = Callable[..., HeadstartError]
LABELS = ["hat", "hat", "shirt", "shirt"]


def pictures(*folders: str) -> dict[str, bytes]:
    """Four pictures, by turns in the folders."""
    return {f"{folders[at % len(folders)]}/img{at}.png": png(at) for at in range(4)}


def table(header: str, names: str = "img{}.png", separator: str = ",") -> bytes:
    lines = [f"{names.format(at)}{separator}{label}" for at, label in enumerate(LABELS)]
    return "\n".join([header, *lines]).encode()


def labels(built: Built) -> list[str]:
    return [one.label for one in sorted(built.examples, key=lambda one: one.path[-8:])]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("labels.csv", table("id,label")),
        ("labels.csv", table("id,label", "img{}")),
        ("annotations.csv", table("filename,class")),
        ("train.csv", table("image,category", "/kaggle/input/batch_1/../img{}.png")),
        ("metadata.tsv", table("path\tlabel", separator="\t")),
        (
            "labels.jsonl",
            "\n".join(
                json.dumps({"file": f"img{at}.png", "label": label})
                for at, label in enumerate(LABELS)
            ).encode(),
        ),
    ],
)
@pytest.mark.parametrize(
    "folders",
    [
        ("images",),
        ("batch_1", "batch_2"),
        ("images", "images2"),
        ("HAM10000_images_part_1", "HAM10000_images_part_2"),
    ],
)
def test_read_where_folders_are_no_classes(
    take: Take, name: str, content: bytes, folders: tuple[str, ...]
) -> None:
    built = take(zipped({**pictures(*folders), name: content.replace(b"/batch_1/..", b"")}))
    assert labels(built) == LABELS
    assert any(f"{name} names 4 of 4 pictures" in note for note in built.notes)
    assert any(one.path == name and not one.excluded for one in built.problems)


def test_parts_are_no_classes_of_a_table_without_an_ending(refused: Refused) -> None:
    """As Dataverse has HAM10000's."""
    folders = pictures("HAM10000_images_part_1", "HAM10000_images_part_2")
    told = table("lesion_id,image_id,dx", "HAM_1,img{}")
    error = refused(zipped({**folders, "HAM10000_metadata": told}))
    assert "HAM10000_metadata" in error.message
    assert "no folder tells their classes" in error.message


@pytest.mark.parametrize("folders", [("image_class_1", "image_class_2"), ("cat_1", "dog_1")])
def test_classes_that_are_numbered_stay_classes(take: Take, folders: tuple[str, ...]) -> None:
    told = table("file,age").replace(b"hat", b"1").replace(b"shirt", b"2")
    built = take(zipped({**pictures(*folders), "ages.csv": told}))
    assert {one.label for one in built.examples} == set(folders)


def test_metadata_of_any_kind_decides(take: Take) -> None:
    built = take(zipped({**pictures("alice", "bob"), "metadata.tsv": table("path,label")}))
    assert labels(built) == LABELS


def test_a_table_against_the_folders_is_refused(refused: Refused) -> None:
    archive = zipped({**pictures("hat", "shirt"), "labels.csv": table("file,label")})
    error = refused(archive)
    assert (error.code, error.param) == ("ambiguous_layout", "labels.csv")
    assert "metadata.csv" in error.message


@pytest.mark.parametrize("told", [LABELS, ["0", "0", "1", "1"]])
def test_a_table_that_agrees_leaves_the_folders_classes(take: Take, told: list[str]) -> None:
    files = {f"{label}/img{at}.png": png(at) for at, label in enumerate(LABELS)}
    lines = [f"img{at}.png,{label}" for at, label in enumerate(told)]
    built = take(zipped({**files, "labels.csv": "\n".join(["file,label", *lines]).encode()}))
    assert labels(built) == LABELS
    assert "classes of their folders" in built.problems[0].message


def test_swapped_classes_are_no_agreement(refused: Refused) -> None:
    files = {f"{label}/img{at}.png": png(at) for at, label in enumerate(LABELS)}
    swapped = table("file,label").replace(b"hat", b"x").replace(b"shirt", b"hat")
    error = refused(zipped({**files, "labels.csv": swapped.replace(b",x", b",shirt")}))
    assert error.code == "ambiguous_layout"


def test_other_facts_of_pictures_in_class_folders_are_no_labels(take: Take) -> None:
    content = b"file,width\n" + b"".join(b"img%d.png,%d\n" % (at, at * 7) for at in range(4))
    built = take(zipped({**pictures("hat", "shirt"), "sizes.csv": content}))
    assert {one.label for one in built.examples} == {"hat", "shirt"}
    assert "sizes.csv names pictures and is not read" in built.problems[0].message


def test_a_table_whose_label_nobody_knows_asks_for_it(refused: Refused, take: Take) -> None:
    from app.uploads.intake import IntakeOptions

    archive = zipped({**pictures("train"), "labels.csv": table("id,kennel", "img{}")})
    error = refused(archive)
    assert error.code == "ambiguous_layout"
    assert "label_column" in error.message
    built = take(archive, options=IntakeOptions(columns={"label": "kennel"}))
    assert labels(built) == LABELS


@pytest.mark.parametrize("name", ["breed", "diagnosis", "dx", "species", "class_index"])
def test_usual_names_of_labels_at_competitions_are_known(take: Take, name: str) -> None:
    archive = zipped({**pictures("train"), "labels.csv": table(f"id,{name}", "img{}")})
    built = take(archive)
    assert labels(built) == LABELS
    assert any(f"`{name}` is taken for the label" in one.message for one in built.problems)


def test_a_sample_submission_is_no_source_of_labels(take: Take) -> None:
    archive = {**pictures("hat", "shirt"), "sample_submission.csv": table("id,label", "img{}")}
    assert {one.label for one in take(zipped(archive)).examples} == {"hat", "shirt"}


def test_two_tables_of_one_picture_are_refused(refused: Refused) -> None:
    both = {"a.csv": table("id,label"), "b.csv": table("id,label")}
    assert refused(zipped({**pictures("images"), **both})).code == "ambiguous_layout"


def test_folders_of_splits_stay_splits(take: Take) -> None:
    files = {f"{'test' if at % 2 else 'train'}/img{at}.png": png(at) for at in range(8)}
    lines = [f"img{at}.png,{'ab'[at // 4]}" for at in range(8)]
    built = take(zipped({**files, "labels.csv": "\n".join(["id,label", *lines]).encode()}))
    assert {(one.path, one.split) for one in built.examples} == {
        (path, path.partition("/")[0]) for path in files
    }


@pytest.mark.parametrize("ending", [".json", ".png.json"])
def test_sidecars_say_labels(take: Take, ending: str) -> None:
    files = pictures("batch0", "batch1")
    beside = {
        path.removesuffix(".png") + ending: json.dumps({"label": label}).encode()
        for path, label in zip(files, LABELS, strict=True)
    }
    built = take(zipped({**files, **beside}))
    assert labels(built) == LABELS
    assert not any(one.excluded for one in built.problems)


def test_a_bare_name_that_several_have_is_refused(refused: Refused) -> None:
    files = {"a/0.png": png(0), "b/0.png": png(1), "a/1.png": png(2)}
    error = refused(zipped({**files, "metadata.csv": b"path,label\n0.png,x\n1.png,y\n"}))
    assert "a/0.png, b/0.png: say the path from the top" in error.message


def numbered(*folders: str, count: int = 8) -> dict[str, bytes]:
    """Pictures `0000.png` and on, by turns in the folders."""
    return {f"{folders[at % len(folders)]}/{at:04}.png": png(at) for at in range(count)}


def of_numbers(header: str, row: str, numbers: Sequence[int] = range(8)) -> bytes:
    lines = [row.format(at, label="abc"[at % 3]) for at in numbers]
    return "\n".join([header, *lines]).encode()


WITHOUT_ZEROS = {
    "labels.csv": [
        ("image,label", "{},{label}"),
        ("id,label", "{},{label}"),
        ("case,label", "{}.0,{label}"),
        ("Unnamed: 0,id,Image_ID,label", "7{0},{0},{0},{label}"),
    ],
    "labels.jsonl": [("", '{{"image": {}, "label": "{label}"}}')],
}


@pytest.mark.parametrize("folders", [("batch0", "batch1"), ("images",)])
@pytest.mark.parametrize(
    ("name", "header", "row"),
    [(name, *told) for name, every in WITHOUT_ZEROS.items() for told in every],
)
def test_numbers_that_lost_their_zeros_are_the_pictures(
    take: Take, folders: tuple[str, ...], name: str, header: str, row: str
) -> None:
    built = take(zipped({**numbered(*folders), name: of_numbers(header, row).strip()}))
    assert labels(built) == ["abc"[at % 3] for at in range(8)]
    assert any("0 is " in one.message and "0000.png" in one.message for one in built.problems)


def test_numbers_some_of_which_have_no_zeros_to_lose_are_read_too(take: Take) -> None:
    files = {f"images/{at:02}.png": png(at) for at in range(20)}
    told = of_numbers("id,label", "{},{label}", range(20))
    built = take(zipped({**files, "train.csv": told}))
    assert labels(built) == ["abc"[at % 3] for at in range(20)]


@pytest.mark.parametrize(
    "told",
    [
        of_numbers("image,label", "{},{label}", range(1, 9)),
        of_numbers("image,label", "{},{label}", range(7)),
        of_numbers("image,label", "{},{label}", [0, 1, 2, 3, 4, 5, 6, 6]),
        of_numbers("image,label", "picture {},{label}"),
        of_numbers("caption,label", "number {},{label}"),
    ],
)
@pytest.mark.parametrize("folders", [("batch0", "batch1"), ("images",)])
def test_a_table_that_matches_no_picture_is_refused_by_both_names(
    refused: Refused, folders: tuple[str, ...], told: bytes
) -> None:
    error = refused(zipped({**numbered(*folders), "labels.csv": told}))
    assert (error.code, error.param) == ("ambiguous_layout", "labels.csv")
    assert "0000.png" in error.message
    assert told.splitlines()[1].decode().partition(",")[0] in error.message


def test_of_two_pictures_of_one_number_neither_is_meant(refused: Refused) -> None:
    files = {f"batch{at % 2}/{at // 2:04}.png": png(at) for at in range(8)}
    error = refused(zipped({**files, "labels.csv": of_numbers("id,label", "{},{label}")}))
    assert error.code == "ambiguous_layout"


def test_beside_folders_of_classes_it_is_told(take: Take) -> None:
    told = of_numbers("image,label", "picture {},{label}")
    built = take(zipped({**numbered("hat", "shirt"), "labels.csv": told}))
    assert {one.label for one in built.examples} == {"hat", "shirt"}
    message = next(one.message for one in built.problems if one.code == "ambiguous_layout")
    assert "'picture 0'" in message
    assert "'hat/0000.png'" in message


@pytest.mark.parametrize(
    "told", [b"id,class\n0,hat\n1,shirt\n2,sock\n3,shoe\n", b"name,width\nx,1\ny,1\n"]
)
def test_a_list_of_the_classes_is_none_of_pictures(take: Take, told: bytes) -> None:
    built = take(zipped({**pictures("hat", "shirt"), "classes.csv": told}))
    assert {one.label for one in built.examples} == {"hat", "shirt"}
    assert [one.code for one in built.problems] == ["unsupported_member"]


@pytest.mark.parametrize("names", ["img{}.png", "img{}"])
def test_metadata_is_read_by_its_cells_where_its_header_says_nothing(
    take: Take, names: str
) -> None:
    table_of_isic = table("isic_id,diagnosis", names)
    built = take(zipped({**pictures("images"), "metadata.csv": table_of_isic}))
    assert labels(built) == LABELS


def test_metadata_that_names_no_picture_says_what_it_lacks(refused: Refused) -> None:
    for folders in (("images",), ("hat", "shirt")):
        other = table("isic_id,diagnosis", "x{}.mha")
        error = refused(zipped({**pictures(*folders), "metadata.csv": other}))
        assert "metadata.csv, row 1: the header has no `path`" in error.message


MARKED = "Path,Sex,Age,No Finding,Cardiomegaly,Pneumonia"
SURE = ("1.0,0.0,0.0", "0.0,1.0,0.0", "0.0,0.0,1.0")


def _marked(root: str, folders: str, cells: Sequence[str]) -> dict[str, bytes]:
    """Pictures in train and valid, and a table of each; `cells` are those of train.csv."""
    files = {}
    for split, said in (("train", cells), ("valid", SURE)):
        paths = [f"{root}{split}/{folders.format(at)}/{split}{at}.jpg" for at in range(6)]
        files |= {path: png(at + len(split)) for at, path in enumerate(paths)}
        rows = [f"{path},M,{50 + at},{said[at % 3]}" for at, path in enumerate(paths)]
        files[f"{root}{split}.csv"] = "\n".join([MARKED, *rows]).encode()
    return files


@pytest.mark.parametrize("folders", ["patient{:05d}/study1", "all", "P{}"])
@pytest.mark.parametrize("root", ["", "CheXpert-v1.0-small/"])
@pytest.mark.parametrize(
    ("cells", "why"),
    [
        (("1.0,0.0,0.0", "0.0,1.0,-1.0", "0.0,0.0,1.0"), "row 3: `Pneumonia` is '-1.0'"),
        (("1.0,0.0,0.0", "0.0,1.0,0.0", "0.0,,1.0"), "row 4: `Cardiomegaly` is empty"),
    ],
)
def test_a_cell_that_is_no_mark_is_named_and_nothing_stands_in_for_its_table(
    refused: Refused, root: str, folders: str, cells: tuple[str, ...], why: str
) -> None:
    files = _marked(root, folders, cells)
    for marks in ((), ("No Finding", "Cardiomegaly", "Pneumonia")):
        options = IntakeOptions(label_mode="multi_label" if marks else None, marks=marks)
        error = refused(zipped(files), options=options)
        assert error.code == "invalid_value"
        assert f"train.csv, {why}, and neither 0 nor 1; write 1" in error.message


def test_beside_folders_of_classes_such_a_table_is_only_told(take: Take) -> None:
    files = _marked("", "all", ("1.0,,0.0", *SURE[1:]))
    table = files.pop("train.csv")
    pictures = {f"{'ab'[at % 2]}/train{at}.jpg": png(at) for at in range(6)}
    built = take(zipped({**pictures, "facts.csv": table.replace(b"train/all/", b"")}))
    assert {one.label for one in built.examples} == {"a", "b"}
    assert any("`Cardiomegaly` is empty" in one.message for one in built.problems)


@pytest.mark.parametrize("ending", [".png", ""])
def test_a_name_that_two_folders_have_is_said_to_be_in_both(refused: Refused, ending: str) -> None:
    files = {
        f"b{folder}/{at:03d}.png": png(9 * folder + at) for folder in (1, 2) for at in range(6)
    }
    rows = "\n".join(["path,label", *(f"{at:03d}{ending},{'ab'[at % 2]}" for at in range(6))])
    error = refused(zipped({**files, "labels.csv": rows.encode()}))
    assert error.code == "ambiguous_layout"
    assert f"000{ending}" in error.message
    assert "b1/000.png and b2/000.png" in error.message
