"""A network that gives NaN or infinite numbers: of some inputs, or of everything."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from app.core.errors import HeadstartError
from tests.unit.worker.ml.drawn_images import encoded
from worker.ml.engines.finite import not_finite, own_not_finite
from worker.ml.engines.joint import JointTexts
from worker.ml.engines.stream import embed_stream

Embed = Callable[[Any], NDArray[np.float32]]


@dataclass(frozen=True)
class Engine:
    """What `gives` makes of a batch."""

    modality: str
    gives: Embed
    best_batch = 2

    @property
    def spec(self) -> Any:
        return SimpleNamespace(name="odd", modality=self.modality, input_size=8)

    def embed(self, batch: Any) -> NDArray[np.float32]:
        return self.gives(batch)


def of_bright(batch: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Minus infinity of black, as a logarithm of the mean gives."""
    with np.errstate(divide="ignore"):
        made: NDArray[np.float32] = np.log(batch.mean((1, 2), dtype=np.float32))
    return made


def always(number: float) -> Embed:
    return lambda batch: np.full((len(batch), 3), number, np.float32)


def flat(level: int) -> bytes:
    return encoded(np.full((8, 8, 3), level, np.uint8), "PNG")


def test_of_some_pictures_it_is_an_error_in_their_places() -> None:
    levels = [9, 0, 200, 0, 0]
    engine: Any = Engine("image", of_bright)
    found = dict(embed_stream(engine, map(flat, levels), threads=1))
    errors = {at: one.code for at, one in found.items() if isinstance(one, HeadstartError)}
    assert errors == {1: "not_finite", 3: "not_finite", 4: "not_finite"}
    good = [one for one in found.values() if not isinstance(one, HeadstartError)]
    assert len(good) == 2
    assert np.isfinite(good).all()


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(("modality", "data"), [("image", flat(9)), ("text", b"good morning")])
def test_of_everything_it_is_the_network(modality: str, data: bytes, number: float) -> None:
    engine: Any = Engine(modality, always(number))
    view = "text" if modality == "text" else "squish"
    with pytest.raises(HeadstartError) as caught:
        list(embed_stream(engine, [data], view=view, threads=1))
    assert caught.value.code == "weights_invalid"
    assert "odd" in caught.value.message


def test_where_all_that_it_was_given_is_bad_it_is_still_the_inputs() -> None:
    engine: Any = Engine("image", of_bright)
    found = dict(embed_stream(engine, [flat(0)] * 3, threads=1))
    assert {one.code for one in found.values() if isinstance(one, HeadstartError)} == {"not_finite"}


def test_of_several_networks_the_one_that_gives_none_is_named() -> None:
    parts: Any = [Engine("text", always(1)), Engine("text", always(np.nan))]
    both: Any = object.__new__(JointTexts)
    both.parts = tuple(parts)
    with pytest.raises(HeadstartError) as caught:
        not_finite(both)
    assert caught.value.code == "weights_invalid"


def test_a_models_own_network_is_asked_before_an_input_is_blamed() -> None:
    engine: Any = Engine("image", always(1.0))
    assert own_not_finite(engine, of_bright).code == "not_finite"
    with pytest.raises(HeadstartError) as caught:
        own_not_finite(engine, always(np.inf))
    assert caught.value.code == "model_corrupt"
    texts: Any = Engine("text", always(1.0))
    assert own_not_finite(texts, lambda batch: np.ones((len(batch), 3), np.float32)).code
