"""Crops that are added to a dataset: whose picture they are cut out of is asked by its content."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import pytest

from app.core import manifest
from app.core.manifest import Example
from app.datasets.content import Content, appended


def sha(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()


def crop(path: str, source: str | None, group: str | None, **told: Any) -> Example:
    """A crop of the picture that is called `source`, or, without one, a whole picture."""
    own = sha(path if source else str(told.pop("content", path)))
    name = manifest.example_id(sha256=own, path=path)
    facts = {"id": name, "sha256": own, "label": "ab"["#2" in path], "path": path, "pack": "p"}
    facts |= {"offset": 0, "length": 1, "group": group, "source": source and sha(source)}
    return Example(**(facts | told))


BASE = [crop("a#1.png", "A", "a.jpg", split="test"), crop("a#2.png", "A", "a.jpg", split="test")]
BASE += [crop("b#1.png", "B", "b.jpg"), crop("b#2.png", "B", "b.jpg")]


def added(sent: Sequence[Example], base: Sequence[Example] = BASE, **told: Any) -> Content:
    return appended(sent, [], groups=True, **told).of(Content(base, []))


def last(found: Content) -> tuple[str | None, str]:
    return found.examples[-1].group, found.examples[-1].split


@pytest.mark.parametrize("path", ["a#3.png", "images/other#3.png"])
def test_a_further_box_is_where_its_picture_is(path: str) -> None:
    picture = path.partition("#")[0] + ".jpg"
    found = added([crop(path, "A", picture)], splits=False)
    assert last(found) == ("a.jpg", "test")
    (told,) = found.problems
    assert "1 of them held out as those are" in told.message


def test_a_split_that_is_said_holds() -> None:
    found = added([crop("a#3.png", "A", "a.jpg")], splits=True)
    assert last(found) == ("a.jpg", "train")
    assert any("is in test and train" in one.message for one in found.problems)


def test_a_group_that_is_said_holds() -> None:
    assert last(added([crop("a#3.png", "A", "farm 7")], splits=False)) == ("farm 7", "train")


def test_a_group_that_was_said_takes_further_boxes() -> None:
    base = [one.model_copy(update={"group": "farm 7"}) for one in BASE]
    assert last(added([crop("z#3.png", "A", "z.jpg")], base, splits=False))[0] == "farm 7"
    again = added([crop("z#1.png", "A", "z.jpg", sha256=sha("a#1.png"))], base, splits=False)
    assert {one.group for one in again.examples} == {"farm 7"}


def test_another_picture_of_that_name_is_a_group_of_its_own() -> None:
    found = added([crop("a#3.png", "C", "a.jpg"), crop("a#4.png", "C", "a.jpg")], splits=False)
    group, split = last(found)
    assert (group, split) == (f"a.jpg {sha('C')[:8]}", "train")
    assert any("called as others" in one.message for one in found.problems)
    more = added([crop("a#5.png", "C", "a.jpg")], found.examples, splits=False)
    assert last(more) == (group, "train")


def test_versions_of_one_picture_are_no_others() -> None:
    one, other = (f"a_jpg.rf.{letter * 32}" for letter in "xy")
    base = [*BASE, crop(f"{one}#1.png", "V", "a_jpg")]
    found = added([crop(f"{other}#1.png", "W", "a_jpg")], base, splits=False)
    assert last(found) == ("a_jpg", "train")


def test_what_was_cut_before_sources_were_kept_is_told_by_its_name() -> None:
    base = [one.model_copy(update={"source": None}) for one in BASE]
    assert last(added([crop("a#3.png", "A", "a.jpg")], base, splits=False)) == ("a.jpg", "train")


def test_a_whole_picture_joins_its_crops_and_they_it() -> None:
    whole = crop("x.jpg", None, None, content="A")
    found = added([whole], splits=False)
    assert last(found) == ("a.jpg", "test")
    crops = added(BASE[:2], [whole, crop("y.jpg", None, None)], splits=False)
    assert [one.group for one in crops.examples] == ["a.jpg", None, "a.jpg", "a.jpg"]
