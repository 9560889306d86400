"""The bytes of examples, read from the packs that hold them, and held against their hashes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from app.core.manifest import checked


def blobs(items: Mapping[str, Any]) -> Iterator[bytes]:
    """The bytes of every item, read from the packs one at a time. Raises dataset_corrupt."""
    with opened(items) as blob:
        yield from map(blob, range(len(items["length"])))


@contextmanager
def opened(items: Mapping[str, Any]) -> Iterator[Callable[[int], bytes]]:
    """What gives the bytes of the item at a place, or raises dataset_corrupt."""
    with ExitStack() as stack:
        handles = [stack.enter_context(Path(pack).open("rb")) for pack in items["packs"]]

        def blob(at: int) -> bytes:
            handle = handles[items["pack"][at]]
            handle.seek(items["offset"][at])
            return checked(handle.read(items["length"][at]), items["sha256"][at])

        yield blob
