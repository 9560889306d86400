"""When two texts are one but for little: what never counts, and how much more may differ."""

from __future__ import annotations

import html
import re
import unicodedata
from itertools import takewhile

import numpy as np
from numpy.typing import NDArray

SAME = 0.9
"""Jaccard's coefficient, of sets of five characters in a row, from which two texts are one: a word
changed among fifty, not among ten."""
WIDTH = 5
"""Characters in a row."""
WHOLE = 16
"""Characters of a text from which it is told within a longer one, or by all but a slip."""
MOST_AROUND = 1.5
"""What a text may have around or behind another, as a multiple of that other's length: a greeting
and a signature, or a text cut short."""
LEAST_SLIPPED = 5
"""Letters of a word that may have one letter more, less or another: shorter ones become others."""
WORDS_A_SLIP = 5
SENTENCES = 200
"""Characters from which a number may be another, too."""
_TOLD_APART = re.compile(r"(?:https?://|www\.)\S+|(?<!\w)(?:rt\s+)?@\w+:?")
"""Addresses, and whom a post answers or repeats."""
_BETWEEN = re.compile(r"[\W_]+")
_AGAIN = re.compile(r"([^\W\d_])\1+")
_NUMBERS = re.compile(r"\d+")
_LETTERS = re.compile(r"[^\W\d_]+")
Hashes = NDArray[np.uint64]


def plain(text: str) -> str:
    """Letters, the marks on them and digits alone, in small, with one blank between words; without
    addresses on the web and names of accounts."""
    folded = unicodedata.normalize("NFKC", html.unescape(text)).casefold()
    return _BETWEEN.sub(_marks, _TOLD_APART.sub(" ", folded)).strip()


def squeezed(plainly: str) -> str:
    """A longer text with no letter twice in a row."""
    return _AGAIN.sub(r"\1", plainly) if len(plainly) >= WHOLE else plainly


def alike(one: str, other: str) -> bool:
    """Whether two squeezed texts are almost the same."""
    short, long = sorted((one, other), key=len)
    return short == long or _within(short, long) or _slipped(short, long) or _shared(short, long)


def hashes(plainly: str, width: int = WIDTH) -> Hashes:
    """A number for every `width` characters in a row; for a shorter text, one."""
    codes = np.frombuffer(plainly.ljust(width).encode("utf-32-le"), np.uint32).astype(np.uint64)
    found = np.zeros(len(codes) - width + 1, np.uint64)
    for at in range(width):
        found = found * np.uint64(0x9E3779B97F4A7C15) + codes[at : at + len(found)]
    return mixed(found)


def mixed(values: Hashes) -> Hashes:
    """SplitMix64's finaliser: what differs a little differs in all bits (Steele et al. 2014)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _marks(between: re.Match[str]) -> str:
    """What is left between letters: vowel signs and tones, which Python takes for no letters."""
    if between[0].isascii():
        return " "
    marks = [one for one in between[0] if unicodedata.category(one)[0] == "M"]
    return "".join(marks) + (" " if len(marks) < len(between[0]) else "")


def _within(short: str, long: str) -> bool:
    """Whether all of a text is in the longer one, no number of it cut."""
    at = long.find(short)
    if len(short) < WHOLE or len(long) > (1 + MOST_AROUND) * len(short) or at < 0:
        return False
    ends = (long[max(0, at - 1) : at + 1], long[at + len(short) - 1 : at + len(short) + 1])
    return not any(len(end) == 2 and end.isdecimal() for end in ends)


def _slipped(one: str, other: str) -> bool:
    """Whether all that differs is a letter in one of five words."""
    words = one.split(), other.split()
    if len(words[0]) != len(words[1]) or len(one) < WHOLE:
        return False
    differ = [pair for pair in zip(*words, strict=True) if pair[0] != pair[1]]
    return len(differ) * WORDS_A_SLIP <= len(words[0]) and all(_slip(*pair) for pair in differ)


def _slip(one: str, other: str) -> bool:
    """Whether two longer words are one letter apart, or two letters changed their places."""
    short, long = sorted((one, other), key=len)
    if len(short) < LEAST_SLIPPED or not (_LETTERS.fullmatch(short) and _LETTERS.fullmatch(long)):
        return False
    both = zip(short, long, strict=False)
    front = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], both))
    less, more = short[front:], long[front:]
    swapped = less[:2] == more[1::-1] and less[2:] == more[2:]
    return swapped or more[1:] in (less, less[1:])


def _shared(one: str, other: str) -> bool:
    """Whether most of both is the same; of less than some sentences every number is."""
    if len(one) < SENTENCES and _NUMBERS.findall(one) != _NUMBERS.findall(other):
        return False
    left, right = (np.unique(hashes(text)) for text in (one, other))
    shared = len(np.intersect1d(left, right, assume_unique=True))
    return shared >= SAME * (len(left) + len(right) - shared)
