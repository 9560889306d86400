"""A held-out set that is called like copies is one of its own where no copy to train on is so."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from app.uploads.intake import Built
from tests.archives import png, zipped
from tests.unit.app.uploads.intake.conftest import Take

PLAIN = [str(at) for at in range(10)]
DARK = [f"dark_{at}" for at in range(6)]


def uploaded(take: Take, trained: Sequence[str], held_out: Sequence[str]) -> Built:
    both = [("train", trained), ("test", held_out)]
    names = [f"{top}/{n}/{name}.png" for top, some in both for n in ("ok", "ko") for name in some]
    return take(zipped({name: png(at) for at, name in enumerate(names)}))


def groups(built: Built, split: str) -> list[str]:
    return [one.group for one in built.examples if one.split == split and one.group]


@pytest.mark.parametrize("more", [[], ["0_rot90"], ["0_rot90", "1_rot90", "2_blur", "3_blur"]])
def test_other_copies_to_train_on_say_nothing_of_it(take: Take, more: list[str]) -> None:
    built = uploaded(take, [*PLAIN, *more], DARK)
    assert not groups(built, "test")
    assert len(groups(built, "train")) == 4 * len(more)
    (told,) = [one.message for one in built.problems if one.code == "ambiguous_layout"]
    assert "12 held-out files" in told
    assert "dark_0.png of 0.png" in told
    grouped = [one.message for one in built.problems if one.code == "group_assumed"]
    assert len(grouped) == bool(more)
    assert not any("dark" in one for one in grouped)


@pytest.mark.parametrize(
    ("trained", "held_out"),
    [
        (["dark_0", "dark_1"], ["dark_2", "dark_3", "dark_4"]),
        (["0_rot90", "1_rot90"], ["2_rot90", "3_rot90", "4_rot90"]),
        (["0_flip", "1_flip"], ["2_rot90", "3_rot90", "4_rot90"]),
        (["0_blur", "1_blur"], ["2_dark"]),
    ],
)
def test_what_copies_to_train_on_are_called_or_only_copies_is_no_set_of_its_own(
    take: Take, trained: list[str], held_out: list[str]
) -> None:
    built = uploaded(take, [*PLAIN, *trained], held_out)
    assert len(groups(built, "test")) == 2 * len(held_out)
    assert not [one for one in built.problems if one.code == "ambiguous_layout"]
