"""Copies that are appended are one group with their originals, which came in an upload before."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from app.core.manifest import Problem
from app.datasets.content import Content, appended, relabelled
from app.uploads.intake import IntakeOptions
from tests.archives import png, zipped
from tests.unit.app.uploads.intake.conftest import Take

ORIGINALS = [f"{label}/{at}.png" for label in "ab" for at in range(4)]
EXPORTED = "a/{}_png.rf.{:032x}.png"


def after(take: Take, *uploads: Sequence[str], tables: Sequence[str] = ()) -> Content:
    """The version that the uploads of these files make, in which every picture is another."""
    content, seen = Content([], []), 0
    for at, names in enumerate(uploads):
        files = {name: png(seen + number) for number, name in enumerate(names)}
        if tables[at:] and tables[at]:
            files["metadata.csv"] = tables[at].encode()
        seen += len(files)
        built = take(zipped(files), options=IntakeOptions(minimum_classes=1 if at else 2))
        revision = appended(
            built.examples, built.problems, minimum_classes=1, groups=built.names_groups
        )
        content = revision.of(content) if at else Content(built.examples, built.problems)
    return content


def groups(content: Content) -> dict[str, set[int]]:
    """The places of the examples by their group."""
    found: dict[str, set[int]] = {}
    for at, one in enumerate(content.examples):
        if one.group:
            found.setdefault(one.group, set()).add(at)
    return found


def told(content: Content) -> list[Problem]:
    return [one for one in content.problems if one.code == "group_assumed"]


@pytest.mark.parametrize(
    "forms", [["{}_rot90"], ["{}_mirror"], ["{}_rot90", "{}_aug_1", "{}_crop"]]
)
def test_a_copy_joins_its_original(take: Take, forms: list[str]) -> None:
    copies = [name[:-4] for name in ORIGINALS]
    sent = [f"{form.format(name)}.png" for name in copies for form in forms]
    content = after(take, ORIGINALS, sent)
    found = groups(content)
    assert len(found) == 8
    assert all(len(places) == 1 + len(forms) for places in found.values())
    for group, places in found.items():
        assert {content.examples[at].path[:3] for at in places} == {group}
    assert any("came in another upload" in one.message for one in told(content))


def test_an_original_that_comes_after_its_copies_joins_them(take: Take) -> None:
    copies = [f"{name[:-4]}_rot90.png" for name in ORIGINALS]
    found = groups(after(take, copies, ORIGINALS))
    assert sorted(map(len, found.values())) == [2] * 8


def test_versions_of_an_export_are_one_group_whatever_upload_they_come_in(take: Take) -> None:
    first = [*(EXPORTED.format(at, 1) for at in range(3)), "b/x.png", "b/y.png"]
    found = groups(after(take, first, [EXPORTED.format(at, 2) for at in range(3)]))
    assert sorted(map(len, found.values())) == [2] * 3


def test_a_picture_of_the_same_upload_goes_before_one_of_that_name_in_another(take: Take) -> None:
    sent = [*ORIGINALS, *(f"{name[:-4]}_rot90.png" for name in ORIGINALS)]
    content = after(take, ORIGINALS, sent)
    assert all(one.group is None for one in content.examples[:8])
    assert len(told(content)) == 1


def test_a_copy_of_either_of_two_of_one_name_is_apart_from_neither(take: Take) -> None:
    copies = [f"{name[:-4]}_rot90.png" for name in ORIGINALS]
    found = groups(after(take, ORIGINALS, ORIGINALS, copies))
    assert sorted(map(len, found.values())) == [3] * 8


def test_a_group_that_somebody_has_said_stays_and_copies_join_it(take: Take) -> None:
    own = "\n".join(["path,label,group", *(f"{name},{name[0]},p{name[2]}" for name in ORIGINALS)])
    copies = [f"{name[:-4]}_rot{turn}.png" for name in ORIGINALS for turn in (90, 180)]
    found = groups(after(take, ORIGINALS, copies, tables=[own]))
    assert {group: len(places) for group, places in found.items()} == {
        f"p{at}": 6 for at in range(4)
    }


def test_an_upload_with_groups_of_its_own_is_asked_nothing(take: Take) -> None:
    copies = [f"{name[:-4]}_rot90.png" for name in ORIGINALS]
    own = "\n".join(["path,label,group", *(f"{name},{name[0]}," for name in copies)]) + "own"
    content = after(take, ORIGINALS, copies, tables=["", own])
    assert set(groups(content)) == {"own"}
    assert not told(content)


def test_what_somebody_has_parted_later_is_not_joined_again(take: Take) -> None:
    copies = [f"{name[:-4]}_rot90.png" for name in ORIGINALS]
    content = after(take, ORIGINALS, copies)
    one = content.examples[8]
    parted = relabelled({one.id: {"group": "another"}}).of(content)
    sent = take(zipped({"a/more.png": png(99)}), options=IntakeOptions(minimum_classes=1))
    again = appended(sent.examples, sent.problems).of(parted)
    assert again.examples[8].group == "another"
    assert again.examples[0].group == "a/0"


def test_rows_of_tables_have_no_names(take: Take) -> None:
    rows = "text,label\n" + "\n".join(f"word {at} here,{'ab'[at % 2]}" for at in range(6))
    first = take(rows.encode(), "x.csv")
    second = take(rows.replace("word", "other").encode(), "x_aug.csv")
    content = appended(second.examples, []).of(Content(first.examples, []))
    assert not groups(content)


def test_held_out_pictures_of_another_light_are_a_set_of_their_own(take: Take) -> None:
    train = [f"train/{label}/{at}.png" for label in "ab" for at in range(5)]
    dark = [f"test/{label}/dark_{at}.png" for label in "ab" for at in range(3)]
    content = after(take, [*train, *dark])
    assert not groups(content)
    (said,) = [one for one in content.problems if "held-out files are called" in one.message]
    assert said.message.startswith("6 held-out files")
    assert not groups(after(take, train, dark))
    copies = ["train/a/0_flip.png", "train/b/0_flip.png"]
    assert groups(after(take, [*train, *dark, "train/a/dark_4.png", "train/b/dark_4.png"]))
    assert groups(after(take, [*train, *copies]))
