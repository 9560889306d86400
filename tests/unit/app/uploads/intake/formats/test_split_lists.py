"""Lists of pictures that say which are held out, and of numbers that another file names."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from app.core.errors import HeadstartError
from app.uploads.intake import IntakeOptions
from tests.archives import png, zipped
from tests.unit.app.uploads.intake.conftest import Take
from tests.unit.app.uploads.intake.formats import exports
from tests.unit.app.uploads.intake.formats.exports import BOXED, CLASSES, LABELS

Refused = Callable[..., HeadstartError]
JUDGED = IntakeOptions(label_mode=None)
TRAIN, VAL = list(LABELS)[:4], list(LABELS)[4:]
LISTS = {
    "voc": (
        {**BOXED["voc"]},
        {
            f"ImageSets/Main/{name}.txt": "\n".join(one[:3] for one in some).encode()
            for name, some in (("train", TRAIN), ("val", VAL), ("trainval", TRAIN + VAL))
        },
    ),
    "darknet": (
        {path: data for path, data in BOXED["yolo, darknet"].items() if path != "train.txt"},
        {
            f"{name}.txt": "\n".join(f"data/obj_train_data/{one}" for one in some).encode()
            for name, some in (("train", TRAIN), ("valid", VAL))
        },
    ),
}


@pytest.mark.parametrize(("files", "lists"), LISTS.values(), ids=LISTS)
def test_lists_of_paths_say_the_splits(
    take: Take, files: dict[str, bytes], lists: dict[str, bytes]
) -> None:
    built = take(zipped({**files, **lists}), options=JUDGED)
    splits = {one.path.rpartition("/")[2]: one.split for one in built.examples}
    assert splits == dict.fromkeys(TRAIN, "train") | dict.fromkeys(VAL, "val")
    assert {one.path.rpartition("/")[2]: one.label for one in built.examples} == LABELS
    assert any("which pictures are in which split" in one.message for one in built.problems)


def test_a_list_of_training_alone_leaves_splits_to_be_drawn(take: Take) -> None:
    built = take(zipped(BOXED["yolo, darknet"]), options=JUDGED)
    assert not built.names_splits


def test_pictures_of_two_splits_are_told(take: Take) -> None:
    files, lists = LISTS["darknet"]
    both = dict.fromkeys(("train.txt",), lists["train.txt"] + b"\ndata/obj_train_data/im4.png")
    built = take(zipped({**files, **lists, **both}), options=JUDGED)
    assert any("1 are named by lists of several splits" in one.message for one in built.problems)


def numbered(start: int = 0) -> dict[str, bytes]:
    """Lists of paths and numbers, one a split."""
    said = {name: start + CLASSES.index(label) for name, label in LABELS.items()}
    some = {
        f"{split}.txt": "".join(f"images/{one} {said[one]}\n" for one in names).encode()
        for split, names in (("train", TRAIN), ("val", VAL))
    }
    return {**exports.pictures("images/"), **some}


def test_numbers_have_the_names_of_a_file_beside(take: Take) -> None:
    built = take(zipped({**numbered(), "classes.txt": b"cat\ndog\n"}), options=JUDGED)
    assert {one.path.rpartition("/")[2]: one.label for one in built.examples} == LABELS
    assert {one.split for one in built.examples} == {"train", "val"}


@pytest.mark.parametrize(("start", "names"), [(1, b"cat\ndog\n"), (0, b"cat\n"), (0, b"")])
def test_numbers_that_may_be_others_stay(take: Take, start: int, names: bytes) -> None:
    built = take(zipped({**numbered(start), "classes.txt": names}), options=JUDGED)
    assert {one.label for one in built.examples} == {str(start), str(start + 1)}
    assert start or any(one.code == "labels_doubtful" for one in built.problems)


def blank(said: str) -> str:
    """What is said with pictures' names that have blanks in them."""
    return re.sub(r"im(\d)", r"my im (1) \1", said)


