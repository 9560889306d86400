"""Names of encodings, and what bytes may be in."""

from __future__ import annotations

import pytest

from app.uploads.text_encodings import codec, known, readings


@pytest.mark.parametrize(
    ("name", "python"),
    [
        ("cp1256", "cp1256"),
        ("gbk", "gbk"),
        ("latin-1", "iso8859-1"),
        ("cp874", "cp874"),
        ("TIS-620", "tis-620"),
        ("utf-8-sig", "utf-8-sig"),
        ("mac_roman", "mac-roman"),
        ("macintosh", "mac-roman"),
        ("ANSI", "cp1252"),
        ("Windows-1251", "cp1251"),
        ("Unicode", "utf-16"),
        ("UTF-8 with BOM", "utf-8-sig"),
        ("windows-31j", "cp932"),
        ("shift_jis", "shift_jis"),
    ],
)
def test_names_of_python_and_excel(name: str, python: str) -> None:
    assert codec(name).name == python
    assert known(name) == name


@pytest.mark.parametrize(
    "name",
    [
        *("rot13", "base64", "hex", "zlib", "idna", "punycode", "unicode_escape", "undefined"),
        *("raw_unicode_escape", "utf-7", "mbcs", "charmap", "aliases", "../utf_8", "x" * 60, ""),
        "utf-8\0",
    ],
)
def test_what_is_no_encoding_of_texts_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no encoding of texts"):
        codec(name)


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("信用卡丢了", "gb18030"),
        ("بطاقتي ضاعت", "windows-1256"),
        ("บัตรหาย", "cp874"),
        ("карта потеряна", "windows-1251"),
        ("très déçu", "windows-1252"),
        ("カードをなくした", "shift_jis"),
        ("žluťoučký kůň", "windows-1250"),
    ],
)
def test_the_right_reading_is_among_those_told(text: str, encoding: str) -> None:
    assert (encoding, text) in readings(text.encode(encoding))
