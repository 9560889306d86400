"""Examples that cannot be read: a few among many are left out, many refuse the upload."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from app.core.errors import HeadstartError
from app.uploads.intake.built import Built
from tests.archives import folders, picture, png_header, tarred, zipped
from tests.unit.app.uploads.intake.conftest import Take

Refused = Callable[..., HeadstartError]


def counted(built: Built) -> Counter[str]:
    return Counter(one.label for one in built.examples)


def told(built: Built) -> list[tuple[str, str | None, bool]]:
    return [(one.code, one.path, one.excluded) for one in built.problems]


DAMAGED = {
    "a/0.png": (b"%PDF-1.7 no picture", "unsupported_image_format"),
    "a/1.png": (b"only a note", "image_invalid"),
    "b/2.jpg": (picture("JPEG")[:40], "image_truncated"),
    "b/3.jpg": (b"version https://git-lfs.github.com/spec/v1\n", "unsupported_image_format"),
    "b/3.png": (png_header(20_000, 20_000), "image_too_large"),
    "b/4.png": (picture("TIFF"), "unsupported_image_format"),
}


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_a_few_damaged_among_many_are_left_out_and_told(
    take: Take, pack: Callable[..., bytes]
) -> None:
    bad = {name: data for name, (data, _) in DAMAGED.items()}
    built = take(pack({**folders({"a": 21, "b": 21}), **bad}))
    assert counted(built) == {"a": 21, "b": 21}
    assert told(built) == [(code, name, True) for name, (_, code) in DAMAGED.items()]
    assert all("append" in one.message for one in built.problems)


def test_one_more_and_the_upload_is_refused(refused: Refused) -> None:
    bad = {name: data for name, (data, _) in DAMAGED.items()}
    error = refused(zipped({**folders({"a": 20, "b": 21}), **bad}))
    assert [one["param"] for one in error.extra["errors"]] == list(bad)


def test_a_class_of_damaged_files_alone_is_told_to_be_none(take: Take) -> None:
    built = take(zipped({**folders({"a": 9, "b": 9}), "c/0.png": b"", "c/1.png": b"<svg/>"}))
    assert counted(built) == {"a": 9, "b": 9}
    assert told(built)[-1] == ("empty_class", "c", True)


def test_what_damage_leaves_too_few_classes_of_says_both(refused: Refused) -> None:
    error = refused(zipped({**folders({"a": 9}), "b/0.png": b""}))
    assert error.code == "insufficient_classes"
    assert [one["code"] for one in error.extra["errors"]] == [
        "insufficient_classes",
        "image_invalid",
        "empty_class",
    ]


def test_damage_before_what_ends_the_upload_is_listed(refused: Refused) -> None:
    bad = {"a/0.png": b"", "b/inner.png": zipped({"x": b"y"})}
    error = refused(zipped({**folders({"a": 9, "b": 9}), **bad}))
    assert {one["code"] for one in error.extra["errors"]} == {
        "image_invalid",
        "unsupported_member",
    }


def test_texts_that_cannot_be_read_are_left_out_too(take: Take) -> None:
    texts = {f"{label}/{at}.txt": f"{label} {at}".encode() for label in "ab" for at in range(8)}
    built = take(zipped({**texts, "a/latin.txt": b"\xe9t\xe9", "b/nul.txt": b"x\0y"}))
    assert len(built.examples) == 16
    assert sorted(told(built)) == [
        ("encoding", "a/latin.txt", True),
        ("invalid_value", "b/nul.txt", True),
    ]
