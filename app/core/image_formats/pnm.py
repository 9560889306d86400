"""Netpbm's PBM, PGM and PPM, plain and raw (P1 to P6), by what their first tokens say.

Layout: https://netpbm.sourceforge.net/doc/ppm.html
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from app.core.errors import HeadstartError

_HEAD = 65_536
"""Bytes within which the header's tokens and comments must be."""
_TOKEN = rb"(?:[ \t\r\n\v\f]|#[^\r\n]*[\r\n])+(\d{1,9})"


@dataclass(frozen=True, slots=True)
class PnmHeader:
    """`kind` is 1 to 6; samples are 0..`most` (1 for bits) and begin at `start`."""

    kind: int
    width: int
    height: int
    most: int
    start: int

    @property
    def channels(self) -> int:
        """Samples of a pixel."""
        return 3 if self.kind in (3, 6) else 1


def is_pnm(data: bytes) -> bool:
    """Whether `data` begin as a PBM, PGM or PPM does."""
    return re.match(rb"P[1-6](?:[ \t\r\n\v\f]|#)", data[:3]) is not None


def pnm_header(data: bytes) -> PnmHeader:
    """Raises image_invalid."""
    kind = data[1] - ord("0")
    tokens = _TOKEN * (2 if kind in (1, 4) else 3)
    found = re.match(rb"P[1-6]" + tokens + rb"(?:[ \t\r\n\v\f]|$)", data[:_HEAD])
    if found is None:
        raise HeadstartError("image_invalid", "a PNM whose header does not say its size")
    width, height, most = (*map(int, found.groups()), 1)[:3]
    if not 0 < most < 2**16:
        raise HeadstartError("image_invalid", f"a PNM whose samples go to {most}; 65,535 is most")
    return PnmHeader(kind, width, height, most, found.end())


def pnm_size(data: bytes) -> tuple[int, int]:
    """Raises image_invalid."""
    head = pnm_header(data)
    return head.width, head.height


def pnm_frames(data: bytes) -> int:
    """One: what follows is not read. Raises image_truncated where raw samples are cut short."""
    head = pnm_header(data)
    row = (head.width + 7) // 8 if head.kind == 4 else head.width * head.channels
    held = head.height * row * (2 if head.most > 255 else 1)
    if head.kind >= 4 and len(data) - head.start < held:
        raise HeadstartError("image_truncated", "the image ends before its last pixel")
    return 1
