"""Trees as people have them: which folders are classes, which are splits, and what is neither."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from app.core.errors import HeadstartError
from app.uploads.intake import Built, IntakeOptions
from tests.archives import Raw, picture, png, raw_zip, tarred, zipped
from tests.unit.app.uploads.intake.conftest import Take

Refused = Callable[..., HeadstartError]
TWO = ["circle", "square"]


def tree(*paths: str) -> bytes:
    """A zip with a picture of its own at each path."""
    return zipped({path: png(at) for at, path in enumerate(paths)})


def in_each(folder: str, labels: Sequence[str] = TWO, count: int = 2) -> list[str]:
    return [f"{folder}{label}/{at}.png" for label in labels for at in range(count)]


def counts(built: Built) -> dict[str, int]:
    return {str(one["label"]): int(one["count"]) for one in built.classes}


def splits(built: Built) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for one in built.examples:
        found.setdefault(one.split, set()).add(one.label)
    return found


def problems(built: Built) -> list[tuple[str, str | None, bool]]:
    return [(one.code, one.path, one.excluded) for one in built.problems]


BOTH = set(TWO)


@pytest.mark.parametrize(
    ("first", "second", "split"),
    [
        ("train", "val", "val"),
        ("Train", "Validation", "val"),
        ("TRAIN", "VALID", "val"),
        ("train", "dev", "val"),
        ("training", "testing", "test"),
        ("Training", "Test", "test"),
        ("train", "eval", "test"),
        ("seg_train", "seg_test", "test"),
        ("x_train", "x_val", "val"),
        ("train_images", "test_images", "test"),
        ("TrainImages", "TestImages", "test"),
        ("train", "test1", "test"),
        ("train2017", "val2017", "val"),
        ("train", "test_public", "test"),
        ("my train set", "my test set", "test"),
    ],
)
@pytest.mark.parametrize("wrapper", ["", "data/", "archive/data/v1/", "test_upload/"])
@pytest.mark.parametrize("pack", [zipped, tarred])
def test_split_folders(
    take: Take, first: str, second: str, split: str, wrapper: str, pack: Callable[..., bytes]
) -> None:
    paths = [*in_each(f"{wrapper}{first}/"), *in_each(f"{wrapper}{second}/")]
    built = take(pack({path: png(at) for at, path in enumerate(paths)}), "x")
    assert splits(built) == {"train": BOTH, split: BOTH}
    assert problems(built) == []
    assert any(first in note and second in note for note in built.notes)


@pytest.mark.parametrize(
    ("paths", "left_out"),
    [
        (["test/0.png", "test/1.png"], ["test/0.png", "test/1.png"]),
        (["test/test/0.png"], ["test/test/0.png"]),
        (["val/0.png", "train/overview.png"], ["train/overview.png", "val/0.png"]),
        (["test/circle/0.png", "cover.png"], ["cover.png"]),
    ],
)
def test_what_has_no_label_is_left_out(take: Take, paths: list[str], left_out: list[str]) -> None:
    """As ImageNet's `val` and Kaggle's `test` are."""
    built = take(tree(*in_each("train/"), *paths))
    assert counts(built).keys() == BOTH
    assert sorted(problems(built)) == [("invalid_value", path, True) for path in left_out]


def test_split_folders_in_their_own_names(take: Take) -> None:
    """As Intel's set of scenes is packed."""
    paths = [*in_each("seg_train/seg_train/"), *in_each("seg_test/seg_test/", count=1)]
    built = take(tree(*paths, "seg_pred/seg_pred/9.png"))
    assert splits(built) == {"train": BOTH, "test": BOTH}
    assert problems(built) == [("ambiguous_layout", "seg_pred/seg_pred/9.png", True)]


def test_a_folder_in_each_split_is_looked_through(take: Take) -> None:
    built = take(tree(*in_each("train/images/"), *in_each("test/images/")))
    assert splits(built) == {"train": BOTH, "test": BOTH}


def test_folders_with_the_same_classes_are_splits_whatever_else_they_say(take: Take) -> None:
    built = take(tree(*in_each("train-clean/"), *in_each("test-other/")))
    assert splits(built) == {"train": BOTH, "test": BOTH}


def test_class_folders_with_training_folders_only(take: Take) -> None:
    built = take(tree("circle/train/1.png", "square/train/2.png"))
    assert (splits(built), built.problems) == ({"train": BOTH}, [])


def test_only_held_out_examples_are_said_to_be_so(refused: Refused) -> None:
    assert "4 example(s) are in val" in refused(tree(*in_each("dev/"))).message


MVTEC = [
    *in_each("train/", ["good", "scratch"]),
    *in_each("test/", ["good", "broken_large"]),
    "ground_truth/broken_large/0_mask.png",
    "ground_truth/broken_large/1_mask.png",
]


def test_masks_beside_the_splits_are_left_out_and_named(take: Take) -> None:
    built = take(tree(*(f"bottle/{path}" for path in MVTEC)))
    assert counts(built) == {"good": 4, "scratch": 2, "broken_large": 2}
    left, untrained = built.problems
    assert left.code == "ambiguous_layout"
    assert left.message.startswith("2 file(s) in ground_truth/ left out")
    assert untrained.message == "'broken_large' has no example to train on"


