"""What a bundle is tried on."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from PIL import Image

from worker.tensors.parity import drawn, mixtures


def shade(value: int, size: tuple[int, int]) -> bytes:
    buffer = BytesIO()
    Image.new("RGB", size, (value, value, value)).save(buffer, "PNG")
    return buffer.getvalue()


def test_a_mixture_is_half_of_each_and_the_last_meets_the_first() -> None:
    mixed = mixtures([shade(0, (40, 30)), shade(100, (20, 50)), shade(200, (9, 9))])
    means = [np.asarray(Image.open(BytesIO(one))).mean() for one in mixed]
    assert means == [50, 150, 100]


def test_drawings_differ_and_are_always_the_same() -> None:
    assert len(set(drawn())) == 8
    assert drawn() == drawn()
