"""What judges a fold of texts is chosen without it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tests.unit.worker.ml.methods.test_two_encoders import kernel_of, two
from worker.ml.fitting import text_mix
from worker.ml.fitting.text_kernel import Mix
from worker.ml.folds import assigned

FIRST, SECOND = Mix(lexical=0.2, shares=(1.0, 0.0)), Mix(lexical=0.8, shares=(0.0, 1.0))


def sure(labels: Tensor, right: Tensor) -> Tensor:
    """Logits [n, 3] that are for the label where it is `right` [n], else for the next class."""
    said = torch.where(right, labels, (labels + 1) % 3)
    return torch.nn.functional.one_hot(said, 3).float()


def test_what_a_fold_alone_speaks_for_does_not_judge_it() -> None:
    labels, fold = torch.arange(30) % 3, torch.arange(30) // 10
    told = text_mix._MixEvidence(3, labels, fold)
    by_first = told.likelihood(FIRST, sure(labels, fold == 0))
    by_second = told.likelihood(SECOND, sure(labels, fold != 0))
    tried = {FIRST: by_first, SECOND: by_second}
    one, two, three = (mix.shares[1] for mix in told.nested(tried, FIRST))
    every = text_mix.averaged(tried).shares[1]
    assert one > every > two == pytest.approx(three)


def test_of_two_folds_the_prior_judges() -> None:
    labels, fold = torch.arange(6) % 3, torch.arange(6) // 3
    told = text_mix._MixEvidence(2, labels, fold)
    tried = {SECOND: told.likelihood(SECOND, sure(labels, fold < 2))}
    assert told.nested(tried, FIRST) == [FIRST, FIRST]


def test_each_fold_is_judged_at_its_own_mix_by_a_fit_without_it() -> None:
    kernel = kernel_of(two(6, first=2.0, second=2.0))
    labels = kernel.labels[: kernel.count]
    fold = assigned(labels, torch.arange(len(labels)), 3)
    mixes = [FIRST, SECOND, Mix(lexical=0.5, shares=(0.5, 0.5))]
    found = text_mix.nested([kernel] * 3, mixes, fold)
    each = text_mix.out_of_fold(kernel, mixes, fold)
    wanted = each[fold, torch.arange(len(fold))]
    torch.testing.assert_close(found, wanted, atol=2e-2, rtol=1e-2)
    assert not torch.allclose(found, each[0], atol=0.1)
