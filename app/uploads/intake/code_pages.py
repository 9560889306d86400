"""The code page of names that do not state theirs, judged over all names of an archive together.

Folder names are too short for statistics of letters, so their structure decides: which rows of its
page a name's characters stand in, and whether words are whole. What was assumed is always said.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from app.core.errors import HeadstartError
from app.core.manifest import Problem
from app.uploads.intake.names import shown
from app.uploads.text_encodings import codec

OFFERED = (
    "utf-8", "cp437", "cp850", "cp852", "cp866", "cp1250", "cp1251", "cp1252", "cp1253", "cp1254",
    "cp1255", "cp1256", "koi8-r", "latin-1", "gbk", "gb18030", "big5", "shift_jis", "euc_jp",
    "euc_kr", "cp932", "cp949", "cp950",
)  # fmt: skip
"""What the console offers; a caller may say any encoding of texts that Python knows."""
PLAUSIBLE = 0.75
_WORD = re.compile(r"[^\W\d_]+")
_FIELD = "filename_encoding"


@dataclass(frozen=True, slots=True)
class CodePage:
    """How names are decoded: the page, whether each is tried as UTF-8 first, whether it is sure."""

    encoding: str
    utf8_first: bool = False
    assumed: bool = False

    def decode(self, name: bytes) -> str:
        """The name as text. Raises invalid_value where the page that was asked for has it not."""
        if self.utf8_first:
            text = decoded(name, "utf-8")
            if text is not None:
                return text
        text = decoded(name, self.encoding)
        if text is None:
            why = f"a member's name is not {self.encoding}: {name[:80]!r}"
            raise HeadstartError("invalid_value", why, param=_FIELD)
        return text


def judge(
    names: Sequence[bytes], *, asked: str | None = None, of_windows: bool = False
) -> CodePage:
    """The page of `names` that state none: the one `asked` for, else what they look like.

    `of_windows` says that the writer was no Unix, where unstated names are hardly ever UTF-8.
    """
    if asked is not None:
        return CodePage(codec(asked).name)
    foreign = [name for name in set(names) if not name.isascii()]
    if not foreign:
        return CodePage("utf-8")
    texts = _all(foreign, "utf-8")
    wide = _best(_MULTIBYTE, foreign)
    if texts is not None and not (of_windows and wide and _of_odd_letters(texts)):
        narrow = all(ord(mark) < 0x800 for mark in "".join(texts))
        return CodePage("utf-8", assumed=of_windows and narrow)
    if wide is not None:
        return CodePage(wide, assumed=True)
    rest = [name for name in foreign if decoded(name, "utf-8") is None]
    narrow_page = _best(_CYRILLIC, rest) or _latin(rest)
    return CodePage(narrow_page, utf8_first=True, assumed=True)


def assumption(assumed: CodePage, paths: Sequence[str]) -> Problem:
    """What was taken for the page of `paths` that state none, and how to say another one."""
    read = [path for path in paths if not path.isascii()]
    example = f", the first of them {shown(read[0])}" if read else ""
    message = (
        f"{len(read)} name(s) state no code page and are read as {assumed.encoding}{example}; "
        f"if that is wrong, send the file again with the form field {_FIELD}"
    )
    return Problem(code="encoding", message=message, path=read[0] if read else None)


def decoded(name: bytes, encoding: str) -> str | None:
    """The name in `encoding`, None where it is not."""
    try:
        return name.decode(encoding)
    except UnicodeDecodeError:
        return None


def _all(names: Sequence[bytes], encoding: str) -> list[str] | None:
    texts = [decoded(name, encoding) for name in names]
    kept = [text for text in texts if text is not None]
    return kept if len(kept) == len(texts) else None


def _of_odd_letters(texts: Sequence[str]) -> bool:
    """Whether every word with an accent consists of accented letters only, as no word does."""
    words = [word for text in texts for word in _WORD.findall(text) if not word.isascii()]
    return all(0x80 <= ord(mark) < 0x250 for word in words for mark in word)


Score = Callable[[Sequence[str]], float]


def _best(scores: dict[str, Score], names: Sequence[bytes]) -> str | None:
    """The page that fits all names best, the first of equals; None where none is plausible."""
    fitting = {
        encoding: score(texts)
        for encoding, score in scores.items()
        if (texts := _all(names, encoding)) is not None
    }
    best = max(fitting, key=lambda encoding: fitting[encoding], default=None)
    return best if best is not None and fitting[best] >= PLAUSIBLE else None


def _by_rows(
    encoding: str, rows: Collection[int], *, trails: int = 0xA1, common: str = ""
) -> Score:
    """How many of the characters stand in the `rows` of usual ones, or are `common`.

    One between ASCII letters, or that takes one for its second byte, is torn out of a Latin word.
    """

    def weight(before: str, mark: str, after: str) -> float:
        code = mark.encode(encoding)
        sides = [side.isascii() and side.isalpha() for side in (before, after)]
        if all(sides) or (any(sides) and len(code) == 2 and code[1] < 0x80):
            return 0.0
        usual = len(code) == 2 and code[0] in rows and code[1] >= trails
        return (1.0 if usual else 0.1) + (0.5 if mark in common else 0.0)

    def score(texts: Sequence[str]) -> float:
        text = f"/{'/'.join(texts)}/"
        weights = [
            weight(*text[at - 1 : at + 2]) for at, mark in enumerate(text) if not mark.isascii()
        ]
        return sum(weights) / max(1, len(weights))

    return score


def _whole_words(texts: Sequence[str]) -> float:
    """The share of words with a Cyrillic letter that are wholly Cyrillic, in a case that is one."""
    words = [word for text in texts for word in _WORD.findall(text) if not word.isascii()]
    marks = [mark for text in texts for mark in text if not mark.isascii()]
    if len(marks) < 3 or not all("\u0400" <= mark < "\u0460" for mark in marks):
        return 0.0
    whole = [
        word
        for word in words
        if not any(map(str.isascii, word)) and (word[1:].islower() or word.isupper())
    ]
    low = sum(map(str.islower, marks)) / len(marks)
    return 0.9 * len(whole) / len(words) + 0.1 * low


def _latin(names: Sequence[bytes]) -> str:
    """Windows' page where it has more letters than the zip's own, which else it is."""
    fitting = [encoding for encoding in ("cp437", "cp1252") if _all(names, encoding) is not None]
    return max(fitting, key=lambda encoding: _letters(names, encoding))


def _letters(names: Sequence[bytes], encoding: str) -> int:
    text = "".join(name.decode(encoding) for name in names)
    return sum(mark.isalpha() and 0x80 <= ord(mark) < 0x250 for mark in text)


_HANZI = (
    "的一不大小高中低上下左右前后内外正常好坏良品合格否缺陷划痕裂纹气孔污渍破损锈杂异物"
    "猫狗鸟鱼马牛羊猪鸡鸭兔蛇虎花草树叶果苹香蕉橘橙梨桃葡萄瓜菜米面水火土木金人男女老少"
    "车船飞机汽公路山海天云雨雪风日月红黄蓝绿白黑灰色积极消负面中性其他类型训练测试图片"
    "新闻体育财经科技娱乐教健康医生病肺炎癌肿瘤手脚头眼耳口鼻笔书桌椅瓶杯玫瑰郁金香有无"
    "貓鳥魚馬豬雞鴨樹葉蘋蘿蔔車機雲風紅黃藍綠積極類訓練測試圖異損裂紋瑕疵傷"
)
_HANGUL = (
    "가각간갈감강개거건검게격결경계고곡공과관광교구국군권그글금기길김나남내너노농누눈는다단달당대"
    "더도독동되두드등디라락란람래량러레려력로료루류르름리린림마만말매머면명모목무문물미민바박반발"
    "방배백번범법변병보복본부북분불비빨사산상새색생서석선설성세소속손수순술스시식신실심아악안않양"
    "어언업없에여역연열영예오온올와왕외요용우운울원월위유은을음의이인일임입있자작장재저적전정제조"
    "족존종좌주중즈지직진질집차참창채책처천철청체초총최추축출치타탄터토통트튤파판팔포표품프피하학"
    "한함합항해행향현형호화환황회후훈흑흰희고양개긍립"
)
_MULTIBYTE: dict[str, Score] = {
    "gbk": _by_rows("gbk", range(0xB0, 0xD8), common=_HANZI),
    "cp932": _by_rows("cp932", [0x82, 0x83, *range(0x88, 0x99), *range(0xE0, 0xE3)], trails=0x40),
    "cp949": _by_rows("cp949", range(0xB0, 0xC9), common=_HANGUL),
    "big5": _by_rows("big5", range(0xA4, 0xC7), trails=0x40, common=_HANZI),
}
_CYRILLIC: dict[str, Score] = dict.fromkeys(("cp866", "cp1251", "koi8-r"), _whole_words)
