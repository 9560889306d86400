"""A file of requests, checked as a whole and cut into pieces before any of it is asked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from app.core.openai.requests import MOST_REQUESTS, BatchedRequest, LineFault, parse

MOST_FAULTS = 100
"""That are told; the rest of a file that is wrong is not looked at."""
PIECE_REQUESTS = 64
PIECE_BYTES = 8 * 2**20
"""One of either makes a piece: what is held in memory, and what others wait for."""
_BOM = b"\xef\xbb\xbf"


@dataclass
class RequestPlan:
    """What a file asks: how many requests, in which pieces, or what is wrong with it."""

    total: int = 0
    pieces: list[dict[str, int]] = field(default_factory=list)
    faults: list[LineFault] = field(default_factory=list)
    _size: int = 0

    def add(self, offset: int, size: int) -> None:
        """One more request of `size` bytes, in the last piece or in a new one."""
        last = self.pieces[-1] if self.pieces else None
        self._size += size
        if last is None or last["count"] >= PIECE_REQUESTS or self._size > PIECE_BYTES:
            self.pieces.append({"start": self.total, "offset": offset, "count": 1})
            self._size = size
        else:
            last["count"] += 1
        self.total += 1


def plan(path: Path, *, endpoint: str, longest: int) -> RequestPlan:
    """Read the whole file; a line may have `longest` bytes."""
    made, seen = RequestPlan(), set[str]()
    with path.open("rb") as file:
        for number, offset, line in _lines(file, longest):
            if len(made.faults) >= MOST_FAULTS or made.total > MOST_REQUESTS:
                break
            fault = _fault(line, number, endpoint, longest, seen)
            if fault is not None:
                made.faults.append(fault)
                continue
            made.add(offset, len(line))
    made.faults += _of_all(made)
    return made


def requests(path: Path, *, endpoint: str, offset: int, count: int) -> list[BatchedRequest]:
    """The requests of a piece of a file that was checked."""
    found: list[BatchedRequest] = []
    with path.open("rb") as file:
        file.seek(offset)
        while len(found) < count and (line := file.readline()):
            request = parse(line, 0, endpoint=endpoint) if line.strip() else None
            if isinstance(request, BatchedRequest):
                found.append(request)
    return found


def after(path: Path, *, offset: int, number: int) -> int:
    """Where the file goes on after `number` requests from `offset` on."""
    with path.open("rb") as file:
        file.seek(offset)
        while number > 0 and (line := file.readline()):
            number -= bool(line.strip())
        return file.tell()


def _lines(file: BinaryIO, longest: int) -> Iterator[tuple[int, int, bytes]]:
    """Number from 1, offset, and content of every line that is not empty; one too long is the last.

    A mark of the byte order before the first is skipped.
    """
    start = len(_BOM) if file.read(len(_BOM)) == _BOM else 0
    file.seek(start)
    number, offset = 0, start
    while line := file.readline(longest + 2):
        number += 1
        if line.strip():
            yield number, offset, line
        if len(line) > longest + 1:
            return
        offset += len(line)


def _fault(
    line: bytes, number: int, endpoint: str, longest: int, seen: set[str]
) -> LineFault | None:
    if len(line) > longest + 1:
        why = f"it has more than {longest:,} bytes, and what follows is not read"
        return LineFault("line_too_long", why, number)
    request = parse(line, number, endpoint=endpoint)
    if isinstance(request, LineFault):
        return request
    if request.custom_id in seen:
        why = f"the custom_id {request.custom_id[:80]!r} is on another line too"
        return LineFault("duplicate_custom_id", why, number, "custom_id")
    seen.add(request.custom_id)
    return None


def _of_all(made: RequestPlan) -> Iterator[LineFault]:
    if made.total > MOST_REQUESTS:
        yield LineFault("too_many_requests", f"a batch has {MOST_REQUESTS:,} requests at most")
    if not made.total and not made.faults:
        yield LineFault("empty_file", "the file has no requests")
