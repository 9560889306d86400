"""Custom Vision's UUIDs, spellings and forms."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.compat.custom_vision.naming import (
    ANY_PROJECT,
    alias_of,
    example_id,
    image_uuid,
    job_id,
    outside,
    published_name,
    tag_uuid,
)
from app.compat.custom_vision.pictures import pictures
from app.compat.custom_vision.spelling import lowered
from app.core.errors import HeadstartError
from app.core.ids import as_uuid, from_uuid, new_id

PROJECT = uuid4()


@given(st.integers(0, 2**128 - 1))
def test_ids_and_uuids_are_the_same_bits(number: int) -> None:
    told = UUID(int=number)
    assert as_uuid(from_uuid("ftjob-", told)) == told


def test_every_new_id_has_a_uuid() -> None:
    made = new_id("ftjob-")
    assert job_id(UUID(outside(made))) == made
    model = f"ft:efficientnet_lite0:default:a:{made.removeprefix('ftjob-')}"
    assert outside(model) == outside(made)
    assert outside("other") == outside("other") != outside("another")


@pytest.mark.parametrize("name", ["", "ds_short", "ds_" + "z" * 26, "ds_" + "l" * 26])
def test_what_ends_otherwise_is_no_uuid(name: str) -> None:
    assert as_uuid(name) is None


@given(st.binary(min_size=12, max_size=12))
def test_examples_are_images_and_back(data: bytes) -> None:
    name = f"ex_{data.hex()}"
    assert example_id(image_uuid(name)) == name


def test_a_tag_keeps_its_uuid_within_its_project() -> None:
    assert tag_uuid(PROJECT, "cat") == tag_uuid(PROJECT, "cat") != tag_uuid(uuid4(), "cat")


def test_published_names_are_aliases_of_their_project() -> None:
    alias = alias_of(PROJECT, "v1.2_final")
    assert published_name(PROJECT, alias) == "v1.2_final"
    assert published_name(uuid4(), alias) is None
    assert published_name(PROJECT, "v1.2_final") is None
    assert alias_of(ANY_PROJECT, "cells") == "cells"


@pytest.mark.parametrize("name", ["", "a b", "a@b", "x" * 81, "_a", "é"])
def test_other_published_names_are_refused(name: str) -> None:
    with pytest.raises(HeadstartError):
        alias_of(PROJECT, name)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (
            "/customvision/v3.0/Prediction/AB/classify/iterations/MyModel/image/NoStore",
            "/customvision/v3.0/prediction/ab/classify/iterations/MyModel/image/nostore",
        ),
        (
            "/CustomVision/v3.3/Training/projects/AB/iterations/CD/publish",
            "/customvision/v3.3/training/projects/ab/iterations/cd/publish",
        ),
        ("/customvision/", "/customvision/"),
        ("/customvision/v3.0/Prediction/AB/classify/Iterations", None),
    ],
)
def test_paths_are_read_in_any_case_but_for_published_names(
    path: str, expected: str | None
) -> None:
    assert lowered(path) == (expected or path.lower())


FORM = b'--b\r\ncontent-disposition: form-data; name="%s"%s\r\n\r\n\xff\xd8\r\n--b--\r\n'
TYPE = "multipart/form-data; boundary=b"


@pytest.mark.parametrize("filename", [b"", b'; filename="a.jpg"', b'; filename=""'])
def test_a_picture_needs_no_filename(filename: bytes) -> None:
    assert pictures(FORM % (b"imageData", filename), TYPE) == [b"\xff\xd8"]


def test_a_raw_body_is_the_picture() -> None:
    assert pictures(b"\xff\xd8", "application/octet-stream") == [b"\xff\xd8"]
    assert pictures(b"\xff\xd8", "") == [b"\xff\xd8"]


@pytest.mark.parametrize(
    ("body", "kind", "code"),
    [
        (b"", "application/octet-stream", "image_invalid"),
        (b"{}", "application/json", "unsupported_media_type"),
        (b"--b\r\n", TYPE, "bad_request"),
        (b"--b--\r\n", TYPE, "image_invalid"),
        (b"x", "multipart/form-data", "bad_request"),
        (b"--b\r\ncontent-disposition: form-data\r\n\r\nx\r\n" * 70, TYPE, "bad_request"),
        (FORM.replace(b"\xff\xd8", b"") % (b"imageData", b""), TYPE, "image_invalid"),
    ],
)
def test_bodies_without_a_picture_are_refused(body: bytes, kind: str, code: str) -> None:
    with pytest.raises(HeadstartError) as caught:
        pictures(body, kind)
    assert caught.value.code == code
