"""Labels that say that there is none."""

from __future__ import annotations

import pytest

from app.core.no_labels import may_be_none, unlabelled


@pytest.mark.parametrize("name", ["Unlabeled", "_unlabelled", "Not Labeled", "no_label"])
def test_what_says_so_is_found_beside_several_classes(name: str) -> None:
    assert unlabelled(["cat", "dog", name]) == {name}
    assert unlabelled(["positive", name]) == set()
    assert unlabelled([name]) == set()


def test_all_ways_of_saying_it_are_one() -> None:
    assert unlabelled(["cat", "Unlabeled", "unlabelled"]) == set()
    assert unlabelled(["cat", "dog", "Unlabeled", "unlabelled"]) == {"Unlabeled", "unlabelled"}


@pytest.mark.parametrize(
    ("name", "doubtful"),
    [
        *[("New folder", True), ("New folder (2)", True), ("Neuer Ordner", True)],
        *[("_unsorted", True), ("To-Label", True), ("unknown", True), ("Unlabeled", True)],
        *[("none", False), ("other", False), ("newfoundland", False), ("pending", False)],
        *[("background", False), ("neutral", False), ("unknown soldier", False), ("", False)],
    ],
)
def test_what_may_be_none(name: str, doubtful: bool) -> None:
    assert may_be_none(name) is doubtful
