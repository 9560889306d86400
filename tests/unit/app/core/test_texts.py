"""Texts from outside: numbers in headers, and when two texts are the same."""

from __future__ import annotations

import hashlib
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.texts import (
    alike,
    canonical,
    digits,
    few,
    identity,
    is_seen,
    plain,
    squeezed,
    told_apart,
    visible,
)


@given(st.integers(0, 10**18 - 1))
def test_digits_are_a_number(number: int) -> None:
    assert digits(str(number)) == digits(f"{number:018}") == number


@pytest.mark.parametrize("text", ["", "-1", "+1", "1_0", " 1", "1.0", "\xb2", "\u0663", "9" * 19])
def test_anything_else_is_none(text: str) -> None:
    assert digits(text) is None


@given(st.text(max_size=30))
def test_any_text_has_an_answer(text: str) -> None:
    digits(text)


@pytest.mark.parametrize(
    ("told", "kept"), [(" pos\u00a0", "pos"), ("TRUE", "true"), ("False ", "false"), ("Tr", "Tr")]
)
def test_a_label_is_kept_without_blanks(told: str, kept: str) -> None:
    assert plain(told) == kept


@pytest.mark.parametrize("text", ["", " ", "\u200b", "\ufeff\u00ad", "\u3164"])
def test_what_nobody_can_see(text: str) -> None:
    assert not is_seen(text)
    assert is_seen(text + "\u0e01")


@given(st.text())
def test_the_canonical_form_is_one_for_all_forms_of_a_text(text: str) -> None:
    form = canonical(text)
    assert canonical(form) == form
    for other in ("NFC", "NFD"):
        assert canonical(f"  {unicodedata.normalize(other, text)}\r\n") == form


def test_a_text_in_its_canonical_form_has_no_other_identity() -> None:
    assert identity("Iṣẹ́ yín\ndára".encode()) is None
    nfd = unicodedata.normalize("NFD", "Iṣẹ́ yín\r\ndára ").encode()
    assert identity(nfd) == hashlib.sha256("Iṣẹ́ yín\ndára".encode()).hexdigest()


@pytest.mark.parametrize("mark", "\u200b\ufeff\u00ad\u2060\ufe0f\u034f\u3164\U000e0061")
def test_names_that_differ_in_what_cannot_be_seen_are_squeezed_to_one(mark: str) -> None:
    assert squeezed(f"po{mark}s ") == squeezed("POS") == "pos"
    assert visible(f"po{mark}s") in (
        f"po\\u{ord(mark):04x}s",
        f"po\\U{ord(mark):08x}s",
    )


def test_names_that_look_alike_are_written_so_that_they_differ() -> None:
    assert told_apart(["pos", "pos\u200b"]) == ["pos", "pos\\u200b"]
    assert told_apart(["caf\u00e9", "cafe\u0301"]) == ["caf\\u00e9", "cafe\\u0301"]


@pytest.mark.parametrize(
    "several",
    [
        ["\U0001f469\u200d\U0001f52c", "\U0001f469\U0001f52c"],
        ["\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
         "\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",
         "\U0001f3f4"],
        ["\U0001f44d", "\U0001f44d\U0001f3fd"],
        ["\U0001f469\U0001f3fd\u200d\u2764\ufe0f\u200d\U0001f468", "\U0001f469\u2764\U0001f468"],
    ],
)  # fmt: skip
def test_emoji_that_differ_to_the_eye_are_not_squeezed_to_one(several: list[str]) -> None:
    assert len({squeezed(one) for one in several}) == len(several)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("\u2764", "\u2764\ufe0f"),
        ("cat\u200d", "cat"),
        ("c\u200dat", "cat"),
        ("cat\U000e0067", "cat"),
        ("\U0001f600\u200d", "\U0001f600"),
    ],
)
def test_emoji_and_joiners_that_look_alike_are(one: str, other: str) -> None:
    assert squeezed(one) == squeezed(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("card_arrival", "Card arrival"),
        ("card-arrival", "CARD__ARRIVAL"),
        ("re - cover", "recover"),
        ("C-1", "c1"),
        ("1-2", "1\u20132"),
        ("1_2", "1-2"),
        ("_other", "other"),
        ("\u22121", "-1"),
    ],
)
def test_labels_of_one_word_are_alike(one: str, other: str) -> None:
    assert alike(one) == alike(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("-1", "1"), ("1-2", "12"), ("1_0", "10"), ("A-", "A"), ("A-", "A+"), ("T -1", "T 1")],
)
def test_signs_and_ranges_are_words_of_their_own(one: str, other: str) -> None:
    assert alike(one) != alike(other)


@pytest.mark.parametrize(
    ("said", "told"),
    [([], ""), (["a"], "a"), (["a", "b"], "a, b"), (["a", "b", "c", "d"], "a, b and 2 more")],
)
def test_of_many_the_first_are_named_and_the_rest_counted(said: list[str], told: str) -> None:
    assert few(said, 2) == told
