"""Which level of folders is the label, which folders are none, and which files are one picture."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from app.core.errors import HeadstartError
from tests.archives import png, zipped
from tests.unit.app.uploads.intake.conftest import Take
from tests.unit.app.uploads.intake.test_layouts import TWO, counts, in_each, tree

Refused = Callable[..., HeadstartError]


@pytest.mark.parametrize(
    "paths",
    [
        [*in_each("fold1/"), *in_each("fold2/")],
        [*in_each("camera1/", ["ok", "defect"]), *in_each("camera2/", ["ok"])],
        [*in_each("data/site1/images/"), *in_each("data/site2/images/")],
        [*in_each("train/fold1/"), *in_each("train/fold2/"), *in_each("test/fold3/")],
        [*in_each("fold1/"), *in_each("fold2/"), "fold1/overview.png", *in_each("", ["other"])],
        [*in_each("fold1/", count=1), *in_each("fold2/"), *in_each("fold3/", ["star"])],
    ],
)
def test_folders_of_the_same_names_in_several_are_refused(
    refused: Refused, paths: list[str]
) -> None:
    """The folder above may be a source or a fold, which is no class."""
    error = refused(tree(*paths))
    assert error.code == "ambiguous_layout"
    assert "same names" in error.message
    assert "metadata.csv" in error.message


@pytest.mark.parametrize(
    "folders",
    [["images", "masks"], ["JPEGImages", "SegmentationClass", "SegmentationObject"],
     ["image", "ground_truth"], ["imagesTr", "labelsTr"],
     ["imagesTr", "imagesTs", "labelsTr"]],
)  # fmt: skip
@pytest.mark.parametrize("above", ["", "data/", "train/"])
def test_pictures_beside_their_masks_are_no_classes(
    refused: Refused, folders: list[str], above: str
) -> None:
    error = refused(tree(*in_each(above, folders)))
    assert error.code == "ambiguous_layout"
    assert "no classes" in error.message


@pytest.mark.parametrize("folders", [["mask", "no_mask"], ["photos", "sketches"], ["gt", "suv"]])
def test_classes_that_are_called_so_are_taken(take: Take, folders: list[str]) -> None:
    assert counts(take(tree(*in_each("", folders)))).keys() == set(folders)


def test_versions_of_a_picture_are_one_group(take: Take) -> None:
    paths = [f"{label}/{n}_jpg.rf.{'0a' * 15}{n}{v}.png" for label in TWO for n in range(2)
             for v in range(3)]  # fmt: skip
    built = take(tree(*paths, "circle/plain.png", f"circle/one_jpg.rf.{'ab' * 16}.png"))
    groups = {one.path: one.group for one in built.examples}
    names = {f"{label}/{n}_jpg" for label in TWO for n in range(2)}
    assert {groups[path] for path in paths} == names
    assert [group for path, group in groups.items() if path not in paths] == [None, None]
    (problem,) = built.problems
    assert (problem.code, problem.excluded) == ("group_assumed", False)
    assert problem.message.startswith("12 files are versions of 4 pictures")


def test_groups_that_are_told_stay(take: Take) -> None:
    paths = [f"{label}/a_jpg.rf.{'0a' * 15}{v}0.png" for label in TWO for v in range(2)]
    rows = "".join(f"{path},{path.partition('/')[0]},own\n" for path in paths)
    members = {path: png(at) for at, path in enumerate(paths)}
    built = take(zipped({**members, "metadata.csv": b"path,label,group\n" + rows.encode()}))
    assert ({one.group for one in built.examples}, built.problems) == ({"own"}, [])


def test_metadata_says_which_of_two_levels_is_the_label(take: Take) -> None:
    paths = [*in_each("fold1/"), *in_each("fold2/")]
    rows = "".join(f"{p},{p.split('/')[1]},{p.split('/')[0]}\n" for p in paths)
    members = {path: png(at) for at, path in enumerate(paths)}
    built = take(zipped({**members, "metadata.csv": b"path,label,group\n" + rows.encode()}))
    assert counts(built) == {"circle": 4, "square": 4}
    assert {one.group for one in built.examples} == {"fold1", "fold2"}


@pytest.mark.parametrize(
    ("paths", "named"),
    [
        (["a/mango/1.png", "b/banana/2.png"], ("a/, b/", "a/mango/, b/banana/")),
        (["dogs/poodle/1.png", "cats/2.png"], ("dogs/", "dogs/poodle/")),
        (["dogs/poodle/1.png", "dogs/2.png", "cats/3.png", "cats/4.png", "cats/siamese/5.png"],
         ("cats/, dogs/", "cats/siamese/, dogs/poodle/")),
        (["x/dogs/raw/1.png", "x/cats/raw/2.png", "x/cats/raw/new/3.png", "x/dogs/raw/old/4.png"],
         ("cats/, dogs/", "cats/new/, dogs/old/")),
        (["dogs/old/1.png", "dogs/2.png", "dogs/3.png", "cats/old/4.png", "cats/new/5.png",
          "cats/6.png", "cats/7.png"], ("cats/, dogs/", "cats/new/, cats/old/, dogs/old/")),
        (["train/dogs/poodle/1.png", "train/cats/2.png"], ("dogs/", "dogs/poodle/")),
        (["dogs/raw/1.png", "cats/raw/2.png", "birds/3.png"],
         ("cats/, dogs/", "cats/raw/, dogs/raw/")),
    ],
)  # fmt: skip
def test_the_level_that_is_the_label_is_told(
    take: Take, paths: list[str], named: tuple[str, str]
) -> None:
    built = take(tree(*paths))
    (problem,) = built.problems
    assert (problem.code, problem.excluded) == ("ambiguous_layout", False)
    assert f"the folders {named[0]} are the labels" in problem.message
    assert f", and {named[1]} say nothing more" in problem.message


def test_folders_that_all_files_share_are_looked_through_in_silence(take: Take) -> None:
    built = take(tree(*in_each("circle/raw/", ["new"]), *in_each("square/raw/", ["new"])))
    assert (counts(built), built.problems) == ({"circle": 2, "square": 2}, [])


def test_folders_nested_as_deep_as_a_path_may_go(take: Take) -> None:
    deep = "a/" * 1500
    built = take(tree(f"circle/{deep}1.png", f"square/{deep}2.png"))
    assert (counts(built), built.problems) == ({"circle": 1, "square": 1}, [])
