"""The bytes of one member of an archive, if they can be an example."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from app.core.errors import HeadstartError
from app.core.manifest import Modality, Problem
from app.core.texts import NOTHING_TO_READ, is_seen
from app.uploads.intake import archive as archives
from app.uploads.intake import foreign, images, layout, opening
from app.uploads.intake.archive import Archive, Entry
from app.uploads.intake.layout import FileInTree
from app.uploads.intake.limits import IntakeOptions, Kind
from app.uploads.intake.names import shown
from app.uploads.intake.tables import encodings, guessed
from app.uploads.text_encodings import codec

HEAD = 4096
OF_ONE = frozenset(
    {
        "image_too_large",
        "image_dimensions",
        "too_many_frames",
        "image_truncated",
        "image_invalid",
        "unsupported_image_format",
        "unsupported_member",
        "encoding",
        "row_too_large",
        "invalid_value",
    }
)
"""What may be wrong with one member while the archive around it is sound."""
ENDS_ALL = frozenset({"unsupported_member"})
"""Of these, what is no accident: an archive under another name."""


@dataclass(frozen=True, slots=True)
class MemberContent:
    """An example's bytes, and how many pages or frames they hold; only the first is used."""

    data: bytes
    frames: int = 1
    format: str = "text"
    patient: str | None = None
    sha256: str | None = None


def head(opened: Archive, index: int) -> bytes:
    """The first bytes of a member, unchecked."""
    return next(iter(opened.chunks(opened.entries[index])), b"")[:HEAD]


def start(opened: Archive, member: FileInTree, most: int) -> bytes:
    """Up to so many bytes of a member, unchecked."""
    read, size = [], 0
    for data in opened.chunks(opened.entries[member.index]):
        read.append(data)
        size += len(data)
        if size >= most:
            break
    return b"".join(read)[:most]


def content(
    opened: Archive, entry: Entry, modality: Modality, options: IntakeOptions
) -> MemberContent:
    """The member's checked bytes, a text's as UTF-8; none where there is nothing to read.

    Raises the codes of bad images, encoding, row_too_large, invalid_value or unsupported_member.
    """
    data = archives.read(opened, entry, options.limits)
    held = _CHECKED[modality](data, entry, options)
    return replace(held, sha256=hashlib.sha256(held.data).hexdigest())


def _picture(data: bytes, entry: Entry, options: IntakeOptions) -> MemberContent:  # noqa: ARG001
    taken = images.take(data, entry.path)
    header = taken.header
    return MemberContent(taken.data, header.frames, header.format, taken.patient)


def _written(data: bytes, entry: Entry, options: IntakeOptions) -> MemberContent:
    text = _text(data, entry, options)
    return MemberContent(text.encode() if is_seen(text) else b"")


_CHECKED: Mapping[Modality, Callable[[bytes, Entry, IntakeOptions], MemberContent]] = {
    "image": _picture,
    "text": _written,
}


def further_frames(held: MemberContent, example: str, path: str) -> Problem:
    """Only the first of several pages or frames is used."""
    what = "pages" if held.format == "tiff" else "frames"
    message = f"{shown(path)} has {held.frames} {what}, the first is used"
    return Problem(code="further_frames", message=message, path=path, example_id=example)


def empty(path: str) -> Problem:
    """A text without anything to read."""
    return Problem(
        code="invalid_value", message=f"{path}: {NOTHING_TO_READ}", path=path, excluded=True
    )


def _text(data: bytes, entry: Entry, options: IntakeOptions) -> str:
    """A file's text, in the encoding that is asked for, or that its first bytes say."""
    name = shown(entry.path)
    if len(data) > options.limits.row_bytes:
        why = f"{name} has more than {options.limits.row_bytes:,} bytes"
        raise HeadstartError("row_too_large", why, param=name)
    if images.is_archive(data):
        raise images.nested(entry.path)
    encoding = codec(options.encoding).name if options.encoding else encodings.marked(data)
    try:
        text = data.decode(encoding).removeprefix("\ufeff")
        text.encode()
    except UnicodeError as error:
        raise HeadstartError("encoding", _unreadable(name, data, encoding), param=name) from error
    if "\0" in text:
        raise HeadstartError("invalid_value", f"{name} has a NUL character", param=name)
    return text


def _unreadable(name: str, data: bytes, encoding: str) -> str:
    """What is wrong with a text, and what it may be instead."""
    if encoding != "utf-8":
        return f"{name} is not readable as {encoding}; save it as UTF-8"
    for number, line in enumerate(data.split(b"\n"), 1):
        try:
            line.decode()
        except UnicodeDecodeError as error:
            byte = error.start + 1
            why = encodings.not_utf8(byte, line, what="file")
            return f"{name}, line {number}: {why}"
    return f"{name} is not UTF-8"


def with_tables(every: list[FileInTree], peek: layout.Peek) -> list[FileInTree]:
    """The same with files without an ending as tables, where nothing else could be examples and
    each of them, but for documents, would be read alone: else they are a class's texts.
    """
    mute = {one.index for one in every if _is_mute(one)}
    readable = not {"image", "text", "table"} & {one.role for one in every}
    if not (readable and mute and all(guessed.without_ending(peek(at)) for at in mute)):
        return every
    return [replace(one, role="table") if one.index in mute else one for one in every]


def _is_mute(one: FileInTree) -> bool:
    name = one.parts[-1]
    return one.role == "other" and not images.extension(name) and not layout.DOCUMENTS.match(name)


def kind(opened: Archive, member: FileInTree) -> Kind:
    """What a table of an archive is: by its name, or by its content where that has no ending."""
    mute = not images.extension(member.path)
    found = guessed.without_ending(head(opened, member.index)) if mute else None
    return found or opening.table_kind(member.path)


def refuse_foreign(every: Sequence[FileInTree], peek: layout.Peek) -> None:
    """Raise not_an_archive where nothing can be read and something is known not to be."""
    if any(one.role in ("image", "text") or layout.is_table(one.path) for one in every):
        return
    kept = [one for one in every if one.role != "junk"]
    error = foreign.among([one.path for one in kept], lambda at: peek(kept[at].index))
    if error is not None:
        raise error
