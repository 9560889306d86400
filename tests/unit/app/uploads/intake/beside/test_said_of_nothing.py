"""What is said where little is left: folders that are there twice, facts beside marks, people who
disagree."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from app.core.errors import HeadstartError
from app.uploads.intake import IntakeOptions
from tests.archives import png, zipped
from tests.unit.app.uploads.intake.conftest import Take

Refused = Callable[..., HeadstartError]
JUDGED = IntakeOptions(label_mode=None)


def cells(count: int = 4) -> dict[str, bytes]:
    return {
        f"cells/{name}/{name}{at}.png": png(at + 20 * (name == "b"))
        for name in "ab"
        for at in range(count)
    }


def test_a_folder_that_has_all_again_is_left_out(take: Take) -> None:
    files = cells()
    built = take(zipped({**files, **{f"cells/{path}": data for path, data in files.items()}}))
    assert {one.path: one.label for one in built.examples} == {
        path.removeprefix("cells/"): path.split("/")[1] for path in files
    }
    told = [one for one in built.problems if "lie beside it" in one.message]
    assert [one.excluded for one in told] == [True]
    assert told[0].message.startswith("8 file(s) in cells/")


def test_a_class_that_has_some_of_the_others_names_is_one(take: Take) -> None:
    files = cells() | {f"cells/other/a/{at}.png": png(60 + at) for at in range(4)}
    built = take(zipped(files))
    assert {one.label for one in built.examples} == {"a", "b", "other"}


def test_copies_that_contradict_each_other_are_named(refused: Refused) -> None:
    files = {f"{name}/{at}.png": png(at) for name in "ab" for at in range(4)}
    error = refused(zipped(files))
    assert error.code == "empty_dataset"
    assert "labelled 'a' and 'b'" in error.message


def disagreeing(people: int) -> bytes:
    rows = [
        f"say {at},{person},{int(person % 2 == 0)},{int(person % 2 == 1)}"
        for at in range(4)
        for person in range(people)
    ]
    return "\n".join(["text,rater_id,glad,sad", *rows]).encode()


def test_people_who_disagree_about_all_are_told_so(refused: Refused, take: Take) -> None:
    error = refused(disagreeing(2), "goemotions.csv", options=JUDGED)
    assert error.code == "empty_dataset"
    assert "disagree about all" in error.message
    assert "goemotions.csv:2" in error.message
    assert "folder" not in error.message
    some = disagreeing(2) + b"\nalone,0,1,0\nalone too,0,0,1\n"
    assert len(take(some, "goemotions.csv", options=JUDGED).examples) == 2


def lesions(*, group: bool) -> bytes:
    files = {f"images/ISIC_{at:03d}.png": png(at) for at in range(12)}
    marks = [",".join(str(float(at % 3 == kind)) for kind in range(3)) for at in range(12)]
    rows = [f"ISIC_{at:03d},{mark}" for at, mark in enumerate(marks)]
    files["GroundTruth.csv"] = "\n".join(["image,MEL,NV,BCC", *rows]).encode()
    name = "group" if group else "lesion_id"
    rows = [f"ISIC_{at:03d},{50 + at},L{at // 2}" for at in range(12)]
    files["Metadata.csv"] = "\n".join([f"image,age_approx,{name}", *rows]).encode()
    return zipped(files)


def test_groups_of_a_table_without_labels_can_be_asked_for(take: Take) -> None:
    asked = IntakeOptions(label_mode=None, columns={"group": "lesion_id"})
    for archive, options in ((lesions(group=False), asked), (lesions(group=True), JUDGED)):
        built = take(archive, options=options)
        assert {one.group for one in built.examples} == {f"L{at}" for at in range(6)}


def test_groups_of_a_table_without_labels_that_nobody_asks_for_are_told(take: Take) -> None:
    built = take(lesions(group=False), options=JUDGED)
    assert {one.group for one in built.examples} == {None}
    told = [one.message for one in built.problems if one.code == "column_unread"]
    assert any("group_column=lesion_id" in one for one in told)


def voc(name: str) -> bytes:
    return (
        f"<annotation><filename>{name}.png</filename><size><width>8</width><height>8</height>"
        f"</size><object><name>{name[0]}</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>4</xmax>"
        "<ymax>4</ymax></bndbox></object></annotation>"
    ).encode()


def test_boxes_that_say_what_the_folders_say_are_told_as_boxes(take: Take) -> None:
    files = {}
    for split, numbers in (("train", range(4)), ("validation", range(4, 6))):
        for name in [f"{label}{at}" for label in "ab" for at in numbers]:
            seed = int(name[1]) + 20 * (name[0] == "b")
            files[f"{split}/images/{name[0]}/{name}.png"] = png(seed)
            files[f"{split}/annotations/{name}.xml"] = voc(name)
    built = take(zipped(files), options=JUDGED)
    assert [one.code for one in built.problems].count("boxes_whole") == 1
    assert not any("in another split" in one.message for one in built.problems)
    assert {one.path[0]: one.split for one in built.examples} == {"t": "train", "v": "val"}


@pytest.mark.parametrize("above", ["masks/", "Annotations/"])
def test_masks_in_a_folder_of_masks_are_no_examples_of_what_the_dataset_has(
    refused: Refused, take: Take, above: str
) -> None:
    paths = [f"{name}/{name}{at}.jpg" for name in "ab" for at in range(4)]
    options = IntakeOptions(minimum_classes=1, known=lambda: paths)
    seeds = {name: 9 + 20 * (name == "b") for name in "ab"}
    masks = {f"{above}{n}/{n}{at}.png": png(at + seeds[n]) for n in "ab" for at in range(4)}
    error = refused(zipped(masks), options=options)
    assert error.code in ("empty_dataset", "insufficient_classes")
    others = {path.replace(above, "new/"): data for path, data in masks.items()}
    assert len(take(zipped(others), options=options).examples) == 8
