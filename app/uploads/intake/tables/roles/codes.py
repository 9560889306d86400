"""Splits that are said in numbers, by the habits of public data sets."""

from __future__ import annotations

from collections.abc import Mapping

from app.core.manifest import Split
from app.uploads.intake.splits import SPLITS

CODES: Mapping[str, Split] = {"0": "train", "1": "val", "2": "test"}
"""What CelebA, WILDS and others number their partitions by."""
IN_TRAINING: Mapping[str, Split] = {"1": "train", "0": "test"}
"""What CUB and NABirds say in `train_test_split.txt`: whether a picture is trained on."""


def codes(counts: Mapping[str, int], *, of_training: bool) -> Mapping[str, Split] | None:
    """What a split's values mean, by how many rows have each; None where that is not sure.

    `of_training` says that 1 is what is trained on, which should not be far less than the rest.
    """
    said = {one.strip().casefold(): count for one, count in counts.items()}
    if said.keys() <= SPLITS.keys():
        return {one: SPLITS[one.strip().casefold()] for one in counts}
    total = sum(said.values())
    if of_training and said.keys() == {"0", "1"} and 5 * said["1"] >= 2 * total:
        return IN_TRAINING
    whole = said.keys() == CODES.keys() and 2 * said["0"] >= total
    return CODES if whole else None


def coded(known: Mapping[str, Split]) -> str | None:
    """How numbers of splits were read; nothing of words."""
    if known.keys() <= SPLITS.keys() or not all(map(str.isdecimal, known)):
        return None
    return "it says splits in numbers: " + ", ".join(
        f"{number} is read as {split}" for number, split in sorted(known.items())
    )
