"""DICOM: what a file says of its picture, and the same file with nothing in it but the picture.

A walk over the elements (PS3.5, 7.1), bounded by steps and depth; what is kept is listed here, so
whatever else a file holds, of a patient or of anybody, is not: names, dates, free texts, private
elements, overlays, thumbnails, further frames and the preamble.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from app.core.errors import HeadstartError
from app.core.image_formats.dicom_frames import first_fragments

MAGIC = b"DICM"
_MAGIC_AT, _META_AT = 128, 132
_WITHOUT_END = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_MOST_DEPTH = 8
_MOST_STEPS = 100_000
"""Elements and items that are walked over: an enhanced object of a thousand frames has fewer."""
_LONG = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN"}) | {
    b"UR", b"UT", b"UV",
}  # fmt: skip
_SYNTAX, _PATIENT, _FRAMES = 0x00020010, 0x00100020, 0x00280008
_ROWS, _COLUMNS, _SAMPLES, _ALLOCATED = 0x00280010, 0x00280011, 0x00280002, 0x00280100
_SIZES = frozenset({_ROWS, _COLUMNS, _SAMPLES, _ALLOCATED})
PIXELS = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
"""Of floats, of doubles, of whole numbers or of a codec."""
_CODES = frozenset({0x00280004, 0x00281056})
_NUMBERS = frozenset({0x00281050, 0x00281051, 0x00281052, 0x00281053})
_BINARY = frozenset(
    {_SAMPLES, 0x00280006, _ROWS, _COLUMNS, _ALLOCATED, 0x00280101, 0x00280102, 0x00280103}
    | {0x00280120, 0x00280121, 0x00281101, 0x00281102, 0x00281103, 0x00283002}
)
_TABLES = frozenset({0x00281201, 0x00281202, 0x00281203, 0x00283006}) | {
    0x00281221, 0x00281222, 0x00281223,
}  # fmt: skip
_KEPT = _CODES | _NUMBERS | _BINARY | _TABLES
_CODE = re.compile(
    rb"(?:MONOCHROME[12]|RGB|PALETTE COLOR|YBR_[A-Z0-9_]{1,12}|LINEAR|LINEAR_EXACT|SIGMOID)[ \0]*"
)
_SEQUENCES = frozenset({0x00283000, 0x00283010, 0x00289132, 0x00289145, 0x52009229, 0x52009230})
"""Value tables, and the windows and rescales of enhanced objects; of each the first item."""
_IMPLICIT, _EXPLICIT, _BIG = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
_NATIVE = frozenset({_IMPLICIT, _EXPLICIT, _BIG})
_DEFLATED = "1.2.840.10008.1.2.1.99"
_FILMS = re.compile(r"1\.2\.840\.10008\.1\.2\.4\.10\d(\.1)?")
_NOBODY = frozenset({"", "0", "none", "null", "unknown", "anon", "removed", "deidentified"})
"""What stands where a patient's id was taken out, as does `anonymous` and the like."""


@dataclass(frozen=True, slots=True)
class Element:
    """One element of a data set: its tag, VR (empty where implicit) and where its value lies."""

    tag: int
    vr: bytes
    start: int
    end: int
    open: bool = False
    """Whether it has no length of its own but an end mark."""


@dataclass(frozen=True, slots=True)
class DicomHeader:
    """What a file says of its picture, and of whom it is."""

    width: int
    height: int
    frames: int
    syntax: str
    patient: str | None = None


def is_dicom(data: bytes) -> bool:
    """Whether `data` begin as a DICOM file does."""
    return data[_MAGIC_AT:_META_AT] == MAGIC


def dicom_size(data: bytes) -> tuple[int, int]:
    """Columns and rows; raises as `dicom_header`."""
    head = dicom_header(data)
    return head.width, head.height


def dicom_frames(data: bytes) -> int:
    """How many frames there are; raises as `dicom_header`."""
    return dicom_header(data).frames


def dicom_header(data: bytes) -> DicomHeader:
    """Raises image_invalid, or unsupported_image_format for what holds no picture to be read."""
    walk = _Walk.of(data)
    found = {element.tag: element for element in walk.elements(walk.start, len(data))}
    if not PIXELS & found.keys() or not {_ROWS, _COLUMNS} <= found.keys():
        raise _unread("a DICOM object without a picture, such as a report or a directory")
    frames = walk.text(found.get(_FRAMES)) or "1"
    return DicomHeader(
        width=walk.number(found[_COLUMNS]),
        height=walk.number(found[_ROWS]),
        frames=max(1, int(frames)) if frames.isascii() and frames.isdigit() else 1,
        syntax=walk.syntax,
        patient=_patient(walk.text(found.get(_PATIENT))),
    )


