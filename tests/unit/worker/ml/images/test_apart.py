"""Decoding in a child: the same answers, and a picture that is too much fails alone."""

from __future__ import annotations

import io
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from app.core import image_header
from app.core.errors import HeadstartError
from tests.unit.worker.ml.drawn_images import encoded, picture
from worker.ml.images import apart, decoding
from worker.ml.images.apart.pool import Pool, _array

pytestmark = pytest.mark.slow

RGB = Image.fromarray(picture())
DEEP = Image.fromarray(np.arange(6400, dtype=np.uint16).reshape(80, 80))
PICTURES = {
    **{kind: encoded(RGB, kind) for kind in ("JPEG", "PNG", "WEBP", "JPEG2000", "AVIF", "PPM")},
    "GIF": encoded(RGB.quantize(20), "GIF"),
    "TIFF": encoded(RGB, "TIFF"),
    "deep TIFF": encoded(DEEP, "TIFF"),
    "deep PNG": encoded(DEEP, "PNG"),
    "transparent WEBP": encoded(RGB.convert("RGBA"), "WEBP"),
}


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    made = Pool()
    yield made
    made.close()


def decoded(how: Any, data: bytes) -> Any:
    """Pixels, or the code of what is wrong."""
    try:
        return how.decode(data, image_header.inspect(data), at_least=None, ends=None).tolist()
    except HeadstartError as error:
        return error.code


@pytest.mark.parametrize("kind", PICTURES)
def test_it_is_decoded_as_here(pool: Pool, kind: str) -> None:
    data = PICTURES[kind]
    assert decoded(pool, data) == decoded(decoding, data)
    header = image_header.inspect(data)
    here, there = decoding.deep_samples(data, header), pool.deep_samples(data, header)
    assert (here is None) == (there is None)
    if here is not None and there is not None:
        assert (there.values == here.values).all()
        assert there.values.dtype == here.values.dtype
        assert (there.orientation, there.ends) == (here.orientation, here.ends)


@pytest.mark.parametrize("kind", ["WEBP", "TIFF", "JPEG2000", "AVIF"])
def test_what_is_cut_short_has_the_same_code(pool: Pool, kind: str) -> None:
    data = PICTURES[kind][: len(PICTURES[kind]) * 3 // 4]
    assert decoded(pool, data) == decoded(decoding, data)


def test_several_threads_have_a_decoder_each(pool: Pool) -> None:
    kinds = ["WEBP", "TIFF", "AVIF", "PPM"] * 4
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda kind: decoded(pool, PICTURES[kind]), kinds))
    assert found == [decoded(decoding, PICTURES[kind]) for kind in kinds]


def test_too_much_memory_is_the_pictures_own_fault() -> None:
    large = encoded(Image.new("RGB", (4000, 3000)), "WEBP")
    with closing(Pool(memory=24 * 2**20)) as small:
        assert decoded(small, large) == "image_invalid"
        assert decoded(small, PICTURES["PPM"]) == decoded(decoding, PICTURES["PPM"])


def test_too_much_time_is_the_pictures_own_fault() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (3000, 3000, 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(noise).save(out, "JPEG2000", quality_mode="rates", quality_layers=[4])
    with closing(Pool(seconds=1)) as brief:
        assert decoded(brief, out.getvalue()) == "image_invalid"
        assert decoded(brief, PICTURES["PPM"]) == decoded(decoding, PICTURES["PPM"])


def test_a_decoder_that_others_ended_is_not_the_pictures_fault(pool: Pool) -> None:
    decoded(pool, PICTURES["PPM"])
    for idle in pool._idle:
        os.kill(idle.pid, signal.SIGKILL)
        idle.wait()
    assert decoded(pool, PICTURES["PPM"]) == decoded(decoding, PICTURES["PPM"])


def test_a_decoder_knows_no_password(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADSTART_DATABASE_URL", "postgresql://u:secret@h/d")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    started = pool._started()
    pool._idle.append(started)
    assert b"secret" not in Path(f"/proc/{started.pid}/environ").read_bytes()


def test_pointers_are_no_answer() -> None:
    for dtype, shape in (("|O", [2]), ("<f8", [2**40])):
        with pytest.raises(RuntimeError, match="answered"):
            _array(io.BytesIO(bytes(64)), dtype, shape)


def test_rarer_formats_are_decoded_apart_and_all_where_that_is_wanted(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(
        apart._POOL, "decode", lambda data, header, **how: asked.append(header.format)
    )
    for wanted in (False, True):
        with apart.everything(wanted):
            for kind in ("JPEG", "WEBP", "TIFF", "PNG"):
                header = image_header.inspect(PICTURES[kind])
                apart.decode(PICTURES[kind], header, at_least=None)
    assert asked == ["webp", "tiff", "jpeg", "webp", "tiff", "png"]
