"""What is told of examples that are almost the same."""

from __future__ import annotations

from typing import Any

import pytest

from app.core.manifest import Example
from worker.trainer.inputs.near_copies import NearCopies


def group(*told: tuple[str, str]) -> list[Example]:
    return [
        Example(
            id=f"ex_{label}_{number}",
            path=f"{label}/{number}.png",
            sha256=f"{number:064x}",
            label=label,
            split=split,
            pack="p",
            offset=0,
            length=1,
        )
        for number, (label, split) in enumerate(told)
    ]


def problems(*groups: list[Example], modality: Any = "image") -> list[tuple[str, bool]]:
    found = NearCopies(groups, 10, modality).problems
    assert all(one.example_id is not None for one in found), "said anew of every version"
    return [(one.code, one.excluded) for one in found]


@pytest.mark.parametrize("modality", ["image", "text"])
@pytest.mark.parametrize("split", ["train", "test"])
def test_several_labels_in_one_split_are_told_and_kept(modality: Any, split: str) -> None:
    contrary = group(("hat", split), ("hat", split), ("shoe", split))
    assert problems(contrary, modality=modality) == [("label_conflict", False)]
    (told,) = NearCopies([contrary], 10, modality).problems
    assert told.path == "shoe/2.png"
    assert "as hat/0.png under another label (hat and shoe)" in told.message
    assert ("the little that differs" in told.message) == (modality == "text")


def test_one_label_is_no_conflict() -> None:
    assert problems(group(("hat", "train"), ("hat", "train"))) == []


def test_another_label_in_another_split_is_a_leak() -> None:
    assert problems(group(("hat", "train"), ("shoe", "test"))) == [
        ("duplicate_across_splits", True)
    ]


def test_many_are_counted() -> None:
    many = [group(("hat", "train"), ("shoe", "train")) for _ in range(50)]
    found = NearCopies(many, 100, "image").problems
    assert len(found) == 20
    assert found[-1].message.endswith("(and so with 30 more)")
