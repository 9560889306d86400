"""Whether a member may be an image example, by its content's header and by its name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from app.core import image_header
from app.core.errors import HeadstartError
from app.core.image_formats import dicom
from app.core.image_header import ImageHeader
from app.uploads.intake.containers import codecs, tars
from app.uploads.intake.names import shown

EXTENSIONS = frozenset(
    {".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".dib", ".gif", ".tif", ".tiff"}
    | {".jp2", ".j2k", ".jpf", ".jpx", ".j2c", ".jpc", ".heic", ".heif", ".hif", ".avif"}
    | {".pbm", ".pgm", ".ppm", ".pnm", ".dcm", ".dicom", ".ima"}
)
FOREIGN = frozenset(
    {
        ".svg",
        ".svgz",
        ".eps",
        ".ps",
        ".pdf",
        ".ico",
        ".psd",
        ".jxl",
        ".raw",
        ".cr2",
        ".nef",
        ".dng",
        ".xcf",
        ".tga",
        ".exr",
        ".hdr",
        ".nii",
        ".fits",
        ".qoi",
    }
)
"""Names that claim to be images which are not read: each is left out and told, not ignored."""
DICOM = frozenset({".dcm", ".dicom", ".ima", ""})
"""Names of what may be a DICOM object without a picture."""
TIFF = frozenset({".tif", ".tiff"})
ARCHIVES = frozenset(
    {
        ".zip",
        ".tar",
        ".gz",
        ".tgz",
        ".bz2",
        ".tbz2",
        ".xz",
        ".txz",
        ".zst",
        ".7z",
        ".rar",
        ".jar",
        ".lz4",
        ".cab",
        ".iso",
    }
)


@dataclass(frozen=True, slots=True)
class TakenImage:
    """What is kept of an image's bytes: all, but of a DICOM only the picture."""

    data: bytes
    header: ImageHeader
    patient: str | None = None


def take(data: bytes, path: str) -> TakenImage:
    """The image as it is to be kept; raises as `check`."""
    header = check(data, path)
    if header.format != "dicom":
        return TakenImage(data, header)
    with _naming(path):
        return TakenImage(dicom.picture_alone(data), header, dicom.dicom_header(data).patient)


def is_foreign(path: str) -> bool:
    """Whether what is not read here claims to be nothing else: by its name, or by none."""
    suffix = extension(path)
    return suffix in FOREIGN or suffix in DICOM


def check(data: bytes, path: str) -> ImageHeader:
    """The image's header. Raises unsupported_member for an archive, and the image's own code,
    naming the member."""
    if is_archive(data):
        raise nested(path)
    with _naming(path):
        if data.startswith(b"version https://git-lfs"):
            why = "it is a pointer of Git LFS and not the picture: run `git lfs pull`"
            raise HeadstartError("unsupported_image_format", why)
        _check_read(extension(path))
        header = image_header.inspect(data)
        _check_name(header.format, extension(path))
    return header


@contextmanager
def _naming(path: str) -> Iterator[None]:
    try:
        yield
    except HeadstartError as error:
        why = f"{shown(path)}: {error.message}"
        raise HeadstartError(error.code, why, param=shown(path)) from error


def _check_read(suffix: str) -> None:
    """What says that it is not read is not looked into: a camera's raw is a TIFF of sorts."""
    if suffix in FOREIGN:
        raise HeadstartError("unsupported_image_format", f"it is named {suffix}, which is not read")


def _check_name(image_format: str, suffix: str) -> None:
    """JPEGs named .png abound and are harmless; a TIFF, with all it may hold, must say so."""
    if image_format == "tiff" and suffix and suffix not in TIFF:
        raise HeadstartError("unsupported_image_format", f"a TIFF that is named {suffix}")


def extension(path: str) -> str:
    """The name's last extension, in lower case, with its dot."""
    stem, dot, suffix = path.rpartition("/")[2].rpartition(".")
    return dot + suffix.lower() if stem else ""


def is_archive(data: bytes) -> bool:
    """Whether `data` begin like an archive or a compressed stream, whatever they are named."""
    return (
        data.startswith((b"PK\3\4", b"PK\5\6", b"PK\7\x08"))
        or codecs.stream(data) is not None
        or codecs.refuse_unknown(data) is not None
        or (data[257:262] == b"ustar" and tars.is_header(data))
    )


def nested(path: str) -> HeadstartError:
    """The member `path` is an archive itself."""
    return HeadstartError(
        "unsupported_member", f"{shown(path)} is an archive itself", param=shown(path)
    )
