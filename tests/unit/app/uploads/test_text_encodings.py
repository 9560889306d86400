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


PHRASES = {
    "windows-1252": "très déçu|Überweisung fehlgeschlagen, Größe|señor, ¿dónde está?",
    "windows-1250": "žluťoučký kůň|zażółć gęślą jaźń|nagyon jó, köszönöm szépen, őrült",
    "windows-1251": "карта потеряна|Где мой заказ?|дякую, все добре",
    "windows-1253": "η κάρτα μου χάθηκε|Ευχαριστώ πολύ",
    "windows-1254": "çok güzel değil|şifre değişmiyor, çok yavaş",
    "windows-1255": "הכרטיס שלי אבד|שלום לכולם",
    "windows-1256": "بطاقتي ضاعت|شكرا جزيلا",
    "cp874": "บัตรหาย|สินค้าดีมาก",
    "gb18030": "信用卡丢了|质量很好|退款",
    "big5": "信用卡不見了|這個電影很好看",
    "shift_jis": "カードをなくした|返金してください",
    "euc-jp": "カードをなくした|とても良いです",
    "euc-kr": "카드를 잃어버렸어요|배송이 늦어요",
    "koi8-r": "карта потеряна|Где мой заказ?",
    "mac_roman": "très déçu|Größe Überweisung",
    "cp850": "très déçu|Größe Überweisung",
}


@pytest.mark.parametrize(
    ("encoding", "text"),
    [(encoding, one) for encoding, some in PHRASES.items() for one in some.split("|")],
)
def test_the_most_plausible_reading_is_told_first(encoding: str, text: str) -> None:
    for line in (text, f"17,{text},complaint"):
        assert readings(line.encode(encoding))[0][1] == line


def test_marks_of_word_processors_are_no_letters_of_others() -> None:
    for text in ("it doesn\u2019t work", "\u201cgreat\u201d \u2013 loved it", "\u00a35 caf\u00e9"):
        assert readings(text.encode("windows-1252"))[0] == ("windows-1252", text)
