"""Copies that were augmented before the upload are one group with their original."""

from __future__ import annotations

import pytest

from tests.archives import png, zipped
from tests.unit.app.uploads.intake.conftest import Take

UUID = "0b6cd2a1-9d1e-4f0c-8a53-6a1d6c3e9f{:02d}"


def groups(take: Take, *names: str, further: dict[str, bytes] | None = None) -> dict[str, str]:
    """The groups of files of the class `a`, beside a class of three pictures without copies."""
    paths = [*(f"a/{name}" for name in names), "b/1.png", "b/2.png", "b/3.png"]
    built = take(zipped({**{path: png(at) for at, path in enumerate(paths)}, **(further or {})}))
    found = {one.path.removeprefix("a/"): one.group for one in built.examples if one.group}
    told = [one.message for one in built.problems if one.code == "group_assumed"]
    count = f"{len(found)} files are {len(set(found.values()))} pictures and copies of them"
    assert [one[: len(count)] for one in told] == [count] * bool(found and further is None)
    return {path: group.removeprefix("a/") for path, group in found.items()}


COPIES = ["x_rot90", "x_flip", "x_aug1", "x-aug-2", "aug_0_x", "x - Copy", "x copy 2", "x (copy)",
          "Copy of x", "x_flipLR", "x_new30degFlipLR", "x_90deg", "X_ROT90", "x.rotated.-15",
          "flipped_x", "horizontal_flip_x", "x_aug_3_flip", "x_0_4321",
          f"a_original_x.png_{UUID.format(0)}"]  # fmt: skip
CHANGED = ["x_mirror", "x_crop", "x_crop_2", "x_brightness_1.2", "x_gamma0.8", "gray_x"]


@pytest.mark.parametrize("copy", COPIES)
def test_a_copy_is_of_the_picture_that_it_is_called_after(take: Take, copy: str) -> None:
    found = groups(take, "x.png", f"{copy}.png", "y.png")
    assert found == {"x.png": "x", f"{copy}.png": "x"}


@pytest.mark.parametrize("copy", CHANGED)
def test_what_may_say_what_it_is_of_is_a_copy_where_two_pictures_have_one(
    take: Take, copy: str
) -> None:
    assert groups(take, "x.png", f"{copy}.png", "y.png") == {}
    found = groups(take, *(f"{n}.png" for c in "wz" for n in (c, copy.replace("x", c))), "y.png")
    assert set(found.values()) == {"w", "z"}
    assert len(found) == 4


OTHERS = {
    "months": [f"cam1_{m}_{d:02d}" for m in ("Jun", "Jul", "Aug", "Sep") for d in range(1, 6)],
    "days": [f"{d}-Aug-2023_{k}" for d in (15, 16, 17) for k in range(3)],
    "days of several": [f"{d}-{m}-2023_{k}" for m in ("Jul", "Aug") for d in (15, 16)
                        for k in range(5)],
    "a disease": [f"{name}_{k}" for name in ("black_rot", "leaf_blight", "scab") for k in range(8)],
    "angles of a thing": [*(f"gauge_{k}deg" for k in range(0, 80, 10)),
                          *(f"meter{k}" for k in range(10))],
    "colours": ["sofa", "sofa_gray", "sofa_gray_2", "sofa_dark_gray", *"abcdefgh"],
    "a plant": ["wheat", *(f"wheat_crop_{k}" for k in range(20)), "y"],
    "most of a class": ["wheat", *(f"wheat_rot_{k}" for k in range(20)), "y"],
    "tiles": ["10", *(f"10_{r}_{k}" for r in range(3) for k in range(3)), *"abcdefghij"],
    "frames": [*(f"cam_{k}" for k in range(9)),
               *(f"cam_{k}_0_{n}" for k in (0, 1) for n in (0, 1))],
}  # fmt: skip


@pytest.mark.parametrize("names", OTHERS.values(), ids=OTHERS)
def test_places_times_things_and_tiles_are_no_copies(take: Take, names: list[str]) -> None:
    assert groups(take, *(f"{name}.png" for name in names)) == {}


