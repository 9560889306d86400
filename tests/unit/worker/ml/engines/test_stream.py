"""The stream gives each example its vector or its error, whatever lies beside it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from app.core.errors import HeadstartError
from tests.unit.worker.ml.drawn_images import encoded, picture
from worker.ml.engines.readings import AHEAD
from worker.ml.engines.stream import embed_stream
from worker.ml.images.views import decode_to

pytestmark = pytest.mark.slow


def blobs(count: int) -> list[bytes]:
    return [encoded(np.roll(picture(30 + i, 40), i, axis=1), "PNG") for i in range(count)]


def test_every_blob_comes_back_once_and_in_order(image_engine: Any) -> None:
    data = blobs(2 * image_engine.best_batch + 3)
    results = list(embed_stream(image_engine, data, threads=2))
    assert [index for index, _ in results] == list(range(len(data)))
    pixels = np.stack([decode_to(blob, "squish", 224) for blob in data])
    assert np.abs(
        np.stack([vector for _, vector in results]) - image_engine.embed(pixels)
    ).max() < (1e-3)


def test_a_bad_blob_is_an_error_in_its_place(image_engine: Any) -> None:
    data = blobs(5)
    data[1], data[3] = b"", data[3][:-40]
    found = dict(embed_stream(image_engine, data, view="mirror", threads=1))
    errors = {i: r.code for i, r in found.items() if isinstance(r, HeadstartError)}
    assert errors == {1: "image_invalid", 3: "image_truncated"}
    mirrored = image_engine.embed(decode_to(data[4], "mirror", 224)[None])
    assert np.abs(found[4] - mirrored[0]).max() < 1e-3


def test_it_reads_only_a_few_batches_ahead(image_engine: Any) -> None:
    read = 0

    def source() -> Iterator[bytes]:
        nonlocal read
        for blob in blobs(1) * 500:
            read += 1
            yield blob

    stream = embed_stream(image_engine, source(), threads=1)
    next(stream)
    assert read <= (AHEAD + 1) * image_engine.best_batch + 1
    stream.close()  # type: ignore[attr-defined]


def test_nothing_gives_nothing(image_engine: Any, text_engine: Any) -> None:
    assert list(embed_stream(image_engine, [])) == []
    assert list(embed_stream(text_engine, [])) == []


def test_an_unknown_view_is_refused(image_engine: Any) -> None:
    with pytest.raises(ValueError, match="not in"):
        list(embed_stream(image_engine, blobs(1), view="sideways"))


def test_texts_stream_too(text_engine: Any) -> None:
    texts = [f"number {i} " * (1 + i % 7) for i in range(300)]
    data = [text.encode() for text in texts]
    data[7] = b"\xff\xfe"
    found = dict(embed_stream(text_engine, data, view="text"))
    error = found.pop(7)
    assert isinstance(error, HeadstartError)
    assert error.code == "encoding"
    assert sorted(found) == [i for i in range(300) if i != 7]
    expected = text_engine.embed([texts[0], texts[299]])
    assert np.abs(np.stack([found[0], found[299]]) - expected).max() < 1e-4
