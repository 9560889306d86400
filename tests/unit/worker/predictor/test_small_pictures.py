"""Small pictures: upright, within their square, in a dataset's greys; damage has its code."""

from __future__ import annotations

import asyncio
import io

import numpy as np
import pytest
from PIL import Image

from app.core.errors import HeadstartError
from app.core.image_formats import small_pictures
from app.core.image_formats.small_pictures import SmallPictureCall
from tests.unit.dicoms import dicom, grey
from tests.unit.worker.ml.drawn_images import encoded, picture
from worker.predictor.small_pictures import SmallPictures, small


def test_the_whole_picture_upright_within_the_square() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    facts, data = small(encoded(picture(800, 400), "JPEG", exif=exif), SmallPictureCall(100))
    assert (facts.width, facts.height) == (50, 100)
    assert Image.open(io.BytesIO(data)).size == (50, 100)


def test_a_small_picture_is_not_made_larger() -> None:
    facts, _ = small(encoded(picture(20, 10), "PNG"), SmallPictureCall(100))
    assert (facts.width, facts.height) == (20, 10)


def test_deep_pictures_have_the_datasets_greys() -> None:
    bright = small(dicom(grey(top=400)), SmallPictureCall(32, low=0, high=400))[0].brightness
    dim = small(dicom(grey(top=400)), SmallPictureCall(32, low=0, high=4000))[0].brightness
    assert bright == pytest.approx(0.5, abs=0.05)
    assert dim == pytest.approx(0.05, abs=0.02)


def test_damage_is_told_by_its_code() -> None:
    pictures = SmallPictures()
    good = encoded(np.zeros((8, 8, 3), np.uint8), "PNG")
    bodies = [b"".join(small_pictures.encode(SmallPictureCall(16), one)) for one in (good, b"no")]

    async def ask(body: bytes) -> bytes:
        return await pictures.answer(body)

    assert small_pictures.read_facts(asyncio.run(ask(bodies[0])))[0].brightness == 0
    with pytest.raises(HeadstartError) as caught:
        asyncio.run(ask(bodies[1]))
    assert caught.value.code == "image_invalid"
    pictures.close()