def test_several_trees_of_splits_are_refused(refused: Refused) -> None:
    paths = [f"{kind}/{path}" for kind in ("bottle", "cable") for path in MVTEC]
    error = refused(tree(*paths))
    assert (error.code, error.param) == ("ambiguous_layout", "bottle")
    assert "bottle/, cable/" in error.message


def test_splits_in_class_folders(take: Take) -> None:
    paths = [f"{label}/{split}/{at}.png" for label in TWO for split in ("Train", "test")
             for at in range(2)]  # fmt: skip
    built = take(tree(*paths))
    assert splits(built) == {"train": BOTH, "test": BOTH}
    assert built.notes == [
        "the folders in each class folder are read as splits: Train/ is train, test/ is test"
    ]


def test_a_test_folder_in_a_class_folder_is_held_out(take: Take) -> None:
    built = take(tree(*in_each(""), "circle/test/9.png"))
    assert splits(built) == {"train": BOTH, "test": {"circle"}}


def test_a_word_of_splits_among_others_is_part_of_the_class(take: Take) -> None:
    built = take(tree("ticket/valid/1.png", "ticket/expired/2.png", "receipt/3.png"))
    assert splits(built) == {"train": {"ticket", "receipt"}}
    assert problems(built) == [("ambiguous_layout", None, False)]
    assert "ticket/valid/" in built.problems[0].message


@pytest.mark.parametrize(
    ("paths", "named"),
    [
        (["train/1.png", "bus/2.png", "test/3.png"], "test/, train/"),
        (["train/1.png", "train/2.png", "valid/3.png"], "train/, valid/"),
        (["x_train/1.png", "x_test/2.png"], "x_test/, x_train/"),
        (["data/train/train/1.png", "data/test1/test1/2.png"], "test1/, train/"),
        (["train/train/1.png", "train/bus/2.png", "test/bus/3.png"], "train/"),
        (["train/red/1.png", "train/blue/2.png", "bus/3.png", "car/4.png"], "train/"),
        (["train/red/1.png", "train/blue/2.png", "bus/old/3.png"], "train/"),
        (["valid/1.png", "invalid/2.png"], "valid/"),
        (["test_images/1.png", "cat/2.png"], "test_images/"),
        (["cat/train/a/1.png", "dog/train/b/2.png"], "train/"),
        (["train/valid/1.png", "train/invalid/2.png"], "valid/"),
    ],
)
def test_no_class_is_named_after_a_split(refused: Refused, paths: list[str], named: str) -> None:
    error = refused(tree(*paths))
    assert error.code == "ambiguous_layout"
    assert named in error.message
    assert "metadata.csv" in error.message
    assert error.param is not None


def test_metadata_may_name_classes_after_splits(take: Take) -> None:
    told = b"path,label\ntrain/1.png,train\nbus/2.png,bus\n"
    built = take(zipped({"train/1.png": png(1), "bus/2.png": png(2), "metadata.csv": told}))
    assert counts(built) == {"bus": 1, "train": 1}


def test_words_of_splits_in_classes_names_are_no_splits(take: Take) -> None:
    built = take(tree("crash_test/1.png", "train_station/2.png", "contest/3.png"))
    assert splits(built) == {"train": {"crash_test", "train_station", "contest"}}


@pytest.mark.parametrize("name", ["metadata.csv", "Metadata.CSV", "metadata.jsonl"])
@pytest.mark.parametrize("wrapper", ["", "set/"])
def test_metadata_in_split_folders(take: Take, name: str, wrapper: str) -> None:
    members: dict[str, bytes] = {}
    for at, split in enumerate(("Train", "seg_test", "DEV")):
        told = [(f"{n}.png", label) for n, label in enumerate(TWO)]
        members |= {f"{wrapper}{split}/{n}.png": png(10 * at + n) for n in range(2)}
        csv = "file_name,label\n" + "".join(f"{path},{label}\n" for path, label in told)
        lines = "".join(f'{{"file_name":"{path}","label":"{label}"}}\n' for path, label in told)
        members[f"{wrapper}{split}/{name}"] = (csv if "json" not in name else lines).encode()
    built = take(zipped(members))
    assert splits(built) == {"train": BOTH, "test": BOTH, "val": BOTH}
    assert problems(built) == []


@pytest.mark.parametrize(
    ("beside", "kind"),
    [
        ({"readme.txt": b"hello"}, ".txt file(s)"),
        ({"labels.csv": b"a,b\n"}, ".csv file(s)"),
        ({"classes.names": b"circle\n"}, ".names file(s)"),
        ({"README.md": b"hello"}, ".md file(s)"),
        ({"LICENSE": b"hello"}, "file(s) without an extension"),
        ({"preview/cover.png": png(99)}, "file(s) in preview/"),
        ({"docs/one.png": png(98), "docs/two.png": png(99)}, "file(s) in docs/"),
        ({"extra/one.png": png(98)}, "file(s) in extra/"),
    ],
)
def test_what_lies_beside_the_wrapper_is_named(
    take: Take, beside: dict[str, bytes], kind: str
) -> None:
    images = {f"fruits/{path}": png(at) for at, path in enumerate(in_each(""))}
    built = take(zipped(images | beside))
    assert counts(built) == {"circle": 2, "square": 2}
    (problem,) = built.problems
    assert (problem.code, problem.path, problem.excluded) == (
        "unsupported_member", next(iter(beside)), True,
    )  # fmt: skip
    assert problem.message.startswith(f"{len(beside)} {kind}")


