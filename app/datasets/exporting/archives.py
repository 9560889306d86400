"""Tars of examples: class folders, or files beside a list of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any

from pydantic_core import to_json

from app.core import image_header
from app.core.manifest import Example
from app.datasets.export import OpenPack, end, file_name, member, read, told
from app.datasets.exporting.lists import Names
from app.uploads.printed import written

ListOf = Callable[[Iterable[Example], Names], tuple[str, bytes]]
_BOM = b"\xef\xbb\xbf"
_UNSAFE = re.compile(r"[^\w -]+")


def listed_by(write: ListOf, examples: Sequence[Example], open_pack: OpenPack) -> Iterator[bytes]:
    """The list that `write` makes, then the images that it names."""
    names = {example.id: file_name(example) for example in examples}
    name, data = write(examples, names)
    yield from member(name, len(data), [data])
    yield from _files(examples, names, open_pack)
    yield end()


def folder(examples: Sequence[Example], open_pack: OpenPack, *, text: bool) -> Iterator[bytes]:
    """split/label/file, and a metadata.jsonl with what folders' names cannot say: groups, and
    labels as they are."""
    names = {example.id: _place(example, text=text) for example in examples}
    rows = [to_json({"path": names[one.id], **told(one)}) + b"\n" for one in examples]
    data = b"".join(rows)
    yield from member("metadata.jsonl", len(data), [data])
    yield from _files(examples, names, open_pack)
    yield end()


def coco(examples: Sequence[Example], open_pack: OpenPack) -> Iterator[bytes]:
    """COCO with a box a label, around the whole picture; `group`, `split` stand with the image."""
    names = {example.id: file_name(example) for example in examples}
    labels = sorted({name for example in examples for name in example.names})
    number = {label: at for at, label in enumerate(labels, 1)}
    images: list[dict[str, Any]] = []
    boxes: list[dict[str, Any]] = []
    for at, example in enumerate(examples, 1):
        image = _image(at, example, names, open_pack)
        images.append(image)
        boxes += [_box(len(boxes) + 1, number[name], image) for name in example.names]
    categories = [{"id": at, "name": written(label)} for label, at in number.items()]
    data = to_json({"images": images, "annotations": boxes, "categories": categories})
    yield from member("_annotations.coco.json", len(data), [data])
    yield from _files(examples, names, open_pack)
    yield end()


def _image(at: int, example: Example, names: Names, open_pack: OpenPack) -> dict[str, Any]:
    header = image_header.inspect(b"".join(read(open_pack(example.pack), example)))
    size = {"width": header.width, "height": header.height}
    own = {name: value for name, value in told(example).items() if not name.startswith("label")}
    return {"id": at, "file_name": names[example.id], **size, **own}


def _box(at: int, category: int, image: dict[str, Any]) -> dict[str, Any]:
    width, height = image["width"], image["height"]
    return {
        "id": at,
        "image_id": image["id"],
        "category_id": category,
        "bbox": [0, 0, width, height],
        "area": width * height,
        "iscrowd": 0,
    }


def _files(examples: Iterable[Example], names: Names, open_pack: OpenPack) -> Iterator[bytes]:
    for example in examples:
        pack, name = open_pack(example.pack), names[example.id]
        mark = _BOM if name.endswith(".txt") and _starts_with_mark(read(pack, example)) else b""
        size = len(mark) + example.length
        yield from member(name, size, (mark, *read(pack, example)) if mark else read(pack, example))


def _starts_with_mark(pieces: Iterator[bytes]) -> bool:
    """Whether a text itself begins with what is taken for a file's byte order mark."""
    return next(pieces, b"").startswith(_BOM)


def _place(example: Example, *, text: bool) -> str:
    """A path that says split and label as far as a path can."""
    safe = _UNSAFE.sub("_", "_".join(example.names)).strip(" _")[:60].strip() or "class"
    last = f"{example.id}.txt" if text else PurePosixPath(file_name(example)).name
    return f"{example.split}/{safe}/{last}"
