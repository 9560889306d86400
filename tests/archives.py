"""Small generators of good and of hostile uploads, shared by every suite."""

from __future__ import annotations

import io
import struct
import tarfile
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from PIL import Image

DIRECTORY = struct.Struct("<4s2B5HL2L5H2L")
LOCAL = struct.Struct("<4s5HL2L2H")


@dataclass(frozen=True)
class Raw:
    """A member of a zip, with every field that may lie. `told_size` and `told_crc` lie in both
    headers, `local_name` in the local one only; `at` points the directory at another header."""

    name: str | bytes
    data: bytes = b""
    method: int = 8
    flags: int = 0x800
    told_size: int | None = None
    told_crc: int | None = None
    local_name: str | bytes | None = None
    local_size: int | None = None
    system: int = 3
    mode: int = 0o100644
    at: int | None = None
    extra: bytes = b""


def png(seed: int = 0, *, width: int = 8, height: int = 8) -> bytes:
    """A real PNG of one colour, a different one for each of 2**24 seeds."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    line = b"\0" + seed.to_bytes(3, "big") * width
    return (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", header)
        + _chunk(b"IDAT", zlib.compress(line * height))
        + _chunk(b"IEND", b"")
    )


def png_header(width: int, height: int) -> bytes:
    """The first bytes of a PNG that claims a size; there are no pixels."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header)


def picture(
    kind: str, *, mode: str = "RGB", seed: int = 0, size: tuple[int, int] = (9, 7)
) -> bytes:
    """A real image in any of Pillow's formats."""
    out = io.BytesIO()
    fill = (seed % 256,) * len(Image.new(mode, (1, 1)).getbands())
    Image.new(mode, size, fill if len(fill) > 1 else fill[0]).save(out, kind)
    return out.getvalue()


def gif(frames: int) -> bytes:
    """A GIF of `frames` one-pixel frames, all parts present."""
    screen = b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    frame = b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x4c\x01\x00"
    return screen + frame * frames + b"\x3b"


def folders(counts: Mapping[str, int]) -> dict[str, bytes]:
    """`{path: PNG}`, `counts[label]` different pictures in each label's folder."""
    made: dict[str, bytes] = {}
    for label, count in counts.items():
        for _ in range(count):
            made[f"{label}/{len(made):04}.png"] = png(len(made) + 1)
    return made


def zipped(members: Mapping[str, bytes] | Iterable[tuple[str, bytes]], method: int = 8) -> bytes:
    """An honest zip of `members`."""
    pairs = members.items() if isinstance(members, Mapping) else members
    return raw_zip([Raw(name, data, method=method) for name, data in pairs])


def raw_zip(
    members: Iterable[Raw], *, count: int | None = None, zip64: Callable[..., bytes] | None = None
) -> bytes:
    """A zip that says exactly what each member says; `count` lies about how many there are, and
    `zip64` makes the records before the end of the directory's offset, size and count."""
    body, directory, number = io.BytesIO(), io.BytesIO(), 0
    for member in members:
        number += 1
        local, central = _headers(member, body.tell())
        body.write(local)
        directory.write(central)
    listed = directory.getvalue()
    told = number if count is None else count
    wide = zip64(body.tell(), len(listed), number) if zip64 else b""
    end = struct.pack(
        "<4s4H2LH", b"PK\5\6", 0, 0, told & 0xFFFF, told & 0xFFFF, len(listed), body.tell(), 0
    )
    return body.getvalue() + listed + wide + end


def zip64_end(offset: int, size: int, count: int) -> bytes:
    """A 64-bit end record and its locator, as some write them whether they are needed or not."""
    record = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, size, offset)
    return record + struct.pack("<4sLQL", b"PK\6\7", 0, offset + size, 1)


def tarred(members: Mapping[str, bytes], mode: str = "w") -> bytes:
    """An honest tar; `mode` as tarfile has it, such as `w:gz`."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:  # type: ignore[call-overload]
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def tar_with(kind: bytes, name: str = "a/link", target: str = "/etc/passwd") -> bytes:
    """A tar of two classes and one member of another kind: a link, a device, a FIFO."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, target
        archive.addfile(info)
        for path, data in folders({"a": 2, "b": 2}).items():
            good = tarfile.TarInfo(path)
            good.size = len(data)
            archive.addfile(good, io.BytesIO(data))
    return out.getvalue()


def zip_bomb(mebibytes: int = 64) -> bytes:
    """A member of zeros that deflates about a thousandfold."""
    return zipped({"a/zeros.png": bytes(mebibytes << 20), **folders({"b": 2})})


def overlapping_zip(names: int = 20) -> bytes:
    """Many directory entries over one member's bytes."""
    return raw_zip(Raw(f"a/{number}.png", png(1), at=0) for number in range(names))


def quoting_zip() -> bytes:
    """Two members of which the first one's bytes contain the second, header and all."""
    inner = Raw("b/0.png", png(2), method=0)
    local, _ = _headers(inner, 0)
    outer = Raw("a/0.png", local, method=0)
    start = len(_headers(outer, 0)[0]) - len(local)
    return _assembled([(outer, 0), (inner, start)], _headers(outer, 0)[0])


def empty_entries(count: int) -> bytes:
    """A zip of `count` members of no bytes."""
    return raw_zip(Raw(f"a/{number}", method=0) for number in range(count))


def _assembled(members: Iterable[tuple[Raw, int]], body: bytes) -> bytes:
    listed = [_headers(member, at)[1] for member, at in members]
    size = sum(map(len, listed))
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, len(listed), len(listed), size, len(body), 0)
    return body + b"".join(listed) + end


def _headers(member: Raw, at: int) -> tuple[bytes, bytes]:
    """The member as it lies in the archive, and its record in the directory."""
    name, local_name = _bytes(member.name), _bytes(member.local_name or member.name)
    packed = _packed(member)
    crc = zlib.crc32(member.data) if member.told_crc is None else member.told_crc
    size = len(member.data) if member.told_size is None else member.told_size
    local_size = size if member.local_size is None else member.local_size
    fields = (20, member.flags, member.method, 0, 0x21, crc, len(packed))
    local = LOCAL.pack(b"PK\3\4", *fields, local_size, len(local_name), 0)
    central = DIRECTORY.pack(
        b"PK\1\2",
        20,
        member.system,
        *fields,
        size,
        len(name),
        len(member.extra),
        *(0, 0, 0),
        member.mode << 16,
        at if member.at is None else member.at,
    )
    return local + local_name + packed, central + name + member.extra


def _packed(member: Raw) -> bytes:
    if member.method == 8:
        codec = zlib.compressobj(9, zlib.DEFLATED, -15)
        return codec.compress(member.data) + codec.flush()
    return member.data


def _bytes(name: str | bytes) -> bytes:
    return name if isinstance(name, bytes) else name.encode()


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
