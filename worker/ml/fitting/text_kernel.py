"""Texts as embeddings and as n-grams, and the coordinates that a mixture of both is fitted in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from worker.ml.features import ngrams
from worker.ml.features.spaces import side_by_side
from worker.ml.solvers.factors import cholesky

MOST_DUAL = 2000
"""Up to so many rows the fit is on their Gram matrix; beyond, on folded n-grams, in the primal."""

FOLDED = 2048
"""Buckets that all n-grams are folded to in the primal: within a point of all of them."""

ROUNDING = 1e-5
"""Added to a Gram matrix's diagonal: more than single precision loses in its inner products."""


@dataclass(frozen=True, kw_only=True)
class Mix:
    """What the n-grams count for beside the embedding, and each encoder (summing to 1) in it."""

    lexical: float
    shares: tuple[float, ...] = (1.0,)


@dataclass(frozen=True, kw_only=True)
class Kernel:
    """Each encoder's unit rows [N, D] and sparse rows [N] of the same texts.

    The last `anchors` are anchors: in every fit and judged in none. `labels`, `importance` are [N].
    """

    parts: Sequence[Tensor]
    table: ngrams.SparseRows
    labels: Tensor
    importance: Tensor
    classes: int
    anchors: int

    @property
    def count(self) -> int:
        """The examples that are judged: all but anchors."""
        return len(self.labels) - self.anchors

    @property
    def folded(self) -> bool:
        """Whether the fit is in the primal, on folded n-grams."""
        return len(self.labels) > MOST_DUAL

    def take(self, chosen: Tensor) -> Kernel:
        """The examples `chosen`, and all anchors."""
        return self._at(torch.cat([chosen, torch.arange(self.count, len(self.labels))]))

    def _at(self, kept: Tensor) -> Kernel:
        return replace(
            self,
            parts=[rows[kept] for rows in self.parts],
            table=ngrams.take(self.table, kept.numpy()),
            labels=self.labels[kept],
            importance=self.importance[kept],
        )

    def first(self, classes: int) -> Kernel:
        """Of the first classes, without anchors of others; every example has to be of one."""
        if classes >= self.classes:
            return self
        kept = torch.nonzero(self.labels < classes)[:, 0]
        thin = replace(self, classes=classes, anchors=min(self.anchors, classes))
        return thin._at(kept)

    def rows(self, mix: Mix) -> Tensor:
        """The embeddings [N, D] by the encoders' shares, of length one."""
        return side_by_side(self.parts, mix.shares)

    def coordinates(self, mix: Mix) -> Tensor:
        """[N, r] float32 with inner products (1 - w)·embedding + w·n-grams."""
        w = mix.lexical
        if self.folded:
            return torch.cat([(1 - w) ** 0.5 * self.rows(mix), w**0.5 * self._folded_rows], 1)
        gram = w * self._lexical_gram
        for share, own in zip(mix.shares, self._grams, strict=True):
            gram += (1 - w) * share * own
        gram.diagonal().add_(ROUNDING)
        return cholesky(gram).float()

    def weights(self, mix: Mix, fitted: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """From weights [r, k] on the coordinates those on embeddings [D, k] and on buckets [m, k].

        The first of the three are the buckets, int32 ascending [m].
        """
        if self.folded:
            w = mix.lexical
            embedding, lexical = fitted.split([len(fitted) - FOLDED, FOLDED])
            buckets = torch.arange(FOLDED, dtype=torch.int32)
            return buckets, (1 - w) ** 0.5 * embedding, w**0.5 * lexical
        factor = self.coordinates(mix).double()
        dual = torch.linalg.solve_triangular(factor.T, fitted.double(), upper=True).float()
        return self.spread(mix, dual)

    def spread(self, mix: Mix, dual: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Σ of the rows times their coefficients [N, k], as `weights` gives it."""
        table = ngrams.fold(self.table, FOLDED) if self.folded else self.table
        known, place = np.unique(table.buckets, return_inverse=True)
        if self.folded:
            known, place = np.arange(FOLDED), table.buckets
        owner, weight = torch.from_numpy(table.owners()), torch.from_numpy(table.weights)
        total = dual.new_zeros(len(known), dual.shape[1])
        total.index_add_(0, torch.from_numpy(place), dual[owner] * weight[:, None])
        buckets = torch.from_numpy(known.astype(np.int32))
        return buckets, (1 - mix.lexical) * self.rows(mix).T @ dual, mix.lexical * total

    def similarity(self, mix: Mix) -> Tensor:
        """Each example's mean inner product [n] with the other examples."""
        n = self.count
        rows, table = self.rows(mix)[:n], ngrams.take(self.table, np.arange(n))
        owner = table.owners()
        total = np.bincount(table.buckets, weights=table.weights)
        crossed = np.bincount(owner, weights=table.weights * total[table.buckets], minlength=n)
        own = np.bincount(owner, weights=table.weights**2, minlength=n)
        lexical = torch.from_numpy(crossed - own).float()
        embedding = rows @ rows.sum(0) - rows.square().sum(1)
        mixed = (1 - mix.lexical) * embedding + mix.lexical * lexical
        return mixed / max(1, n - 1)

    @cached_property
    def _grams(self) -> list[Tensor]:
        """Inner products [N, N] of each encoder's rows."""
        return [rows.double() @ rows.double().T for rows in self.parts]

    @cached_property
    def _lexical_gram(self) -> Tensor:
        return torch.from_numpy(ngrams.gram(self.table)).double()

    @cached_property
    def _folded_rows(self) -> Tensor:
        return torch.from_numpy(ngrams.dense(ngrams.fold(self.table, FOLDED), FOLDED))