def picture_alone(data: bytes) -> bytes:
    """The same picture, of one frame, in a file that says nothing else; again gives the same.

    Raises as `dicom_header`, and image_truncated where pixels are missing.
    """
    head, walk = dicom_header(data), _Walk.of(data)
    kept = walk.kept(walk.start, len(data), frames=head.frames)
    if not any(struct.unpack_from(walk.order + "HH", one)[0] == 0x7FE0 for one in kept):
        raise _unread("a DICOM object without a picture")
    uid = walk.syntax.encode()
    uid += b"\0" * (len(uid) % 2)
    meta = struct.pack("<HH2sH", 2, 0x10, b"UI", len(uid)) + uid
    size = struct.pack("<HH2sHI", 2, 0, b"UL", 4, len(meta))
    return b"".join([bytes(_MAGIC_AT), MAGIC, size, meta, *kept])


def without_patient(data: bytes) -> bytes:
    """What may be kept of a picture's bytes: of a DICOM the picture alone; raises as that."""
    return picture_alone(data) if is_dicom(data) else data


def _patient(told: str) -> str | None:
    low = re.sub(r"[\W_]+", "", told.lower())
    return None if low in _NOBODY or low.startswith("anonym") else told


def _unread(what: str) -> HeadstartError:
    return HeadstartError("unsupported_image_format", f"the content is {what}")


