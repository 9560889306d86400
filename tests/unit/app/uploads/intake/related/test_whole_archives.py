"""Public archives as they are downloaded, with all the tables and lists that come with them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from app.core.errors import HeadstartError
from app.uploads.intake import Built, IntakeOptions
from tests.archives import png, zipped
from tests.unit.app.uploads.intake.conftest import Take

Refused = Callable[..., HeadstartError]
FREE = IntakeOptions(label_mode=None)
SEVERAL = IntakeOptions(label_mode="multi_label")
CROPS = replace(FREE, crops=True, crops_wanted=True)


def column(role: str, name: str) -> IntakeOptions:
    return replace(FREE, columns={role: name})


def marks(*names: str) -> IntakeOptions:
    return replace(SEVERAL, marks=names)


def csv(*rows: Iterable[Any]) -> bytes:
    return "".join(",".join(map(str, row)) + "\n" for row in rows).encode()


def lines(*rows: Iterable[Any]) -> bytes:
    return "".join(" ".join(map(str, row)) + "\n" for row in rows).encode()


def pictures(names: Sequence[str], folder: str) -> dict[str, bytes]:
    return {f"{folder}/{name}": png(at, width=24, height=24) for at, name in enumerate(names)}


def labels(built: Built) -> Counter[str]:
    return Counter("|".join(one.names) for one in built.examples)


def said(built: Built, part: str) -> bool:
    return any(part in one.message for one in built.problems)


CHEST = [f"0000000{at // 3}_00{at % 3}.png" for at in range(12)]
FOUND = ["No Finding", "Cardiomegaly", "Atelectasis"]


def chest() -> bytes:
    entries = [["Image Index", "Finding Labels", "Patient ID", "View Position", ""]]
    entries += [[name, FOUND[at % 3], at // 3, "PA", ""] for at, name in enumerate(CHEST)]
    boxes = [["Image Index", "Finding Label", "Bbox [x", "y", "w", "h]", "", "", ""]]
    boxes += [
        [name, FOUND[at % 3], at, 2.5, 6, 8, "", "", ""] for at, name in enumerate(CHEST) if at % 3
    ]
    lists = {"train_val_list.txt": CHEST[:9], "test_list.txt": CHEST[9:]}
    return zipped(
        {
            **pictures(CHEST, "images"),
            "Data_Entry_2017.csv": csv(*entries),
            "BBox_List_2017.csv": csv(*boxes),
            **{name: "\n".join(some).encode() for name, some in lists.items()},
        }
    )


def test_chest_x_rays_have_their_findings(take: Take) -> None:
    built = take(chest(), options=FREE)
    assert labels(built) == dict.fromkeys(FOUND, 4)
    assert Counter(one.split for one in built.examples) == {"train": 9, "test": 3}
    assert said(built, "BBox_List_2017.csv names pictures and is not read: it has boxes of some")


def test_or_their_boxes_where_those_are_asked_for(take: Take) -> None:
    built = take(chest(), options=CROPS)
    assert labels(built) == {"Cardiomegaly": 4, "Atelectasis": 4}
    assert said(built, "`Bbox [x`, `y`, `w`, `h]` are taken for boxes: left, top, width and height")
    assert built.examples[0].path.endswith("#1.png")


def test_whose_groups_are_those_of_the_other_table(take: Take) -> None:
    built = take(chest(), options=replace(CROPS, columns={"group": "Patient ID"}))
    assert [one.group for one in built.examples] == ["0", "0", "1", "1", "2", "2", "3", "3"]
    assert said(built, "the group of 8 picture(s), which is read")
    assert built.assumed == {}
    assert not said(built, "is taken for the label")


FACES = [f"0000{at + 10}.jpg" for at in range(16)]
PARTS = {"train": 10, "val": 3, "test": 3}
NAMES = ("Male", "Smiling", "Young")


def faces(**more: bytes) -> bytes:
    attributes = [[name, *(1 if at >> bit & 1 else -1 for bit in range(3))]
                  for at, name in enumerate(FACES)]  # fmt: skip
    return zipped(
        {
            **pictures(FACES, "img_align_celeba"),
            "list_attr_celeba.txt": lines([len(FACES)], NAMES, *attributes),
            "list_bbox_celeba.txt": lines(
                [len(FACES)],
                ["image_id", "x_1", "y_1", "width", "height"],
                *([name, at + 1, 2, 10, 12] for at, name in enumerate(FACES)),
            ),
            "list_eval_partition.txt": lines(
                *([name, (at > 9) + (at > 12)] for at, name in enumerate(FACES))
            ),
            "identity_CelebA.txt": lines(*([name, 7 + at // 2] for at, name in enumerate(FACES))),
            **more,
        }
    )


def test_faces_have_attributes_and_persons_are_groups(take: Take) -> None:
    built = take(faces(), options=FREE)
    assert labels(built) == Counter(
        "|".join(name for bit, name in enumerate(NAMES) if at >> bit & 1) for at in range(16)
    )
    assert [one.group for one in built.examples] == [str(7 + at // 2) for at in range(16)]
    assert Counter(one.split for one in built.examples) == PARTS
    assert said(built, "identity_CelebA.txt says the group of 16 picture(s), which is read")


def test_one_attribute_can_be_asked_for(take: Take) -> None:
    built = take(faces(), options=column("label", "smiling"))
    assert labels(built) == {"-1": 8, "1": 8}
    assert Counter(one.split for one in built.examples) == PARTS


def test_and_several(take: Take) -> None:
    built = take(faces(), options=marks("Male", "Young"))
    assert labels(built) == dict.fromkeys(["", "Male", "Young", "Male|Young"], 4)
    assert {one.group for one in built.examples} == {str(7 + at) for at in range(8)}


def test_what_no_list_has_is_refused(refused: Refused) -> None:
    error = refused(faces(), options=column("label", "Hat"))
    assert (error.code, error.param) == ("schema_mismatch", "label_column")


def test_identities_alone_are_the_classes(take: Take) -> None:
    listed = lines(*([name, 7 + at // 2] for at, name in enumerate(FACES)))
    data = zipped({**pictures(FACES, "img"), "identity_CelebA.txt": listed})
    assert labels(take(data, options=FREE)) == {str(7 + at): 2 for at in range(8)}


def test_two_lists_of_numbers_are_not_persons(refused: Refused) -> None:
    listed = lines(*([name, 7 + at // 2] for at, name in enumerate(FACES)))
    data = zipped({**pictures(FACES, "img"), "kinds.txt": listed, "sorts.txt": listed})
    assert refused(data, options=FREE).code in ("ambiguous_layout", "empty_dataset")


def test_columns_that_are_said_leave_other_tables_their_splits(take: Take) -> None:
    attributes = [["image_id", *NAMES]]
    attributes += [[name, *(at >> bit & 1 for bit in range(3))] for at, name in enumerate(FACES)]
    parts: list[list[Any]] = [["image_id", "partition"]]
    parts += [[name, (at > 9) + (at > 12)] for at, name in enumerate(FACES)]
    files = {"list_attr_celeba.csv": csv(*attributes), "list_eval_partition.csv": csv(*parts)}
    built = take(zipped({**pictures(FACES, "img"), **files}), options=marks("Male", "Young"))
    assert Counter(one.split for one in built.examples) == PARTS


KINDS = ("banded", "dotted", "knitted")
TEXTURES = [f"{kind}/{kind}_000{at}.jpg" for kind in KINDS for at in range(3)]


def textures(second: str = "dotted") -> bytes:
    joint = [[name, name.partition("/")[0], second if at == 0 else ""]
             for at, name in enumerate(TEXTURES)]  # fmt: skip
    folds = {
        f"dtd/labels/{part}{fold}.txt": "\n".join(TEXTURES[(at + fold) % 3 :: 3]).encode()
        for fold in range(1, 5)
        for at, part in enumerate(("train", "val", "test"))
    }
    files = {**pictures(TEXTURES, "dtd/images"), **folds}
    return zipped({**files, "dtd/labels/labels_joint_anno.txt": lines(*joint)})


def test_textures_have_their_folders_labels_and_no_fold(take: Take) -> None:
    built = take(textures(), options=FREE)
    assert labels(built) == dict.fromkeys(KINDS, 3)
    assert {one.split for one in built.examples} == {"train"}
    assert said(built, "one is read (all with label_mode=multi_label)")
    lists = [one for one in built.problems if "which split they are in is not clear" in one.message]
    assert len(lists) == 1
    assert "and 8 more lists" in lists[0].message


def test_and_their_joint_labels_where_several_may_be(take: Take) -> None:
    built = take(textures(), options=SEVERAL)
    assert labels(built) == {"banded": 2, "banded|dotted": 1, "dotted": 3, "knitted": 3}


def test_a_list_that_contradicts_the_folders_is_refused_as_before(refused: Refused) -> None:
    joint = lines(*([name, "dotted", "knitted"] for name in TEXTURES))
    data = zipped({**pictures(TEXTURES, "images"), "labels.txt": joint})
    assert refused(data, options=SEVERAL).code == "ambiguous_layout"


PATIENTS = [f"0000000{at}-1234-4abc-9def-00000000000{at}" for at in range(9)]
CLASSES = ("Normal", "No Lung Opacity", "Lung Opacity")


def lungs(other: str = "1") -> bytes:
    boxes: list[list[Any]] = [["patientId", "x", "y", "width", "height", "Target"]]
    kinds: list[list[Any]] = [["patientId", "class"]]
    for at, name in enumerate(PATIENTS):
        sick = at % 3 == 2
        kinds += [[name, CLASSES[at % 3]]] * (1 + sick)
        boxes += (
            [[name, 2, 3, 10, 12, 1], [name, 12, 3, 8, 12, other]]
            if sick
            else [[name, "", "", "", "", 0]]
        )
    files = {"labels.csv": csv(*boxes), "detailed_class_info.csv": csv(*kinds)}
    return zipped({**pictures([f"{one}.png" for one in PATIENTS], "images"), **files})


def test_two_tables_of_labels_are_refused_with_what_to_say(refused: Refused) -> None:
    error = refused(lungs(), options=FREE)
    assert error.code == "ambiguous_layout"
    assert "label_column=Target or label_column=class" in error.message


@pytest.mark.parametrize(
    ("name", "found"), [("Target", {"0": 6, "1": 3}), ("class", dict.fromkeys(CLASSES, 3))]
)
def test_each_of_which_works(take: Take, name: str, found: dict[str, int]) -> None:
    built = take(lungs(), options=column("label", name))
    assert labels(built) == found
    assert len(built.examples) == 9


def test_rows_that_differ_are_refused(refused: Refused) -> None:
    error = refused(lungs(other="0"), options=column("label", "Target"))
    assert error.code == "duplicate_name"


def test_boxes_alone_that_are_of_one_class_are_too_few(refused: Refused) -> None:
    error = refused(lungs(), options=CROPS)
    assert error.code == "insufficient_classes"
    assert error.message.endswith("found: 1")
