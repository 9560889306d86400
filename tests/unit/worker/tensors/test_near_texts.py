"""Near copies of texts: found whatever their order, and nothing else is."""

from __future__ import annotations

import random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from worker.tensors import same_text
from worker.tensors.near_texts import near_texts

pytestmark = pytest.mark.slow

RANDOM = random.Random(7)
WORDS = ["".join(RANDOM.choices("abcdefghijklmnop", k=RANDOM.randint(2, 9))) for _ in range(800)]
LONG = " ".join(RANDOM.choices(WORDS, k=400))


def sentence(words: int = 60) -> str:
    return " ".join(RANDOM.choices(WORDS, k=words))


def pairs(*texts: str) -> list[tuple[int, int]]:
    return near_texts(len(texts), texts.__getitem__)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("How do I activate my card?", "how do i activate  my card"),
        ("OK", "ok!"),
        ("\uff26\uff55\uff4c\uff4c width", "full width"),
        ("\u00c0 bient\u00f4t", "A\u0300 biento\u0302t"),
        (LONG, LONG.replace(" ", "  ").upper()),
        (LONG, LONG + " and one thing more"),
        ("\u4f60\u597d\uff0c\u4e16\u754c\u3002", "\u4f60\u597d,\u4e16\u754c"),
    ],
)  # fmt: skip
def test_what_differs_in_little_is_one(one: str, other: str) -> None:
    assert pairs("something else", one, "another thing again", other) == [(1, 3)]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("I love this film", "I hate this film"),
        ("transfer 10 to savings", "transfer 20 to savings"),
        ("!!!", "???"),
        ("", "..."),
        ("\u0932\u095c\u0915\u0940", "\u0932\u095c\u0915\u093e"),  # girl, boy: a vowel sign
        (LONG, LONG[: len(LONG) // 4]),
        (LONG, LONG[:1500] + sentence(200)),
    ],
)
def test_what_differs_in_more_is_not(one: str, other: str) -> None:
    assert pairs(one, other) == []


QUESTION = "How do I locate my new card?"


@pytest.mark.parametrize(
    "copy",
    [
        QUESTION.upper(),
        QUESTION.replace("?", "!!!"),
        f"RT @bob: {QUESTION}",
        f"@ann @bob_2 {QUESTION} https://t.co/abc",
        f"&gt;&gt; {QUESTION} www.bank.example/card?a=b",
        f"Dear support team, {QUESTION} Kind regards, John",
        QUESTION.replace("a", "aa", 1),
        QUESTION.replace("locate", "loacte"),
        QUESTION.replace("locate", "lcate"),
        QUESTION[: len(QUESTION) * 2 // 3],
    ],
)
def test_what_people_and_programs_do_to_a_text_leaves_it_one(copy: str) -> None:
    assert pairs("another thing again", copy, sentence(6), QUESTION) == [(1, 3)]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Please send me 100 euros", "Please send me 1000 euros"),
        ("Please do send me 10", "Please do send me 100"),
        ("the light was on and it stayed so", "the right was off and it stayed so"),
        ("https://t.co/abc", "https://t.co/abd"),
        ("@ann", "@bob"),
        ("a good film", "a good film, but not as good as the one before"),
    ],
)
def test_what_is_said_otherwise_is_another_text(one: str, other: str) -> None:
    assert pairs(one, other) == []


def test_all_planted_copies_are_found_among_many() -> None:
    texts = [sentence() for _ in range(2000)]
    for at in range(100):
        words = texts[at].split()
        words[at % len(words)] = "changed"
        texts[1000 + at] = " ".join(words)
    assert sorted(pairs(*texts)) == [(at, 1000 + at) for at in range(100)]


def test_copies_of_copies_are_one_group() -> None:
    texts = [f"{LONG} {word}" for word in WORDS[:300]]
    assert len(pairs(*texts)) == 299


@given(st.lists(st.text(max_size=40), max_size=12))
@example(["@0"])  # a mention alone says nothing
def test_pairs_are_places_in_order_and_form_no_circle(texts: list[str]) -> None:
    found = pairs(*texts)
    assert all(0 <= one < other < len(texts) for one, other in found)
    assert len(found) < max(1, len(texts))
    twice = near_texts(2 * len(texts), lambda at: texts[at % len(texts)])
    lone = sum(bool(same_text.squeezed(same_text.plain(text))) for text in texts)
    assert len(twice) >= lone
