"""What the app asks the predictor of a picture, which it cannot decode itself: a small one of it.

Both ways it is `<u32 length of the JSON><JSON><the picture's bytes>`.
"""

from __future__ import annotations

import struct
from dataclasses import asdict, dataclass

from pydantic_core import from_json, to_json

from app.core.errors import HeadstartError

MEDIA_TYPE = "image/jpeg"
_U32 = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class SmallPictureCall:
    """A picture that is to fit into a square of `size` pixels; `low` and `high` are black and
    white where it has more than eight bits a sample."""

    size: int
    low: float | None = None
    high: float | None = None

    @property
    def ends(self) -> tuple[float, float] | None:
        """Black and white, if they are said."""
        return None if self.low is None or self.high is None else (self.low, self.high)


@dataclass(frozen=True, slots=True)
class SmallPictureFacts:
    """Of the small picture: its sides, and the mean of its samples in 0..1."""

    width: int
    height: int
    brightness: float


def encode(told: SmallPictureCall | SmallPictureFacts, data: bytes) -> list[bytes | memoryview]:
    """The pieces of a body."""
    meta = to_json(asdict(told))
    return [_U32.pack(len(meta)), meta, data]


def read_call(body: bytes) -> tuple[SmallPictureCall, bytes]:
    """The call in `body`, and the picture. Raises bad_request."""
    try:
        (length,) = _U32.unpack_from(body)
        call = SmallPictureCall(**from_json(body[4 : 4 + length]))
    except (struct.error, ValueError, TypeError) as error:
        raise HeadstartError("bad_request", "the predictor cannot read this call") from error
    return call, body[4 + length :]


def read_facts(body: bytes) -> tuple[SmallPictureFacts, bytes]:
    """The answer in `body`, and the small picture. Raises predictor_unavailable."""
    try:
        (length,) = _U32.unpack_from(body)
        facts = SmallPictureFacts(**from_json(body[4 : 4 + length]))
    except (struct.error, ValueError, TypeError) as error:
        said = "the predictor answered nonsense"
        raise HeadstartError("predictor_unavailable", said, retry_after=1) from error
    return facts, body[4 + length :]
