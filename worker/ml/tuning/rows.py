"""What a part of a network is tuned on: what it reads of examples, their labels and weights."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from app.core.modalities import TUNED_VIEWS
from worker.ml.backbones.suffix import Suffix, stacked

BATCH = 32
MANY_VIEWS = 7
"""Of embeddings, at most."""
TIMES = 12
"""As often the tensors are in memory: now, averaged, with moments and gradient, best, finished."""
EVALUATED = 64
"""Pictures in a forward pass that learns nothing."""
TOGETHER = 8
"""Pictures whose gradients are made together, of a whole network; their sum is the batch's."""
TOGETHER_TOKENS = 2048
"""Likewise tokens."""

Embed = Callable[[Tensor], Tensor]
Pass = tuple[Tensor, Tensor]
"""Which examples of a batch, and what the network reads of them."""


class TuningRows(ABC):
    """Examples with labels and weights [n]."""

    def __init__(self, labels: Tensor, weights: Tensor) -> None:
        self.labels, self.weights = labels, weights

    def __len__(self) -> int:
        return len(self.labels)

    @abstractmethod
    def drawn(self, rows: Tensor, generator: torch.Generator) -> Iterator[Pass]:
        """The examples `rows`, as many at a time as are passed together, each as drawn at
        random.
        """

    @abstractmethod
    def embedded(self, rows: Tensor, embed: Embed) -> Tensor:
        """[m, d] float32, each as a prediction reads it."""


class PictureRows(TuningRows):
    """`views` are activations or pixels [n, width] each, the primary one first."""

    def __init__(
        self, views: Sequence[Tensor], labels: Tensor, weights: Tensor, *, together: int = BATCH
    ) -> None:
        super().__init__(labels, weights)
        self.views, self._together = views, together

    def drawn(self, rows: Tensor, generator: torch.Generator) -> Iterator[Pass]:
        """Of each example a view [m, width]."""
        chosen = torch.randint(len(self.views), (len(rows),), generator=generator)
        for places in torch.arange(len(rows)).split(self._together):
            drawn = zip(chosen[places].tolist(), rows[places].tolist(), strict=True)
            yield places, torch.stack([self.views[v][row] for v, row in drawn]).float()

    def embedded(self, rows: Tensor, embed: Embed) -> Tensor:
        """By the primary view."""
        return torch.cat([embed(self.views[0][some].float()) for some in rows.split(EVALUATED)])


class TextRows(TuningRows):
    """Texts, and of each the windows that an encoder reads."""

    def __init__(
        self, texts: Sequence[str], suffix: Suffix, labels: Tensor, weights: Tensor
    ) -> None:
        super().__init__(labels, weights)
        assert suffix.encoder is not None
        self._texts, self._suffix, self._tokens = texts, suffix, suffix.encoder
        self._windows = self._tokens.counted(texts)

    def drawn(self, rows: Tensor, generator: torch.Generator) -> Iterator[Pass]:
        """Of each text a window: tokens [m, 2, t], those of like length together."""
        numbers = torch.rand(len(rows), generator=generator).tolist()
        own = [self._windows[row] for row in rows.tolist()]
        windows = [some[int(u * len(some))] for some, u in zip(own, numbers, strict=True)]
        order = sorted(range(len(windows)), key=lambda place: len(windows[place]))
        for places in _portions(order, [len(windows[place]) for place in order]):
            yield torch.tensor(places), self._padded([windows[place] for place in places])

    def embedded(self, rows: Tensor, embed: Embed) -> Tensor:
        """By all windows that count, as they are served."""
        texts = [self._texts[row] for row in rows.tolist()]
        return self._suffix.embed_texts(texts, embed)

    def _padded(self, windows: Sequence[Sequence[int]]) -> Tensor:
        return stacked(*self._tokens.padded(windows))


def _portions(order: Sequence[int], lengths: Sequence[int]) -> Iterator[list[int]]:
    """Places whose tokens, padded to the longest, are few enough; lengths rise."""
    portion: list[int] = []
    for place, length in zip(order, lengths, strict=True):
        if portion and (len(portion) + 1) * length > TOGETHER_TOKENS:
            yield portion
            portion = []
        portion.append(place)
    if portion:
        yield portion


def bytes_needed(suffix: Suffix, *, examples: int, vector: int, longest: int = 0) -> int:
    """About what a fit holds: activations of all views, read and put in order, the embeddings, the
    tensors with their averages and moments, and what a batch leaves for its gradients.

    `longest` are the bytes of the longest text, which are at least its tokens.
    """
    size = 2 if suffix.cut.level >= 0 else 1
    each = len(TUNED_VIEWS) * suffix.cut.width * size if suffix.cut.shape else 0
    kept = 2 * examples * (each + 2 * MANY_VIEWS * vector)
    return kept + bytes_trained(suffix, longest=longest)


def bytes_trained(suffix: Suffix, *, longest: int = 0) -> int:
    """Of those what lies on the device that trains, however many examples there are."""
    tensors = sum(value.nbytes for value in suffix.start.values())
    return TIMES * tensors + _batch_trace(suffix, longest)


def _batch_trace(suffix: Suffix, longest: int) -> int:
    if suffix.encoder is None:
        together = BATCH if suffix.cut.level >= 0 else TOGETHER
        return together * _trace(suffix, torch.zeros(1, suffix.cut.width))
    length = max(1, min(suffix.encoder.most, longest + 2))
    together = max(1, min(BATCH, TOGETHER_TOKENS // length))
    return together * _trace(suffix, torch.ones(1, 2, length, dtype=torch.long))


def _trace(suffix: Suffix, inputs: Tensor) -> int:
    """Bytes that a pass over one example leaves for its gradients, and as much for making them."""
    known = {value.data_ptr() for value in (*suffix.graph.parameters(), *suffix.start.values())}
    seen: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        if tensor.data_ptr() not in known:
            seen[tensor.data_ptr()] = tensor.nbytes
        return tensor

    tensors = {name: value.detach().requires_grad_() for name, value in suffix.start.items()}
    with (
        torch.inference_mode(False),
        torch.enable_grad(),
        torch.autograd.graph.saved_tensors_hooks(keep, lambda kept: kept),
    ):
        made = suffix.embed(tensors, inputs)
    del made
    return 2 * sum(seen.values())
