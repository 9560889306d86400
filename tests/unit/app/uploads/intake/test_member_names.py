"""Names of members, and all that may be wrong with several of them at once."""

from __future__ import annotations

import tarfile
from collections.abc import Callable

import pytest

from app.core.errors import HeadstartError
from app.uploads.intake import IntakeOptions, Limits
from tests import archives
from tests.archives import Raw, folders, png, raw_zip, tarred, zipped
from tests.unit.app.uploads.intake.conftest import Take

Refused = Callable[..., HeadstartError]
GOOD = folders({"a": 3, "b": 2})


def labels(built: object) -> dict[str, int]:
    return {one["label"]: one["count"] for one in built.classes}  # type: ignore[attr-defined]


@pytest.mark.parametrize("system", [0, 10, 11, 14])
def test_folders_as_powershell_5_parts_them(take: Take, system: int) -> None:
    members = [Raw(name.replace("/", "\\"), data, system=system) for name, data in GOOD.items()]
    assert labels(take(raw_zip(members))) == {"a": 3, "b": 2}


@pytest.mark.parametrize(
    "name", ["..\\x.png", "a\\..\\..\\x.png", "C:\\x.png", "\\x.png", "\\\\h\\x"]
)
def test_folders_of_windows_that_leave_the_archive(refused: Refused, name: str) -> None:
    good = [Raw(path, data, system=0) for path, data in GOOD.items()]
    assert refused(raw_zip([*good, Raw(name, png(9), system=0)])).code == "unsafe_path"


def test_other_writers_are_told_what_to_do(refused: Refused) -> None:
    error = refused(zipped({**GOOD, "a\\x.png": png(9)}))
    assert (error.code, error.param) == ("unsafe_path", "a\\x.png")
    assert "PowerShell 5" in error.message


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.FIFOTYPE])
def test_links_among_junk_are_junk(take: Take, kind: bytes) -> None:
    built = take(archives.tar_with(kind, name=".git/link"), "x.tar")
    assert labels(built) == {"a": 2, "b": 2}
    assert [one.code for one in built.problems] == ["unsupported_member"]


def test_a_refusal_lists_all_that_is_wrong(refused: Refused) -> None:
    bad = {"../x": b"", "a/\x07.png": b"", "/y": b"", "a/ok.png": png(9)}
    error = refused(zipped({**bad, **GOOD}))
    told = error.extra["errors"]
    assert [one["code"] for one in told] == ["unsafe_path", "unsafe_name", "unsafe_path"]
    assert (error.code, error.message, error.param) == tuple(
        told[0][key] for key in ("code", "message", "param")
    )


def test_a_refusal_lists_a_hundred(refused: Refused) -> None:
    error = refused(zipped({f"a/{at}.png": b"" for at in range(150)} | GOOD))
    assert len(error.extra["errors"]) == 100
    assert {one["code"] for one in error.extra["errors"]} == {"image_invalid"}


def test_damage_after_other_faults_is_listed_too(refused: Refused) -> None:
    members = [
        Raw("a/0.png", b""),
        *(Raw(name, data) for name, data in GOOD.items() if "0000" not in name),
    ]
    error = refused(raw_zip([*members, Raw("b/9.png", png(9), told_crc=1)]))
    assert [one["code"] for one in error.extra["errors"]] == ["image_invalid", "archive_corrupt"]


@pytest.mark.parametrize("pack", [zipped, tarred])
@pytest.mark.parametrize("name", ["../x.png", "/x.png", "C:\\x.png", "a\\x.png", "a/../../x.png"])
def test_unsafe_paths(refused: Refused, pack: Callable[..., bytes], name: str) -> None:
    error = refused(pack({**GOOD, name: png(9)}))
    assert error.code == "unsafe_path"
    assert error.param is not None


@pytest.mark.parametrize("pack", [zipped, tarred])
@pytest.mark.parametrize("name", ["a/\x1b[31m.png", "a/x\u202egnp.exe", "a/\x07.png"])
def test_unsafe_names(refused: Refused, pack: Callable[..., bytes], name: str) -> None:
    assert refused(pack({**GOOD, name: png(9)})).code == "unsafe_name"


def test_names_that_are_not_text(refused: Refused) -> None:
    assert refused(raw_zip([Raw(b"a/\xff.png", png(1))])).code == "unsafe_name"
    assert refused(raw_zip([Raw("a/\0.png", png(1))])).code == "unsafe_name"


@pytest.mark.parametrize("pack", [zipped, tarred])
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (f"a/{'x' * 5000}.png", "unsafe_name"),
        (f"../{'x' * 5000}", "unsafe_name"),
        (f"{'x' * 5000}/", "label_too_long"),
        (f"{'x' * 5000}/1.png", "label_too_long"),
    ],
)
def test_names_without_end(
    refused: Refused, pack: Callable[..., bytes], name: str, expected: str
) -> None:
    assert refused(pack({**GOOD, name: b""})).code == expected


def test_many_long_names(refused: Refused) -> None:
    """Of a tar as of a zip: names are held in memory."""
    many = {f"a/{'x' * 3000}{at}.png": png(at) for at in range(8)}
    few = IntakeOptions(limits=Limits(directory_bytes=20_000))
    assert refused(tarred(many), options=few).code == "too_many_entries"


def test_the_same_name_twice(refused: Refused) -> None:
    pairs = [("a/x.png", png(1)), ("a/x.png", png(2)), ("b/./y.png", png(3)), ("b/y.png", png(4))]
    error = refused(zipped(pairs))
    assert (error.code, error.param) == ("duplicate_name", "a/x.png")
    assert [one["param"] for one in error.extra["errors"]] == ["a/x.png", "b/y.png"]


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_names_that_differ_in_case_or_composition_only_are_two(
    take: Take, pack: Callable[..., bytes]
) -> None:
    """Nothing is written under them, so that nothing can collide."""
    names = ["A/0.png", "a/0.png", "B/é.png", "B/e\u0301.png"]
    built = take(pack({name: png(at) for at, name in enumerate(names)}), "x")
    assert labels(built) == {"A": 1, "a": 1, "B": 2}
    assert [one.code for one in built.problems] == ["label_collision"]
