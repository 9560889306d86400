"""Small pictures of examples, upright and as a model sees them: decoded where predictions are."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

from PIL import Image

from app.core import image_header
from app.core.errors import HeadstartError
from app.core.image_formats import small_pictures
from app.core.image_formats.small_pictures import SmallPictureCall, SmallPictureFacts
from worker.ml.images import apart

QUALITY = 82
_THREADS = 2
"""Whoever looks at pictures waits behind whoever asks for predictions, not beside them all."""
_WAITING = 256


class SmallPictures:
    """Makes them in threads of their own, so many at a time."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="small-pictures")
        self._waiting = 0

    async def answer(self, body: bytes) -> bytes:
        """The answer to a call. Raises overloaded, bad_request and the codes of bad images."""
        if self._waiting >= _WAITING:
            raise HeadstartError("overloaded", "too many pictures are asked for", retry_after=1)
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._pool, _answer, body)
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Begin no further one."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _answer(body: bytes) -> bytes:
    call, data = small_pictures.read_call(body)
    return b"".join(small_pictures.encode(*small(data, call)))


def small(data: bytes, call: SmallPictureCall) -> tuple[SmallPictureFacts, bytes]:
    """A JPEG no side of which is above the call's size, and what it is like."""
    header = image_header.inspect(data)
    pixels = apart.decode(data, header, at_least=2 * call.size, ends=call.ends)
    image = Image.fromarray(pixels)
    image.thumbnail((call.size, call.size), Image.Resampling.BICUBIC, reducing_gap=2.0)
    out = BytesIO()
    image.save(out, "JPEG", quality=QUALITY)
    grey = image.convert("L").resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))
    assert isinstance(grey, int)
    return SmallPictureFacts(image.width, image.height, round(grey / 255, 3)), out.getvalue()
