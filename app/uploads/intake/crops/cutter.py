"""Cuts boxes out of pictures and counts their colours, by way of a child that decodes them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from pydantic_core import from_json, to_json

from app.core.errors import HeadstartError
from app.core.image_formats import dicom
from app.infra.processes.leash import leashed
from app.uploads.intake import images
from app.uploads.intake.limits import Limits
from app.uploads.intake.members import MemberContent
from app.uploads.intake.names import shown
from app.uploads.intake.rows import Box

CHILD = Path(__file__).with_name("child.py")


class Cutter:
    """One child for all boxes; it is started anew where a picture was too much for it."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._child: subprocess.Popen[bytes] | None = None
        self._last: str | None = None
        self.boxes = 0
        self._bytes = 0

    def cut(self, held: MemberContent, box: Box, path: str) -> bytes:
        """The part of the picture, as a picture of its own.

        Raises image_truncated, image_invalid, image_dimensions, unsupported_image_format,
        unsupported_media_type or archive_bomb.
        """
        self.boxes += 1
        if dicom.is_dicom(held.data):
            why = (
                "boxes are not cut out of DICOM: send its picture as PNG or TIFF, or the boxes cut"
            )
            raise HeadstartError("unsupported_image_format", f"{path}: {why}", param=path)
        asked = {"box": box.place, "size": box.size, "fractions": box.fractions}
        told, data = self._ask(held, asked)
        if "code" in told:
            raise HeadstartError(told["code"], f"{path}: {told['message']}", param=path)
        self._bytes += len(data)
        if self._bytes > self._limits.unpacked_bytes:
            why = f"the boxes have more than {self._limits.unpacked_bytes:,} bytes"
            raise HeadstartError("archive_bomb", why)
        images.check(data, path)
        return data

    def look(self, held: MemberContent) -> Mapping[str, Any] | None:
        """How many colours make up most of the picture, and how flat and smooth it is, as the child
        says it; None where it cannot be decoded. Raises unsupported_media_type."""
        if dicom.is_dicom(held.data):
            return None
        told, _ = self._ask(held, {"box": None})
        return told if "colours" in told else None

    def _ask(self, held: MemberContent, asked: Mapping[str, Any]) -> tuple[dict[str, Any], bytes]:
        """The child's answer; what ends the child is the picture's own fault."""
        child = self._started()
        known = held.sha256 is not None and held.sha256 == self._last
        self._last = held.sha256
        sent = b"" if known else held.data
        try:
            _of(child.stdin).write(to_json({"length": len(sent), **asked}) + b"\n" + sent)
            _of(child.stdin).flush()
        except BrokenPipeError:
            return self._died(child), b""
        line = _of(child.stdout).readline()
        if not line:
            return self._died(child), b""
        told: dict[str, Any] = from_json(line)
        return told, _of(child.stdout).read(told.get("length", 0))

    def _started(self) -> subprocess.Popen[bytes]:
        if self._child is None:
            self._last = None
            limits = [str(self._limits.child_bytes), str(self._limits.child_seconds)]
            self._child = subprocess.Popen(  # noqa: S603 - our own interpreter and script
                [sys.executable, "-I", str(CHILD), *limits],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=leashed({name: os.environ[name] for name in ("PATH",) if name in os.environ}),
            )
        return self._child

    def _died(self, child: subprocess.Popen[bytes]) -> dict[str, Any]:
        """Why the child has ended. Raises unsupported_media_type, or RuntimeError for our fault."""
        _, said = child.communicate()
        self._child = None
        if b"ModuleNotFoundError" in said:
            why = "boxes=crops and pictures called as masks are read only where pillow is installed"
            raise HeadstartError("unsupported_media_type", why, param="boxes")
        if child.returncode > 0 and b"MemoryError" not in said:
            raise RuntimeError(f"the child that cuts boxes failed: {said[-2000:]!r}")
        return {"code": "image_invalid", "message": "to decode it takes too much memory or time"}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the child."""
        if self._child is not None:
            self._child.kill()
            self._child.communicate()


def _of(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None
    return pipe


def name_of(path: str, box: Box) -> str:
    """What the example is called that a box becomes: of a TIFF it may be one."""
    suffix = images.extension(path)
    stem = path[: len(path) - len(suffix)]
    return f"{stem}#{shown(box.key, 40)}{suffix if suffix in images.TIFF else '.png'}"
