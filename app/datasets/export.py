"""A version as one file again, as it could be uploaded: JSONL of texts, or a tar of images."""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath

from pydantic_core import to_json

from app.core.manifest import Example
from app.uploads.printed import written

OpenPack = Callable[[str], Path]
"""The local file of a pack, by its sha256."""
_STEP = 256 * 1024


def jsonl(examples: Iterable[Example], open_pack: OpenPack) -> Iterator[bytes]:
    """One `{text, label, group, split}` a line."""
    for example in examples:
        text = b"".join(read(open_pack(example.pack), example)).decode()
        yield to_json({"text": text, **told(example)}) + b"\n"


def tar(examples: Iterable[Example], open_pack: OpenPack) -> Iterator[bytes]:
    """The images under their ids, as paths of several uploads may be the same, and their list."""
    listed = list(examples)
    names = {example.id: file_name(example) for example in listed}
    metadata = b"".join(
        to_json({"path": names[example.id], **told(example)}) + b"\n" for example in listed
    )
    yield from member("metadata.jsonl", len(metadata), [metadata])
    for example in listed:
        pack = open_pack(example.pack)
        yield from member(names[example.id], example.length, read(pack, example))
    yield end()


def gathered(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in pieces worth sending: each costs a hand-over between threads."""
    waiting = bytearray()
    for piece in pieces:
        waiting += piece
        if len(waiting) >= _STEP:
            yield bytes(waiting)
            waiting.clear()
    if waiting:
        yield bytes(waiting)


def read(pack: Path, example: Example) -> Iterator[bytes]:
    """The example's bytes, a piece at a time."""
    with pack.open("rb") as file:
        file.seek(example.offset)
        left = example.length
        while data := file.read(min(_STEP, left)):
            left -= len(data)
            yield data


def told(example: Example) -> dict[str, str | list[str]]:
    """Label or labels, group and split, as far as there are."""
    own: dict[str, str | list[str]] = {"label": written(example.label)}
    if example.labels is not None:
        own = {"labels": named(example)}
    rest = {"group": example.group, "split": example.split}
    return own | {name: value for name, value in rest.items() if value is not None}


def named(example: Example) -> list[str]:
    """The example's labels, each so that an upload reads it as it is."""
    return [written(name) for name in example.names]


def file_name(example: Example) -> str:
    """Where an archive has it: by its id, as paths of several uploads may be the same."""
    suffix = PurePosixPath(example.path).suffix.lower()
    return f"images/{example.id}{suffix if suffix.isascii() and len(suffix) < 8 else ''}"


def member(name: str, size: int, content: Iterable[bytes]) -> Iterator[bytes]:
    """One file of a tar."""
    header = tarfile.TarInfo(name)
    header.size = size
    yield header.tobuf(tarfile.USTAR_FORMAT)
    yield from content
    yield b"\0" * (-size % tarfile.BLOCKSIZE)


def end() -> bytes:
    """What closes a tar."""
    return b"\0" * (2 * tarfile.BLOCKSIZE)
