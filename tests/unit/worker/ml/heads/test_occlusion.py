"""Occlusion finds what a decision rests on."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from worker.ml.heads import occlusion


def picture() -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Black, but for a white square in the fourth cell of the fifth row."""
    pixels = np.zeros((224, 224, 3), np.uint8)
    pixels[128:160, 96:128] = 255
    return pixels


def brightness(pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> float:
    return float(pixels.astype(np.float64).max(2).mean())


def test_the_map_peaks_where_the_decision_comes_from() -> None:
    pixels = picture()
    hidden = np.array([brightness(one) for one in occlusion.occluded(pixels)], np.float32)
    assert len(hidden) == occlusion.WINDOWS
    values = occlusion.saliency(brightness(pixels), hidden)
    assert np.unravel_index(values.argmax(), values.shape) == (4, 3)
    assert values.min() >= 0
    assert values.max() == 1


def test_hiding_changes_only_the_window() -> None:
    pixels = picture()
    first = occlusion.occluded(pixels)[0]
    assert (first[64:] == pixels[64:]).all()
    assert (first[:, 64:] == pixels[:, 64:]).all()
    assert (pixels == picture()).all()


def test_a_decision_that_rests_on_nothing_has_an_empty_map() -> None:
    values = occlusion.saliency(0.5, np.full(occlusion.WINDOWS, 0.6, np.float32))
    assert not values.any()


def test_the_png_is_a_layer_of_the_asked_size() -> None:
    values = np.zeros((7, 7), np.float32)
    values[3, 3] = 1
    image = Image.open(io.BytesIO(occlusion.png(values, 224)))
    assert (image.mode, image.size) == ("RGBA", (224, 224))
    alpha = np.array(image)[..., 3]
    assert alpha[112, 112] > 150
    assert alpha[0, 0] == 0