@dataclass(frozen=True, slots=True)
class _Walk:
    """A file's data set: where it starts and how its elements are written."""

    data: bytes
    start: int
    syntax: str
    order: str
    explicit: bool
    steps: Iterator[int]

    @classmethod
    def of(cls, data: bytes) -> _Walk:
        meta = cls(data, _META_AT, "", "<", explicit=True, steps=iter(range(_MOST_STEPS)))
        at, syntax = _META_AT, ""
        while data[at : at + 2] == b"\2\0":
            element = meta.element(at)
            at = element.end
            syntax = meta.text(element) if element.tag == _SYNTAX else syntax
        if syntax == _DEFLATED or _FILMS.match(syntax):
            raise _unread(f"a DICOM of the transfer syntax {syntax}, which is not read")
        if not re.fullmatch(r"[0-9.]{1,64}", syntax):
            raise HeadstartError("image_invalid", "a DICOM that does not say its transfer syntax")
        order, explicit = (">" if syntax == _BIG else "<"), syntax != _IMPLICIT
        return replace(meta, start=at, syntax=syntax, order=order, explicit=explicit)

    def element(self, at: int) -> Element:
        """The element at `at`; one without a length ends where its content begins."""
        if next(self.steps, None) is None:
            raise _tangled()
        group, number = struct.unpack_from(self.order + "HH", self.data, at)
        tag = group << 16 | number
        if not self.explicit or group == 0xFFFE:
            vr, start = b"", at + 8
            size = struct.unpack_from(self.order + "I", self.data, at + 4)[0]
        elif (vr := self.data[at + 4 : at + 6]) in _LONG:
            size, start = struct.unpack_from(self.order + "I", self.data, at + 8)[0], at + 12
        else:
            size, start = struct.unpack_from(self.order + "H", self.data, at + 6)[0], at + 8
        if size == _WITHOUT_END:
            return Element(tag, vr, start, start, open=True)
        if start + size > len(self.data):
            raise HeadstartError("image_truncated", "the DICOM ends inside an element")
        return Element(tag, vr, start, start + size)

    def elements(self, at: int, end: int) -> Iterator[Element]:
        """The elements between `at` and `end`, or up to an end mark, none of those inside them."""
        while at + 8 <= end:
            element = self.element(at)
            if element.tag in (_ITEM_END, _SEQUENCE_END):
                return
            if element.open:
                within = replace(self, explicit=False) if element.vr == b"UN" else self
                stop = within.closed(element.start)
                element = replace(element, end=stop)
            yield element
            at = element.end

    def closed(self, at: int, depth: int = 0) -> int:
        """Where the sequence whose content begins at `at`, without a length, is closed."""
        if depth >= _MOST_DEPTH:
            raise _tangled()
        while True:
            item = self.element(at)
            at = item.end
            if item.tag == _SEQUENCE_END:
                return at
            if item.tag != _ITEM:
                raise HeadstartError("image_invalid", "a DICOM with a damaged sequence")
            if item.open:
                at = self._item_end(at, depth)

    def _item_end(self, at: int, depth: int) -> int:
        while True:
            element = self.element(at)
            at = element.end
            if element.tag == _ITEM_END:
                return at
            if element.open:
                at = self.closed(at, depth + 1)

    def kept(self, at: int, end: int, *, frames: int = 1, depth: int = 0) -> list[bytes]:
        """What is kept of the elements between `at` and `end`, each as it is written."""
        if depth >= _MOST_DEPTH:
            raise _tangled()
        kept, sizes, seen = list[bytes](), dict[int, int](), set[int]()
        for element in self.elements(at, end):
            if element.tag in seen:
                continue
            seen.add(element.tag)
            if element.tag in _SIZES:
                sizes[element.tag] = self.number(element)
            if element.tag in PIXELS and depth == 0:
                kept.append(self._frame(element, frames, self._frame_bytes(sizes)))
            elif element.tag in _SEQUENCES:
                kept.append(self._written(element, self._first_item(element, depth)))
            elif element.tag in _KEPT:
                value = self.data[element.start : element.end]
                if _is_clean(element.tag, value):
                    kept.append(self._written(element, value))
        return kept

    def _first_item(self, sequence: Element, depth: int) -> bytes:
        if sequence.start + 8 > sequence.end:
            return b""
        item = self.element(sequence.start)
        end = sequence.end if item.open else item.end
        inside = b"".join(self.kept(item.start, end, depth=depth + 1))
        return struct.pack(self.order + "HHI", 0xFFFE, 0xE000, len(inside)) + inside

    def _frame(self, pixels: Element, frames: int, most: int) -> bytes:
        """The pixels' element with the first frame alone, of `most` bytes where not packed."""
        if self.syntax not in _NATIVE:
            packed = first_fragments(self.data, self._fragments(pixels), frames)
            head = struct.pack("<HH2sHI", 0x7FE0, 0x10, b"OB", 0, _WITHOUT_END)
            ends = struct.pack("<HHIHHI", 0xFFFE, 0xE000, 0, 0xFFFE, 0xE000, len(packed))
            return head + ends + packed + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
        if pixels.open:
            raise HeadstartError("image_invalid", "a DICOM with a damaged picture")
        size = min((pixels.end - pixels.start) // frames, most)
        data = self.data[pixels.start : pixels.start + size]
        return self._written(pixels, data + b"\0" * (size % 2))

    @staticmethod
    def _frame_bytes(sizes: Mapping[int, int]) -> int:
        """Of one frame as it is stored; sizes come before the pixels, as tags are in order."""
        pixels = sizes.get(_ROWS, 0) * sizes.get(_COLUMNS, 0) * sizes.get(_SAMPLES, 1)
        return (pixels * sizes.get(_ALLOCATED, 16) + 7) // 8

    def _fragments(self, pixels: Element) -> list[Element]:
        if not pixels.open:
            raise HeadstartError("image_invalid", "a compressed DICOM without fragments")
        return [one for one in self.elements(pixels.start, len(self.data)) if one.tag == _ITEM]

    def _written(self, element: Element, value: bytes) -> bytes:
        tag = struct.pack(self.order + "HH", element.tag >> 16, element.tag & 0xFFFF)
        if not self.explicit:
            return tag + struct.pack(self.order + "I", len(value)) + value
        vr = b"SQ" if element.tag in _SEQUENCES else element.vr
        if vr in _LONG:
            return tag + vr + struct.pack(self.order + "HI", 0, len(value)) + value
        return tag + vr + struct.pack(self.order + "H", len(value)) + value

    def text(self, element: Element | None) -> str:
        """A short value as text; empty where there is none."""
        if element is None:
            return ""
        return self.data[element.start : element.end][:128].decode("latin-1").strip(" \0")

    def number(self, element: Element) -> int:
        """An unsigned short. Raises image_invalid."""
        if element.end - element.start < 2:
            raise HeadstartError("image_invalid", "a DICOM without a size")
        return int(struct.unpack_from(self.order + "H", self.data, element.start)[0])


def _is_clean(tag: int, value: bytes) -> bool:
    """Whether the value of what is kept is what it is to be, and nothing that hides there."""
    if tag in _CODES:
        return _CODE.fullmatch(value) is not None
    if tag in _NUMBERS:
        return len(value) < 256 and re.fullmatch(rb"[0-9+\-.eE\\ \0]*", value) is not None
    if tag in _BINARY:
        return len(value) <= 8
    return len(value) < 2**20


def _tangled() -> HeadstartError:
    return HeadstartError("image_invalid", "a DICOM of too many parts, or too deep")
