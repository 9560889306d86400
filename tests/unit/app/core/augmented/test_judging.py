"""Which examples are copies of another, and which of a picture's stands for it."""

from __future__ import annotations

import pytest

from app.core.augmented.judging import copies_among
from app.core.manifest import Example

FIRST, SECOND = ".rf.0123456789abcdef01.jpg", ".rf.1123456789abcdef01.jpg"


def copies(groups: dict[str, str | None], label: str = "a") -> list[str]:
    """The paths of what is a copy among paths with their groups."""
    examples = [
        Example(
            id=f"ex_{path}", sha256=path, label=label, group=group, path=path,
            pack="p", offset=0, length=1,
        )
        for path, group in groups.items()
    ]  # fmt: skip
    found = copies_among(examples)
    return sorted(one.path for one in examples if one.id in found)


@pytest.mark.parametrize("copy", ["1_flip", "1_crop", "dark_1", "1 - Copy", "1_0_4321", "1_ROT90"])
def test_what_a_group_and_a_name_tell_is_a_copy(copy: str) -> None:
    assert copies({"a/1.jpg": "a/1", f"a/{copy}.jpg": "a/1", "a/2.jpg": None}) == [f"a/{copy}.jpg"]


def test_a_copy_of_a_copy_is_one() -> None:
    names = ["cat", "cat_flip", "bright_cat_flip"]
    found = copies({f"a/{name}.jpg": "a/cat" for name in names})
    assert found == ["a/bright_cat_flip.jpg", "a/cat_flip.jpg"]


@pytest.mark.parametrize(
    ("group", "names"),
    [
        ("1", ["1_flip.jpg", "1_rot90.jpg", "1_rot180.jpg"]),
        ("aug_0", ["aug_0_1234.png", "aug_0_5678.png"]),
        ("a/1_jpg", [f"1_jpg{FIRST}", f"1_jpg{SECOND}"]),
    ],
)
def test_one_stands_for_a_picture_that_is_not_there(group: str, names: list[str]) -> None:
    assert len(copies(dict.fromkeys(names, group))) == len(names) - 1


def test_names_alone_tell_nothing() -> None:
    assert copies({"a/1.jpg": None, "a/1_flip.jpg": None, f"a/2_jpg{FIRST}": None}) == []


def test_a_group_that_somebody_said_has_copies_only_where_names_say_nothing_else() -> None:
    of_one = ["sofa.jpg", "sofa_gray.jpg", "sofa_flip.jpg", "lamp_flip.jpg"]
    assert copies(dict.fromkeys(of_one, "a house")) == ["sofa_flip.jpg"]


def test_months_are_no_copies() -> None:
    of_one = ["cam.jpg", "cam_Aug_01.jpg", "cam_Sep_01.jpg"]
    assert copies(dict.fromkeys(of_one, "yard")) == []


def test_other_labels_and_rows_of_tables_are_no_copies() -> None:
    assert copies(dict.fromkeys(["t.csv:1", "t.csv:2"], "t")) == []
    first = Example(
        id="1", sha256="1", label="a", group="1", path="1.jpg", pack="p", offset=0, length=1
    )
    other = first.model_copy(update={"id": "2", "path": "1_flip.jpg", "label": "b"})
    assert copies_among([first, other]) == frozenset()
