"""Packs and problems without what is erased."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest

from app.core.errors import HeadstartError
from app.core.manifest import Problem
from app.datasets.erasing import rewriting
from app.datasets.erasing.selecting import Found
from tests.unit.app.datasets.test_content import example

GONE, STAYS = example("a/1.png", "a"), example("a/2.png", "a")


def found() -> Found:
    return Found(contents=frozenset({GONE.content}), ids={GONE.id}, paths={GONE.path})


def hashed(data: bytes) -> str:
    return sha256(data).hexdigest()


def test_a_pack_has_what_stays_and_no_other_byte(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"one" + b"two" + b"three" + b"salt")
    one, three = hashed(b"one"), hashed(b"three")
    made = rewriting.repacked(source, {one: (0, 3), three: (6, 5)}, tmp_path)
    assert made is not None
    data = made.path.read_bytes()
    assert data.startswith(b"onethree")
    assert b"two" not in data
    assert {name: slot.offset for name, slot in made.slots.items()} == {one: 0, three: 3}
    again = rewriting.repacked(source, {one: (0, 3), three: (6, 5)}, tmp_path)
    assert again is not None
    assert again.name != made.name, "no name is ever given twice"
    assert rewriting.repacked(source, {}, tmp_path) is None


def test_damage_is_not_written_anew_under_another_name(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"one" + b"thr")
    with pytest.raises(HeadstartError) as caught:
        rewriting.repacked(source, {hashed(b"one"): (0, 3), hashed(b"three"): (3, 5)}, tmp_path)
    assert caught.value.code == "dataset_corrupt"


def test_problems_tell_no_erased_example_and_lose_no_other() -> None:
    own = Problem(code="image_blank", message="a/1.png: blank", path="a/1.png", example_id=GONE.id)
    rejected = Problem(code="image_invalid", message="a/1.png", path="a/1.png", excluded=True)
    other = Problem(
        code="duplicate_across_splits", message="a/2.png is a/1.png", example_id=STAYS.id,
        excluded=True,
    )  # fmt: skip
    plain = Problem(code="unsupported_member", message="1 .md file ignored")
    left = rewriting.scrubbed([own, rejected, other, plain], found())
    assert [one.code for one in left] == ["duplicate_across_splits", "unsupported_member"]
    assert left[0].message == "The same content is in two splits"
    assert left[0].example_id == STAYS.id
    assert left[0].excluded
    assert left[1] == plain


def test_short_names_hide_nobody_elses_exclusion() -> None:
    """A path that is part of another one costs that a message, and no more."""
    named = Problem(
        code="encoding", message="row a/1.png0 is no text", example_id=STAYS.id, excluded=True
    )
    (left,) = rewriting.scrubbed([named], found())
    assert (left.example_id, left.excluded) == (STAYS.id, True)
