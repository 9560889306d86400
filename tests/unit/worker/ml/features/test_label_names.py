"""When label names say something, and how they are read."""

from __future__ import annotations

import pytest
import torch
from scipy.stats import binom

from worker.ml.features import label_names


@pytest.mark.parametrize(
    ("label", "words"),
    [
        ("Refund_not_showing_up", "refund not showing up"),
        ("refundNotShowingUp", "refund not showing up"),
        ("reverted_card_payment?", "reverted card payment"),
        ("lost-or stolen", "lost or stolen"),
        ("7", "7"),
        ("???", "???"),
        ("负面", "负面"),
    ],
)
def test_readable(label: str, words: str) -> None:
    assert label_names.readable(label) == words


class TestHelpful:
    names = torch.eye(6)

    def test_names_near_their_examples_are(self) -> None:
        labels = torch.arange(12) % 6
        rows = torch.nn.functional.normalize(self.names[labels] + 0.1, dim=1)
        assert label_names.helpful(self.names, rows, labels)

    def test_names_dealt_to_the_wrong_classes_are_not(self) -> None:
        labels = torch.arange(12) % 6
        rows = self.names[(labels + 1) % 6]
        assert not label_names.helpful(self.names, rows, labels)

    def test_two_right_guesses_of_two_prove_nothing(self) -> None:
        assert not label_names.helpful(torch.eye(2), torch.eye(2), torch.arange(2))

    def test_always_guessing_the_largest_class_proves_nothing(self) -> None:
        labels = torch.tensor([0] * 50 + [1] * 2)
        rows = torch.eye(2)[torch.zeros(52, dtype=torch.long)]
        assert not label_names.helpful(torch.eye(2), rows, labels)

    def test_by_chance_they_are_used_as_rarely_as_stated(self) -> None:
        random = torch.Generator().manual_seed(0)
        labels = torch.arange(30) % 6
        used = sum(
            label_names.helpful(self.names, torch.randn(30, 6, generator=random), labels)
            for _ in range(300)
        )
        assert used <= 2 * label_names.CHANCE * 300


@pytest.mark.parametrize(("hits", "n", "share"), [(3, 10, 0.2), (1, 4, 0.5), (40, 77, 1 / 77)])
def test_the_tail_is_the_binomials(hits: int, n: int, share: float) -> None:
    exact = float(binom.sf(hits - 1, n, share))
    assert label_names._tail(hits, n, share) == pytest.approx(exact, rel=1e-6)
