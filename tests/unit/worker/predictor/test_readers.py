"""Which pictures a batcher sets aside: those whose header says that decoding them takes long."""

from __future__ import annotations

import time

import pytest
from PIL import Image

from app.core.messages import Call, Input, Options, Target
from tests.unit.worker.ml.drawn_images import encoded, picture
from worker.ml.images import decoding
from worker.predictor.calls import PendingCall, PendingInput
from worker.predictor.readers import PictureReader

TARGET = Target(model="m", backbone="b", artifact="a", sha256="0")


def item(data: bytes) -> PendingInput:
    given = Input("image", memoryview(data))
    call = Call(id="p", tenant="t", target=TARGET, options=Options(), inputs=(given,))
    return PendingInput(
        PendingCall(call, lambda _job, _error: None, deadline=time.perf_counter()), 0, given
    )


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "BMP", "GIF", "TIFF"])
def test_large_is_what_decoding_calls_large(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    one = item(encoded(picture(), kind))
    assert not PictureReader.is_large(one)
    monkeypatch.setattr(decoding, "LARGE", 9_599)
    assert PictureReader.is_large(one)


def test_a_size_that_comes_late_in_the_file_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "LARGE", 89_999)
    noise = Image.effect_noise((300, 300), 80).convert("RGB")
    data = encoded(noise, "TIFF", compression="tiff_lzw")
    assert int.from_bytes(data[4:8], "little") > 2**16
    assert PictureReader.is_large(item(data))


@pytest.mark.parametrize("data", [b"", b"no picture", b"\xff\xd8\xff\xe0"])
def test_what_is_no_picture_is_left_to_decoding(data: bytes) -> None:
    assert not PictureReader.is_large(item(data))
