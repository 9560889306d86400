"""How likely a text is, read in an encoding: by the letters that languages use, and where they
stand in words. A few words have to do, so that structure counts for more than frequencies."""

from __future__ import annotations

import re
import unicodedata

TYPOGRAPHIC = frozenset(
    "\u2019\u2018\u201c\u201d\u201e\u2013\u2014\u2026\u20ac\u00a3\u00a7\u00b0\u00ab\u00bb\u2039\u203a\u00b7"
    "\u2022\u00a9\u00ae\u2122\u00b2\u00b3\u00bd\u00bc\u00d7\u00b1\u00b5\u00ba\u00bf\u00a1\u00b4\u00a8\u00a0"
)
_WORD = re.compile(r"[^\W\d_]+(?:[\u0300-\u036f\u0e31-\u0e4e\u064b-\u0652][^\W\d_]*)*")
_LATIN = (
    *("éèêëàâçîïôùûœÿ", "äöüß", "ñáéíóúü", "ãõáâàéêíóôúç", "àèéìòù", "åäöé", "åøæé"),
    *("ąćęłńóśźż", "čďěňřšťůžýáéíóú", "áéíóöőúüű", "ăâîșțşţ", "çğıöşüİâî", "čšžćđ", "čšžäľĺôŕ"),
    *("ąčęėįšųūž", "āčēģīķļņšūž", "áðéíóúýþæö", "ăâđêôơưáàảãạ"),
)
"""The letters of languages, of which one has to have most of a text's."""
_COMMON = {
    "CYRILLIC": "оеаинтсрвлкм",
    "GREEK": "αοιετσνηυρπκμλςάόίέή",
    "ARABIC": "اليمونرتبةعدسفهكقحجأ",
    "THAI": "านรอกเงมยลวดทสตะปบคหแจพชข่้ัิีุูไใโ",
    "HIRAGANA": "のいんしかてっとなにをはるたがでりこれくすまもうあきさよ",
    "KATAKANA": "ーンスルトラリクアドイシレタロフジカ",
}
_USUAL = {"CYRILLIC": "пуяыьгзбчйхжіїє", "GREEK": "ύώδγθχβφξζ"}
_FIRST = {name: frozenset(some + some.upper()) for name, some in _COMMON.items()}
_SECOND = {name: frozenset(some + some.upper()) for name, some in _USUAL.items()}
_HANZI = frozenset(
    "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之年过发后作"
    "里用道行所然家种事成方多经么去法学如都同现当没动面起看定天分还进好小部其些主样理心她本前开但因只从"
    "想实日军者意无力它与长把机十民第公此已工使情明性知全三又关点正业外将两高间由问很最重并物手应战向头"
    "文体政美相见被利什二等产或新己制身果加西斯月话合回特代内信表化老给世位次度门任常先海通教儿原东声提"
    "卡丢失付款退取消账户服务快递收货订单质量差评满意推荐电影书籍酒店房间价格便宜贵猫狗車這個們來國說時會"
    "對於後過還發現樣無長機經點業將兩間問實應戰頭體見產東聲門"
)
_FINAL = frozenset("ךםןףץ\u03c2")
"""Letters at the ends of words alone."""
_APOSTROPHE = "\u2019"
_RARE = frozenset("þðÞÐ")
_WIDE = frozenset({"CJK", "HIRAGANA", "KATAKANA", "HANGUL"})


def plausible(text: str) -> float:
    """From 0 to 1, the mean over what is no ASCII: 1 where each is a usual letter in its place."""
    marks = sum(not mark.isascii() for mark in text)
    if not marks:
        return 1.0
    told = [
        _of_mark(*around)
        for around in zip(" " + text, text, text[1:] + " ", strict=False)
        if around[1] in TYPOGRAPHIC
    ]
    latin = max((frozenset(one + one.upper()) for one in _LATIN), key=lambda one: _in_it(text, one))
    kana = any(_script(mark) in ("HIRAGANA", "KATAKANA") for mark in text)
    for word in _WORD.findall(text):
        told += _of_word(word, latin, kana=kana)
    return sum(told) / marks


def _in_it(text: str, letters: frozenset[str]) -> int:
    return sum(mark in letters for mark in text)


def _of_word(word: str, latin: frozenset[str], *, kana: bool) -> list[float]:
    """A weight for each letter that is no ASCII."""
    scripts = [_script(mark) for mark in word]
    odd = [at for at, mark in enumerate(word) if not mark.isascii()]
    kinds = {scripts[at] for at in odd}
    mixed = len(kinds) > 1 and not kinds & _WIDE
    torn = any(mark.isascii() for mark in word) and kinds != {"LATIN"}
    alone = kinds == {"LATIN"} and len(odd) == len(word) > 2
    spoilt = 0.1 if mixed or torn or alone or not _is_cased(word) else 1.0
    last = len(word) - 1
    return [
        spoilt * _weight(word[at], scripts[at], latin, ends=at == last, kana=kana) for at in odd
    ]


def _of_mark(before: str, mark: str, after: str) -> float:
    """Of a mark that is no letter: within words there are apostrophes alone."""
    inside = before.isalpha() and after.isalpha() and mark != _APOSTROPHE
    return 0.3 if inside or before in TYPOGRAPHIC else 1.0


def _weight(mark: str, script: str, latin: frozenset[str], *, ends: bool, kana: bool) -> float:
    if script == "LATIN":
        return (1.0 if mark not in _RARE else 0.9) if mark in latin else 0.4
    if script == "CJK":
        return _of_hanzi(mark, kana=kana)
    if script == "HANGUL":
        return 0.9 if _in(mark, "euc-kr", 0xB0, 0xC8) else 0.3
    if mark in _FINAL:
        return 1.0 if ends else 0.0
    if script == "HEBREW" or mark in _FIRST.get(script, ()):
        return 1.0
    return 0.2 if script not in _FIRST else 0.8 if mark in _SECOND.get(script, ()) else 0.4


def _of_hanzi(mark: str, *, kana: bool) -> float:
    if kana:
        return 1.0 if _in(mark, "euc-jp", 0xB0, 0xCF) else 0.2
    return 1.0 if mark in _HANZI else 0.5 if _is_level_one(mark) else 0.2


def _is_level_one(mark: str) -> bool:
    """Whether it is one of the 3,755 usual hanzi, a usual kanji, or one of Big5's usual ones."""
    return (
        _in(mark, "gb2312", 0xB0, 0xD7)
        or _in(mark, "euc-jp", 0xB0, 0xCF)
        or _in(mark, "big5", 0xA4, 0xC6)
    )


def _in(mark: str, encoding: str, first: int, last: int) -> bool:
    try:
        return first <= mark.encode(encoding)[0] <= last
    except UnicodeEncodeError:
        return False


def _is_cased(word: str) -> bool:
    """Whether capitals stand where words have them; a long word of capitals beyond ASCII alone is
    what lower case is in another encoding."""
    if word.upper() == word.lower():
        return True
    return word[1:] == word[1:].lower() or (word == word.upper() and len(word) < 4)


def _script(mark: str) -> str:
    if mark.isascii():
        return "ASCII"
    return unicodedata.name(mark, "?").partition(" ")[0].partition("-")[0]