def test_class_folders_that_lie_unequally_deep_are_a_warning(take: Take) -> None:
    built = take(tree(*in_each("birds/", ["in", "out"]), *(f"cats/{at}.png" for at in range(3))))
    assert counts(built) == {"birds": 4, "cats": 3}
    assert problems(built) == [("ambiguous_layout", None, False)]


def test_appended_pictures_of_one_class_keep_it(take: Take) -> None:
    one = IntakeOptions(minimum_classes=1)
    assert counts(take(tree("fruits/apple/a/1.png"), options=one)) == {"apple": 1}
    held = take(tree("data/test/apple/1.png"), options=one)
    assert splits(held) == {"test": {"apple"}}


JUNK = [
    ".ipynb_checkpoints/0-checkpoint.png",
    "circle/.ipynb_checkpoints/0-checkpoint.png",
    "circle/@eaDir/0.png/SYNOPHOTO_THUMB_M.jpg",
    "#recycle/circle/7.png",
    "__MACOSX/circle/._0.png",
    "circle/._0.png",
    "circle/.DS_Store",
    "circle/Icon\r",
    "circle/desktop.ini",
    "square/Thumbs.db",
    "square/ehthumbs.db",
    "square/0.png:Zone.Identifier",
    ".hidden/circle/1.png",
]


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_junk_is_counted_in_one_problem(take: Take, pack: Callable[..., bytes]) -> None:
    images = {path: png(at) for at, path in enumerate(in_each(""))}
    built = take(pack(images | {path: png(50 + at) for at, path in enumerate(JUNK)}), "x")
    assert counts(built) == {"circle": 2, "square": 2}
    (problem,) = built.problems
    assert problem.code == "unsupported_member"
    assert problem.message.startswith(f"{len(JUNK)} file(s) that systems and tools leave behind")
    assert "\r" not in problem.message


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("circle/0.xmp", b"<x:xmpmeta/>"),
        ("circle/0.AAE", b"<?xml version='1.0'?>"),
        ("circle/IMG_1.MOV", b"\0\0\0\x14ftypqt  " + bytes(64)),
        ("circle/IMG_1.mp4", b"\0\0\0\x18ftypmp42" + bytes(64)),
        ("circle/0.json", b"{}"),
        ("circle/0.txt", b"hello"),
        ("circle/0.xml", b"<annotation/>"),
        ("circle/0.pp3", b"[Version]"),
        ("circle/0.unheard-of", b"\x01\x02\x03"),
        ("circle/README", b"what is this"),
        ("circle/model.npz", zipped({"x": b"y"})),
    ],
)
def test_sidecars_are_named_and_never_the_end(take: Take, name: str, data: bytes) -> None:
    images = {path: png(at) for at, path in enumerate(in_each(""))}
    built = take(zipped(images | {name: data}))
    assert counts(built) == {"circle": 2, "square": 2}
    assert problems(built) == [("unsupported_member", name, True)]


def test_pictures_whose_names_do_not_say_so_are_taken(take: Take) -> None:
    built = take(zipped({"a/1": png(1), "b/2.orig": picture("JPEG")}))
    assert counts(built) == {"a": 1, "b": 1}


def test_class_folders_that_are_empty(take: Take) -> None:
    members = [Raw(path, png(at)) for at, path in enumerate(in_each("w/"))]
    bare = ["w/", "w/circle/", "w/triangle/", "w/circle/deeper/", "w/.git/"]
    hidden = Raw("w/star/.DS_Store", b"x")
    built = take(raw_zip([*members, *(Raw(path, b"") for path in bare), hidden]))
    told = [one for one in built.problems if one.code == "empty_class"]
    assert [(one.path, one.excluded) for one in told] == [("star", True), ("triangle", True)]
    assert told[1].message == "triangle has no example, so it is no class"


def test_split_folders_name_their_empty_classes(take: Take) -> None:
    members = [Raw(path, png(at)) for at, path in enumerate(in_each("train/"))]
    bare = [Raw(path, b"") for path in ("train/", "train/triangle/", "test/", "test/star/")]
    built = take(raw_zip([*members, Raw("test/circle/1.png", png(9)), *bare]))
    assert [one.path for one in built.problems] == ["test/star", "train/triangle"]


def test_very_many_files_without_a_class_are_counted(take: Take) -> None:
    built = take(tree(*in_each("train/"), *(f"test/{at}.png" for at in range(150))))
    assert len(built.problems) == 100
    assert "and so are 50 more" in built.problems[-1].message
