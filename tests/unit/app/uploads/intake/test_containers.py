"""Zips and tars, good and bad, through the whole intake."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import struct
import tarfile
import zipfile
from collections.abc import Callable

import pytest

from app.core.errors import HeadstartError
from app.uploads.intake import IntakeOptions, Limits
from tests import archives
from tests.archives import Raw, folders, png, raw_zip, tarred, zipped
from tests.unit.app.uploads.intake.conftest import Take

pytestmark = pytest.mark.slow

Refused = Callable[..., HeadstartError]
GOOD = folders({"a": 3, "b": 2})


def labels(built: object) -> dict[str, int]:
    return {one["label"]: one["count"] for one in built.classes}  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "data",
    [
        zipped(GOOD),
        zipped(GOOD, method=0),
        tarred(GOOD),
        tarred(GOOD, "w:gz"),
        tarred(GOOD, "w:bz2"),
        tarred(GOOD, "w:xz"),
        gzip.compress(tarred(GOOD)[:700]) + gzip.compress(tarred(GOOD)[700:]),
    ],
    ids=["deflated", "stored", "tar", "gz", "bz2", "xz", "two-gz"],
)
def test_honest_archives(take: Take, data: bytes) -> None:
    built = take(data, "whatever")
    assert labels(built) == {"a": 3, "b": 2}
    assert built.problems == []
    packed = built.pack_path.read_bytes()
    for one in built.examples:
        assert packed[one.offset : one.offset + one.length] == GOOD[one.path]


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_rarer_methods(take: Take, method: int) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in GOOD.items():
            archive.writestr(name, data)
        archive.writestr("a/large.png", png(77, width=2000, height=1000))
    assert labels(take(out.getvalue())) == {"a": 4, "b": 2}


def test_zips_as_others_write_them(take: Take) -> None:
    """Folders listed, sizes after the data, 64-bit fields, a comment, names in UTF-8 unsaid."""
    out = io.BytesIO()
    with zipfile.ZipFile(_Unseekable(out), "w", zipfile.ZIP_DEFLATED) as archive:  # type: ignore[arg-type]
        archive.mkdir("a")
        archive.comment = b"a comment with PK\5\6 inside"
        for name, data in GOOD.items():
            with archive.open(name, "w", force_zip64=True) as member:
                member.write(data)
    assert labels(take(out.getvalue())) == {"a": 3, "b": 2}
    unsaid = raw_zip([Raw("ä/1.png", png(1), flags=0), Raw(b"\x81/1.png", png(2), flags=0)])
    assert labels(take(unsaid)) == {"ä": 1, "ü": 1}


class _Unseekable(io.RawIOBase):
    def __init__(self, out: io.BytesIO) -> None:
        self._out = out

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        return self._out.write(data)


def test_more_than_65535_members(take: Take) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for number in range(66_000):
            archive.writestr(f"notes/{number}.md", b"")
        for name, data in GOOD.items():
            archive.writestr(name, data)
    assert labels(take(out.getvalue())) == {"a": 3, "b": 2}


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_tars_as_others_write_them(take: Take, form: int) -> None:
    out = io.BytesIO()
    deep = "x" * 90
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        folder = tarfile.TarInfo("./a/")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        for name, data in GOOD.items():
            info = tarfile.TarInfo(f"./{name.replace('/', f'/{deep}/')}")
            info.size, info.mtime = len(data), 1.5 if form == tarfile.PAX_FORMAT else 1
            archive.addfile(info, io.BytesIO(data))
    assert labels(take(out.getvalue())) == {"a": 3, "b": 2}


def test_a_64_bit_end_beside_real_values(take: Take) -> None:
    """As Info-ZIP writes it of what came through a pipe, and commons-compress on wish."""
    members = [Raw(name, data) for name, data in GOOD.items()]
    assert labels(take(raw_zip(members, zip64=archives.zip64_end))) == {"a": 3, "b": 2}


@pytest.mark.parametrize("off", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (0, -46, 0)])
def test_two_ends_that_disagree(refused: Refused, off: tuple[int, int, int]) -> None:
    def lying(*told: int) -> bytes:
        return archives.zip64_end(*(a + b for a, b in zip(told, off, strict=True)))

    members = [Raw(name, data) for name, data in GOOD.items()]
    assert refused(raw_zip(members, zip64=lying)).code == "archive_corrupt"


@pytest.mark.parametrize(
    "kind",
    [
        tarfile.SYMTYPE,
        tarfile.LNKTYPE,
        tarfile.CHRTYPE,
        tarfile.BLKTYPE,
        tarfile.FIFOTYPE,
        tarfile.GNUTYPE_SPARSE,
        b"Z",
    ],
)
def test_members_that_are_no_files(refused: Refused, kind: bytes) -> None:
    assert refused(archives.tar_with(kind), "x.tar").code == "unsafe_member"


@pytest.mark.parametrize("mode", [0o120777, 0o020666, 0o010666])
def test_links_and_devices_in_a_zip(refused: Refused, mode: int) -> None:
    error = refused(raw_zip([Raw("a/1.png", png(1)), Raw("a/2.png", b"/etc/passwd", mode=mode)]))
    assert (error.code, error.param) == ("unsafe_member", "a/2.png")


def test_bombs(refused: Refused) -> None:
    assert refused(archives.zip_bomb(16)).code == "archive_bomb"
    assert refused(gzip.compress(bytes(16 << 20)), "x.tar.gz").code == "archive_bomb"
    assert refused(bz2.compress(bytes(16 << 20)), "x.tar.bz2").code == "archive_bomb"
    assert refused(lzma.compress(bytes(16 << 20)), "x.tar.xz").code == "archive_bomb"
    many = {f"a/{at}.png": png(at, width=600, height=600) for at in range(40)}
    small = IntakeOptions(limits=Limits(unpacked_bytes=20_000))
    assert refused(zipped(many), options=small).code == "archive_bomb"
    assert refused(tarred(many), options=small).code == "archive_bomb"


def test_a_dictionary_beyond_memory(refused: Refused) -> None:
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 9, "dict_size": 256 << 20}]
    assert refused(lzma.compress(tarred(GOOD), filters=filters), "x.xz").code == "archive_corrupt"


def test_overlapping_members(refused: Refused) -> None:
    assert refused(archives.overlapping_zip()).code == "archive_bomb"
    assert refused(archives.quoting_zip()).code == "archive_bomb"


def test_lying_sizes(refused: Refused) -> None:
    data = png(1, width=100, height=100)
    assert refused(raw_zip([Raw("a/1.png", data, told_size=20)])).code == "archive_bomb"
    assert refused(raw_zip([Raw("a/1.png", data, told_size=2000)])).code == "archive_corrupt"
    assert refused(raw_zip([Raw("a/1.png", data, local_size=20)])).code == "archive_corrupt"
    assert refused(raw_zip([Raw("a/1.png", data)], count=5)).code == "archive_corrupt"
    assert refused(raw_zip([Raw("a/1.png", data, method=0, told_size=9)])).code == "archive_bomb"


@pytest.mark.parametrize(
    "member",
    [
        Raw("a/1.png", png(1), told_crc=1),
        Raw("a/1.png", png(1), local_name="b/1.png"),
        Raw("a/1.png", png(1), at=7),
        Raw("a/1.png", png(1), at=2**31),
        Raw("a/1.png", b"", method=8, told_size=0, at=40),
    ],
)
def test_damaged_zips(refused: Refused, member: Raw) -> None:
    assert refused(raw_zip([Raw("b/1.png", png(2)), member])).code == "archive_corrupt"


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.9, 0.999])
def test_truncated_archives(refused: Refused, share: float) -> None:
    members = folders({"a": 30, "b": 30})
    for data, name in (
        (zipped(members), "x.zip"),
        (tarred(members)[: -512 * 2 - 10240 + 512], "x.tar"),
        (tarred(members, "w:gz"), "x.tar.gz"),
        (tarred(members, "w:xz"), "x.tar.xz"),
    ):
        assert refused(data[: int(len(data) * share)], name).code == "archive_corrupt"


@pytest.mark.parametrize("flags", [0x801, 0x841, 0x2801])
def test_encrypted(refused: Refused, flags: int) -> None:
    error = refused(raw_zip([Raw("a/1.png", png(1), flags=flags)]))
    assert (error.code, error.param) == ("archive_encrypted", "a/1.png")


def test_aes_and_unknown_methods(refused: Refused) -> None:
    assert refused(raw_zip([Raw("a/1.png", png(1), method=99)])).code == "archive_encrypted"
    assert refused(raw_zip([Raw("a/1.png", png(1), method=9)])).code == "unsupported_member"


@pytest.mark.parametrize("name", ["inner.zip", "a/inner.tar.gz", "a/picture.png", "a/inner"])
@pytest.mark.parametrize(
    "inner", [zipped(GOOD), tarred(GOOD), gzip.compress(b"x"), b"7z\xbc\xaf'\x1c"]
)
def test_nested_archives(refused: Refused, name: str, inner: bytes) -> None:
    assert refused(zipped({**GOOD, name: inner})).code == "unsupported_member"


def test_all_nested_archives_are_listed(refused: Refused) -> None:
    error = refused(zipped({**GOOD, "inner.zip": zipped(GOOD), "a/inner": gzip.compress(b"x")}))
    assert [one["param"] for one in error.extra["errors"]] == ["inner.zip", "a/inner"]


def test_an_archive_in_a_compressed_file(refused: Refused) -> None:
    assert refused(gzip.compress(zipped(GOOD)), "x.gz").code == "unsupported_member"
    assert refused(gzip.compress(gzip.compress(b"x")), "x.gz").code == "unsupported_member"


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"this is a text", "x.zip"),
        (b"this is a text", "x.tar.gz"),
        (b"text,label\na,b\n", "x.zip"),
        (png(1), "x.png"),
        (b"7z\xbc\xaf\x27\x1c" + bytes(99), "x.7z"),
        (b"\x28\xb5\x2f\xfd" + bytes(99), "x.tar.zst"),
        (gzip.compress(b"this is a text"), "x.tar.gz"),
    ],
)
def test_no_archive(refused: Refused, data: bytes, name: str) -> None:
    assert refused(data, name).code == "not_an_archive"


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"", "x.zip"),
        (zipped({}), "x.zip"),
        (tarred({}), "x.tar"),
        (zipped({"__MACOSX/a/1.png": png(1), "a/.DS_Store": b"x"}), "x.zip"),
        (zipped({"1.png": png(1), "README.md": b"x"}), "x.zip"),
    ],
)
def test_nothing_in_it(refused: Refused, data: bytes, name: str) -> None:
    assert refused(data, name).code == "empty_dataset"


def test_too_many_entries(refused: Refused) -> None:
    many = archives.empty_entries(200_000)
    assert refused(many).code == "too_many_entries"
    at = len(many) - 22
    lying = many[:at] + struct.pack("<4s4H", b"PK\5\6", 0, 0, 7, 7) + many[at + 12 :]
    assert refused(lying).code == "too_many_entries"
    few = IntakeOptions(limits=Limits(entries=4))
    assert refused(tarred(GOOD), options=few).code == "too_many_entries"


def test_headers_of_a_tar_that_lie(refused: Refused) -> None:
    good = tarred(GOOD)
    assert refused(good[:512] + b"\x01" * 512 + good[1024:], "x.tar").code in {
        "archive_corrupt",
        "image_invalid",
    }
    second = bytearray(good)
    second[1024 + 124 : 1024 + 136] = b"99999999999\0"
    assert refused(bytes(second), "x.tar").code == "archive_corrupt"
    huge = tarfile.TarInfo("a/1.png")
    huge.size = 2**40
    header = huge.tobuf(tarfile.GNU_FORMAT)
    assert refused(header + bytes(10240), "x.tar").code == "archive_corrupt"


@pytest.mark.parametrize(
    "record", [b"9999999 path=x\n", b"0 =", b"x path=y\n", b"12 path=a/b\n\n", b"6 path\n"]
)
def test_extended_headers_that_lie(refused: Refused, record: bytes) -> None:
    assert refused(_extended(b"x", record), "x.tar").code in {"archive_corrupt"}


def test_extended_headers_for_everything(refused: Refused) -> None:
    assert refused(_extended(b"g", b"12 path=a/b\n"), "x.tar").code == "archive_corrupt"
    assert refused(_extended(b"x", b"22 GNU.sparse.size=99\n"), "x.tar").code == "unsafe_member"
    assert refused(_extended(b"L", b"../../x\0"), "x.tar").code == "unsafe_path"
    assert refused(_extended(b"L", b"x" * (2 << 20)), "x.tar").code == "archive_corrupt"


def _extended(kind: bytes, record: bytes) -> bytes:
    info = tarfile.TarInfo("header")
    info.type, info.size = kind, len(record)
    block = info.tobuf(tarfile.USTAR_FORMAT) + record + bytes(-len(record) % 512)
    return block + tarred(GOOD)