@pytest.mark.parametrize("alone", [True, False])
@pytest.mark.parametrize("where", ["{} {}", "{}\t{}", "7 {1} {0}"])
def test_paths_with_blanks(take: Take, where: str, alone: bool) -> None:
    files = {blank(path): data for path, data in exports.pictures("images/").items()}
    for split, some in (("train", TRAIN), ("val", VAL)):
        said = [where.format(f"images/{blank(one)}", LABELS[one]) for one in some]
        files[f"{split}.txt"] = "\n".join(said).encode()
    if alone:  # a picture whose name is the last word of another's path
        files["images/1.png"] = png(99)
        files["train.txt"] += where.format("images/1.png", "dog").join("\n\n").encode()
    built = take(zipped(files), options=JUDGED)
    got = {one.path.rpartition("/")[2]: (one.label, one.split) for one in built.examples}
    assert got.pop("1.png", ("dog", "train")) == ("dog", "train")
    splits = dict.fromkeys(TRAIN, "train") | dict.fromkeys(VAL, "val")
    assert got == {blank(one): (label, splits[one]) for one, label in LABELS.items()}


@pytest.mark.parametrize("form", ["images/{}.png", "{}.png", "{}"])
@pytest.mark.parametrize("kind", ["annotations.json", "export.json"])
def test_lists_of_names_beside_coco(take: Take, kind: str, form: str) -> None:
    files = {blank(path): data for path, data in exports.pictures("images/").items()}
    files[kind] = blank(exports.coco().decode()).encode()
    for split, some in (("train", TRAIN), ("val", VAL)):
        said = [form.format(blank(one).removesuffix(".png")) for one in some]
        files[f"{split}.txt"] = "\n".join(said).encode()
    built = take(zipped(files), options=JUDGED)
    splits = {one.path.rpartition("/")[2]: one.split for one in built.examples}
    held = {blank(one): "val" for one in VAL}
    assert splits == {blank(one): "train" for one in TRAIN} | held
    assert any("which pictures are in which split" in one.message for one in built.problems)
    assert not any("train.txt" in one.message for one in built.problems if one.excluded)


def listed(names: tuple[str, str], form: str = "{}") -> dict[str, bytes]:
    """Pictures in one folder, and lists of those that are trained on and of the others."""
    said = {
        name: "\n".join(form.format(one.removesuffix(".png")) for one in some).encode()
        for name, some in zip(names, (TRAIN, VAL), strict=True)
    }
    return {**exports.pictures("images/"), **said}


def table(form: str = "{}") -> bytes:
    told = (f"{form.format(one.removesuffix('.png'))},{label}" for one, label in LABELS.items())
    return "\n".join(["path,label", *told]).encode()


FORMS = ["images/{}.png", "{}.png", "{}"]
NAMES = [
    ("train.txt", "test.txt"),
    ("train_val_list.txt", "test_list.txt"),
    ("trainval.txt", "testset.lst"),
    ("splits/trainlist01.txt", "splits/testlist01.txt"),
    ("our_train.txt", "our_test.txt"),
    ("else.md", "test-names.txt"),
]


@pytest.mark.parametrize("named", [FORMS[0], FORMS[1]])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("which", ["labels.csv", "metadata.csv", "metadata.tsv"])
@pytest.mark.parametrize("names", NAMES)
def test_lists_beside_tables(
    take: Take, names: tuple[str, str], which: str, form: str, named: str
) -> None:
    said = table(named).replace(b",", b"\t" if which.endswith("tsv") else b",")
    built = take(zipped({**listed(names, form), which: said}))
    splits = {one.path.rpartition("/")[2]: one.split for one in built.examples}
    assert splits == dict.fromkeys(TRAIN, "train") | dict.fromkeys(VAL, "test")
    assert any(f"{names[1]} say which" in one.message for one in built.problems) or any(
        f"{names[0]}, {names[1]} say which" in one.message for one in built.problems
    )
    assert not any(".txt file" in one.message for one in built.problems)


@pytest.mark.parametrize("names", NAMES)
def test_lists_beside_class_folders(take: Take, names: tuple[str, str]) -> None:
    lists = {path: data for path, data in listed(names).items() if not path.endswith(".png")}
    folders = {f"{label}/{one}": png(at) for at, (one, label) in enumerate(LABELS.items())}
    built = take(zipped({**folders, **lists}))
    splits = {one.path.rpartition("/")[2]: one.split for one in built.examples}
    assert splits == dict.fromkeys(TRAIN, "train") | dict.fromkeys(VAL, "test")


