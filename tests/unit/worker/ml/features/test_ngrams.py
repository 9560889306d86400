"""Hashed character n-grams against scikit-learn's counts, and their inner products."""

from __future__ import annotations

import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.preprocessing import normalize

from worker.ml.features import ngrams

TEXTS = [
    "My card has not arrived",
    "my   CARD hasn't arrived!",
    "ina kwana, yaya gida?",
    "ሰላም ለዓለም",
    "我的卡还没到",
    "a",
    "🔥🔥 wow",
]
texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=40)


def reference(analyzer: str, sizes: tuple[int, int], said: list[str]) -> np.ndarray:
    """scikit-learn's square-root weights, rows of length one, as inner products [n, n]."""
    counter = CountVectorizer(analyzer=analyzer, ngram_range=sizes)
    rows = normalize(counter.fit_transform(said).astype(float).sqrt())
    return (rows @ rows.T).toarray()


def spread(table: ngrams.SparseRows) -> np.ndarray:
    """The rows over all buckets that occur [n, m]."""
    known, place = np.unique(table.buckets, return_inverse=True)
    full = np.zeros((len(table), len(known)))
    full[table.owners(), place] = table.weights
    return full


class TestFamilies:
    def test_inside_words_are_scikit_learns_char_wb(self) -> None:
        table = ngrams.rows(TEXTS)
        inside = ngrams.within(table, np.unique(table.buckets[table.buckets < ngrams.BUCKETS]))
        found = 2 * spread(inside) @ spread(inside).T
        np.testing.assert_allclose(found, reference("char_wb", (2, 5), TEXTS), atol=1e-6)

    def test_anywhere_are_scikit_learns_char(self) -> None:
        table = ngrams.rows(TEXTS)
        anywhere = ngrams.within(table, np.unique(table.buckets[table.buckets >= ngrams.BUCKETS]))
        padded = [ngrams.normalise(text).replace(" ", "_") for text in TEXTS]
        found = 2 * spread(anywhere) @ spread(anywhere).T
        np.testing.assert_allclose(found, reference("char", (1, 4), padded), atol=1e-6)


class TestRows:
    def test_case_and_blanks_do_not_matter(self) -> None:
        one, other = ngrams.rows(["My  Card\n"]), ngrams.rows(["my card"])
        assert np.array_equal(one.buckets, other.buckets)

    def test_composition_does_not_matter(self) -> None:
        text = "Iṣẹ́ yín dára púpọ̀"
        forms = [unicodedata.normalize(form, text) for form in ("NFC", "NFD")]
        one, other = ngrams.rows(forms[:1]), ngrams.rows(forms[1:])
        assert forms[0] != forms[1]
        assert np.array_equal(one.buckets, other.buckets)

    def test_no_character_no_entry(self) -> None:
        table = ngrams.rows(["", "  \t", "\0", "a"])
        assert np.diff(table.starts).tolist()[:3] == [0, 0, 0]
        assert len(ngrams.rows([])) == 0
        assert ngrams.gram(ngrams.rows(["", ""])).tolist() == [[0, 0], [0, 0]]

    def test_a_lone_surrogate_is_a_character_like_others(self) -> None:
        assert len(ngrams.rows(["\ud800 x"]).buckets) > 0

    def test_a_long_text_is_read_up_to_its_bound(self) -> None:
        long = "abcdefghij " * 10_000
        table = ngrams.rows([long, long[: ngrams.MOST_CHARACTERS]])
        first, second = np.split(table.buckets, table.starts[1:-1])
        assert np.array_equal(first, second)

    @settings(max_examples=50, deadline=None)
    @given(st.lists(texts, min_size=1, max_size=6))
    def test_a_row_depends_on_its_text_alone(self, said: list[str]) -> None:
        table = ngrams.rows(said)
        for row, text in enumerate(said):
            alone = ngrams.rows([text])
            inside = slice(table.starts[row], table.starts[row + 1])
            assert np.array_equal(table.buckets[inside], alone.buckets)
            np.testing.assert_allclose(table.weights[inside], alone.weights, rtol=1e-6)

    @settings(max_examples=50, deadline=None)
    @given(st.lists(texts, min_size=1, max_size=6))
    def test_rows_have_length_one_or_none_and_rising_buckets(self, said: list[str]) -> None:
        table = ngrams.rows(said)
        for row, text in enumerate(said):
            inside = slice(table.starts[row], table.starts[row + 1])
            length = float((table.weights[inside] ** 2).sum())
            assert length == pytest.approx(1.0 if ngrams.normalise(text) else 0.0, abs=1e-5)
            assert (np.diff(table.buckets[inside]) > 0).all()


class TestProducts:
    @settings(max_examples=30, deadline=None)
    @given(st.lists(texts, min_size=1, max_size=12), st.integers(0, 12))
    def test_gram_is_the_dense_product_whatever_is_rare(self, said: list[str], rare: int) -> None:
        table = ngrams.rows(said)
        full = spread(table)
        np.testing.assert_allclose(ngrams.gram(table, rare=rare), full @ full.T, atol=1e-5)

    def test_within_keeps_known_buckets_only(self) -> None:
        table = ngrams.rows(["card", "word"])
        known = ngrams.seen(ngrams.rows(["cart"]))
        kept = ngrams.within(table, known)
        shared = [set(known[kept.buckets[kept.owners() == row]]) for row in (0, 1)]
        first, second = np.split(table.buckets, table.starts[1:-1])
        assert shared == [set(first) & set(known), set(second) & set(known)]

    def test_within_nothing_is_nothing(self) -> None:
        assert len(ngrams.within(ngrams.rows(["card"]), np.zeros(0, np.int64)).buckets) == 0

    def test_taken_rows_are_those_rows(self) -> None:
        table = ngrams.rows(TEXTS)
        taken = ngrams.take(table, np.array([4, 0, 4]))
        again = ngrams.rows([TEXTS[4], TEXTS[0], TEXTS[4]])
        for name in ("buckets", "weights", "starts"):
            np.testing.assert_array_equal(getattr(taken, name), getattr(again, name))

    def test_folding_keeps_inner_products_on_average(self) -> None:
        table = ngrams.rows([f"{text} {number}" for number in range(20) for text in TEXTS])
        exact = ngrams.gram(table)
        rows = ngrams.dense(ngrams.fold(table, 4096), 4096)
        error = rows @ rows.T - exact
        assert abs(float(error.mean())) < 0.005
        assert float(np.abs(error).max()) < 0.15

    def test_dense_sums_entries_that_meet(self) -> None:
        table = ngrams.SparseRows(
            buckets=np.array([1, 1, 0]),
            weights=np.array([0.5, -0.25, 2], np.float32),
            starts=np.array([0, 2, 2, 3]),
        )
        assert ngrams.dense(table, 2).tolist() == [[0, 0.25], [0, 0], [2, 0]]