def test_no_picture_has_a_whole_class_for_its_copies(take: Take) -> None:
    names = [f"{c}/{n}.png" for c, n in (("a", "wheat"), ("b", "corn"))]
    names += [f"{name[:-4]}_crop_{k}.png" for name in names for k in range(9)]
    built = take(zipped({name: png(at) for at, name in enumerate(names)}))
    assert {one.group for one in built.examples} == {None}


def test_two_pictures_may_share_a_class_with_their_copies(take: Take) -> None:
    found = groups(take, "x.png", *(f"x_rot{k}0.png" for k in range(1, 5)), "y.png", "y_rot90.png")
    assert set(found.values()) == {"x", "y"}


@pytest.mark.parametrize(
    "other",
    ["x (2)", "x_2", "x_left", "xrot90", "x_portrait", "x_mask", "x_carrot", "x_flipper", "x_90",
     "z_rot90", "x_2_4321"],
)  # fmt: skip
def test_what_may_be_another_picture_stays_alone(take: Take, other: str) -> None:
    assert groups(take, "x.png", f"{other}.png", "y.png") == {}


def test_the_longest_name_is_the_originals_and_copies_of_copies_are_its_own(take: Take) -> None:
    names = ["i.png", "i_1.png", "i_1_aug2.png", "i_aug1.png", "i_aug1_flip.png"]
    first, second = dict.fromkeys([names[0], *names[3:]], "i"), dict.fromkeys(names[1:3], "i_1")
    assert groups(take, *names) == first | second


@pytest.mark.parametrize(
    "copies",
    [
        ["{}_aug_0", "{}_aug_1"],
        ["{}_rot90", "{}_flip"],
        ["aug_{}_431", "aug_{}_87"],
        [f"a_original_{{}}.jpg_{UUID.format(1)}", f"a_original_{{}}.jpg_{UUID.format(2)}"],
    ],
)
def test_copies_are_one_group_where_the_original_is_not_there(
    take: Take, copies: list[str]
) -> None:
    found = groups(take, *(f"{copy.format(n)}.png" for n in (5, 6, 7) for copy in copies))
    assert len(found) == 6
    assert len(set(found.values())) == 3


def test_a_class_that_is_called_so_is_no_family(take: Take) -> None:
    assert groups(take, *(f"leaf_aug_{n}.png" for n in range(6))) == {}


def test_an_original_in_another_split_is_found_and_a_name_of_two_is_not(take: Take) -> None:
    paths = ["val/a/x.png", "train/a/x_flip.png", "train/a/1.png", "val/a/1.png",
             "train/a/1_flip.png", "test/a/1_crop.png", "train/b/1_rot90.png", "train/b/2.png",
             "val/b/3.png", "test/b/4.png"]  # fmt: skip
    built = take(zipped({path: png(at) for at, path in enumerate(paths)}))
    found = {one.path: one.group for one in built.examples if one.group}
    assert set(found) == {paths[0], paths[1], paths[2], paths[4]}
    assert found[paths[0]] == found[paths[1]] != found[paths[2]] == found[paths[4]]


def test_groups_of_the_uploads_own_are_all_that_count(take: Take) -> None:
    rows = "path,label,group\na/x.png,a,\na/x_flip.png,a,\na/y.png,a,own\nb/1.png,b,\n"
    rows += "b/2.png,b,\nb/3.png,b,\n"
    found = groups(take, "x.png", "x_flip.png", "y.png", further={"metadata.csv": rows.encode()})
    assert found == {"y.png": "own"}


def test_the_report_says_how_many_are_not_judged(take: Take) -> None:
    names = [f"{label}/{n}{how}.png" for label in "ab" for n in "123" for how in ("", "_flip")]
    built = take(zipped({name: png(at) for at, name in enumerate([*names, "a/4.png"])}))
    (told,) = (one.message for one in built.problems if one.code == "group_assumed")
    assert "6 of 13 examples are augmented copies; they train, and are not judged" in told
