"""Names that do not state their code page: read as what they look like, and said."""

from __future__ import annotations

import io
import struct
import tarfile
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.errors import HeadstartError
from app.uploads.intake import Built, IntakeOptions
from app.uploads.intake.code_pages import CodePage, judge
from tests.archives import Raw, png, raw_zip, zipped
from tests.unit.app.uploads.intake.conftest import Take

Refused = Callable[..., HeadstartError]
NAMES = [
    ("gbk", ["良品", "划痕"]),
    ("gbk", ["猫", "狗"]),
    ("gbk", ["合格", "不合格"]),
    ("gbk", ["苹果", "香蕉", "橘子"]),
    ("gbk", ["裂纹", "气孔", "夹杂"]),
    ("cp932", ["良品", "傷"]),
    ("cp932", ["りんご", "みかん", "バナナ"]),
    ("cp932", ["ひび割れ", "正常"]),
    ("cp949", ["고양이", "개"]),
    ("cp949", ["정상", "불량"]),
    ("big5", ["貓", "狗"]),
    ("big5", ["正常", "異常"]),
    ("cp866", ["брак", "норма"]),
    ("cp866", ["Кошка", "Собака"]),
    ("cp1251", ["Яблоко", "Груша"]),
    ("cp1251", ["хорошо", "плохо"]),
    ("cp437", ["größe", "maß"]),
    ("cp437", ["Äpfel", "niño"]),
    ("cp1252", ["café", "thé"]),
]


def archive(encoding: str, names: list[str], system: int = 0) -> bytes:
    members = [f"{name}/{at}.png".encode(encoding) for name in names for at in range(2)]
    return raw_zip([Raw(name, png(at), flags=0, system=system) for at, name in enumerate(members)])


def labels(built: Built) -> set[str]:
    return {str(one["label"]) for one in built.classes}


@pytest.mark.parametrize(("encoding", "names"), NAMES)
def test_what_names_look_like(take: Take, encoding: str, names: list[str]) -> None:
    built = take(archive(encoding, names))
    assert labels(built) == set(names)
    (problem,) = built.problems
    assert (problem.code, problem.excluded) == ("encoding", False)
    assert problem.path is not None
    assert f"read as {encoding}" in problem.message
    assert "filename_encoding" in problem.message
    assert built.notes == [problem.message]


@pytest.mark.parametrize(("encoding", "names"), NAMES)
def test_the_caller_may_say_it(take: Take, encoding: str, names: list[str]) -> None:
    for told in (encoding, "cp437"):
        built = take(
            archive(encoding, names),
            options=IntakeOptions(filename_encoding=told),  # type: ignore[arg-type]
        )
        read = {name.encode(encoding).decode(told) for name in names}
        assert (labels(built), built.problems) == (read, [])


def test_a_page_that_cannot_be_is_refused(refused: Refused) -> None:
    error = refused(
        archive("gbk", ["良品", "划痕"]), options=IntakeOptions(filename_encoding="utf-8")
    )
    assert (error.code, error.param) == ("invalid_value", "filename_encoding")


def test_utf8_names_are_so_whether_it_is_said_or_not(take: Take) -> None:
    for names in (["猫", "犬"], ["größe", "maß"], ["кошка", "é"], ["고양이", "개"]):
        of_unix = take(archive("utf-8", names, system=3))
        assert (labels(of_unix), of_unix.problems) == (set(names), [])
        assert labels(take(archive("utf-8", names))) == set(names)
        told = take(zipped({f"{name}/1.png": png(at) for at, name in enumerate(names)}))
        assert (labels(told), told.problems) == (set(names), [])


def test_windows_names_that_happen_to_be_utf8(take: Take) -> None:
    """`猫` is C3 A8 in gbk, which UTF-8 has as `è`."""
    assert labels(take(archive("gbk", ["猫", "dog"]))) == {"猫", "dog"}
    assert labels(take(archive("utf-8", ["è", "dog"], system=3))) == {"è", "dog"}


def unicode_path(name: str, of: bytes) -> bytes:
    data = struct.pack("<BL", 1, zlib.crc32(of)) + name.encode()
    return struct.pack("<HH", 0x7075, len(data)) + data


def test_the_unicode_path_field_says_the_name(take: Take) -> None:
    names = ["брак/1.png", "норма/2.png"]
    members = [
        Raw(name.encode("cp866"), png(at), flags=0, system=0,
            extra=struct.pack("<HH", 0x5455, 1) + b"x" + unicode_path(name, name.encode("cp866")))
        for at, name in enumerate(names)
    ]  # fmt: skip
    built = take(raw_zip(members))
    assert (labels(built), built.problems) == ({"брак", "норма"}, [])


def test_a_unicode_path_field_of_another_name_says_nothing(take: Take) -> None:
    """Whoever renames a member without knowing of the field leaves it stale: its CRC tells."""
    stale = unicode_path("old/1.png", b"old")
    built = take(raw_zip([Raw("new/1.png", png(1), extra=stale), Raw("other/2.png", png(2))]))
    assert labels(built) == {"new", "other"}


@pytest.mark.parametrize("field", [b"", b"\x75\x70", b"\x75\x70\xff\xff\1", b"\x75\x70\4\0\1aaa"])
def test_broken_extra_fields_are_passed_over(take: Take, field: bytes) -> None:
    members = [Raw("größe/1.png".encode("cp437"), png(1), flags=0, system=0, extra=field),
               Raw("b/1.png", png(2))]  # fmt: skip
    assert labels(take(raw_zip(members))) == {"größe", "b"}


def test_tars_in_other_code_pages(take: Take) -> None:
    out = io.BytesIO()
    with tarfile.open(
        fileobj=out, mode="w", format=tarfile.GNU_FORMAT, encoding="gbk", errors="strict"
    ) as made:
        for at, name in enumerate(["良品", "划痕"]):
            info = tarfile.TarInfo(f"{name}/1.png")
            info.size = len(png(at))
            made.addfile(info, io.BytesIO(png(at)))
    built = take(out.getvalue(), "x.tar")
    assert labels(built) == {"良品", "划痕"}
    assert [one.code for one in built.problems] == ["encoding"]


@given(st.lists(st.binary(max_size=12), max_size=8), st.booleans())
def test_whatever_names_are_they_are_read_in_one_way(names: list[bytes], of_windows: bool) -> None:
    page = judge(names, of_windows=of_windows)
    assert page == judge(list(reversed(names)), of_windows=of_windows)
    assert all(isinstance(page.decode(name), str) for name in names)
    if all(name.isascii() for name in names):
        assert page == CodePage("utf-8")