def test_a_row_goes_before_lists_and_they_before_its_folder(take: Take) -> None:
    names = list(LABELS)
    places = {one: f"{'val' if at == 0 else 'train'}/{one}" for at, one in enumerate(names)}
    rows = [f"{places[one]},{LABELS[one]},{'train' * (at == 5)}" for at, one in enumerate(names)]
    files = {places[one]: png(at) for at, one in enumerate(names)}
    files["metadata.csv"] = "\n".join(["path,label,split", *rows]).encode()
    built = take(zipped({**files, "test.txt": "\n".join(names[4:]).encode()}))
    splits = {one.path.rpartition("/")[2]: one.split for one in built.examples}
    assert splits == dict.fromkeys(names, "train") | {names[0]: "val", names[4]: "test"}


@pytest.mark.parametrize("which", ["labels.csv", "metadata.csv"])
def test_lists_of_more_than_there_is(take: Take, which: str) -> None:
    files = listed(("train.txt", "test.txt"), "{}.png")
    files["test.txt"] += "".join(f"\nelsewhere_{at}.png" for at in range(50)).encode()
    built = take(zipped({**files, which: table()}))
    assert {one.path.rpartition("/")[2] for one in built.examples if one.split == "test"} == set(
        VAL
    )


@pytest.mark.parametrize("which", ["labels.csv", "metadata.csv", "annotations.json"])
@pytest.mark.parametrize("name", ["test.txt", "our_test.txt"])
def test_lists_that_do_not_count_are_told(take: Take, name: str, which: str) -> None:
    said = exports.coco() if which.endswith("json") else table()
    form = "{}" if name == "our_test.txt" else "elsewhere/{}_of_others.png"
    files = listed(("else.md", name), form)
    built = take(zipped({**files, which: said}), options=JUDGED)
    assert not built.names_splits
    assert any(f"{name} names pictures" in one.message for one in built.problems)


def test_lists_of_several_partitions_are_told(take: Take) -> None:
    files = listed(("train1.txt", "test1.txt"))
    files |= {"train2.txt": files["test1.txt"], "test2.txt": files["train1.txt"]}
    built = take(zipped({**files, "labels.csv": table()}))
    assert not built.names_splits
    assert sum("of one partition" in one.message for one in built.problems) == 4


def test_lists_against_split_folders_are_told(take: Take) -> None:
    names = list(LABELS)
    folders = ("test/a", "train/a", "train/b", "test/b", "train/a", "train/b")
    files = {
        f"{folder}/{one}": png(at)
        for at, (folder, one) in enumerate(zip(folders, names, strict=True))
    }
    built = take(zipped({**files, "val.txt": "\n".join(names[1:3]).encode()}))
    assert any("2 are in another split by their folder" in one.message for one in built.problems)


def test_categories_of_one_name_are_told(take: Take) -> None:
    told = exports.coco().replace(b'"name": "dog"}', b'"name": "dog"}, {"id": 2, "name": "dog"}')
    told = told.replace(b'"image_id": 1, "category_id": 1', b'"image_id": 1, "category_id": 2')
    built = take(zipped({**exports.pictures(), "annotations.json": told}), options=JUDGED)
    assert {one.path: one.label for one in built.examples} == LABELS
    (said,) = [one for one in built.problems if one.code == "label_collision"]
    assert "'dog' (2 ids)" in said.message
    assert not said.excluded


@pytest.mark.parametrize("ending", ["", ".png"])
def test_a_list_of_names_that_several_folders_have_is_told(take: Take, ending: str) -> None:
    pictures = {f"{label}/{n}.png": png(n + 9 * (label == "b")) for label in "ab" for n in range(4)}
    lines = "\n".join(f"{n}{ending}" for n in range(3))
    built = take(zipped({**pictures, "test.txt": lines.encode()}))
    assert {one.split for one in built.examples} == {"train"}
    assert any("or that several are called" in one.message for one in built.problems)
