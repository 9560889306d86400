"""The bytes of examples, read from the packs that hold them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any


def blobs(items: Mapping[str, Any]) -> Iterator[bytes]:
    """The bytes of every item, read from the packs one at a time."""
    with ExitStack() as stack:
        handles = [stack.enter_context(Path(pack).open("rb")) for pack in items["packs"]]
        for pack, offset, length in zip(
            items["pack"], items["offset"], items["length"], strict=True
        ):
            handles[pack].seek(offset)
            yield handles[pack].read(length)


@contextmanager
def opened(items: Mapping[str, Any]) -> Iterator[Callable[[int], bytes]]:
    """What gives the bytes of the item at a place."""
    with ExitStack() as stack:
        handles = [stack.enter_context(Path(pack).open("rb")) for pack in items["packs"]]

        def blob(at: int) -> bytes:
            handle = handles[items["pack"][at]]
            handle.seek(items["offset"][at])
            data: bytes = handle.read(items["length"][at])
            return data

        yield blob
