"""From a request's body to the predictor's inputs. A bad item stays in its place as an error."""

from __future__ import annotations

import binascii
import json
from collections.abc import Callable, Mapping
from typing import Any

from app.core.errors import HeadstartError
from app.core.manifest import Modality
from app.core.messages import Input, failed
from app.http.strict_json import parse, parsed
from app.predictions import multipart

MAX_TEXT_BYTES = 1024 * 1024
_BASE64_PIECE = 1024 * 1024
"""Characters that are decoded together: the decoder holds up every thread for 3 ms meanwhile."""


def read_inputs(
    body: bytes, content_type: str, *, modality: Modality, most: int
) -> tuple[tuple[Input, ...], bool]:
    """The inputs, and whether the body was one raw image.

    Raises unsupported_media_type, bad_request, invalid_json, invalid_request.
    """
    kind = content_type.split(";", 1)[0].strip().lower()
    if kind == "multipart/form-data":
        data = multipart.files(body, content_type)
        _count(len(data), most, param="files")
        return tuple(_matching(Input("image", one), modality) for one in data), False
    if is_json(kind):
        return from_document(read_document(body), modality=modality, most=most), False
    if kind.startswith("image/") or kind == "application/octet-stream":
        return (_matching(Input("image", body), modality),), True
    raise HeadstartError(
        "unsupported_media_type",
        "send an image, multipart/form-data with files, or application/json",
    )


def is_json(content_type: str) -> bool:
    """Whether a body of this type is a JSON document."""
    kind = content_type.split(";", 1)[0].strip().lower()
    return kind == "application/json" or kind.endswith("+json")


_STANDARD = bytes.maketrans(b"-_", b"+/")


def image_bytes(text: str) -> Input:
    """An image given as base64 or as a `data:` URL."""
    if text.startswith("data:"):
        _, _, text = text.partition(",")
    try:
        return Input("image", _decoded(_canonical(text.encode("ascii"))))
    except (ValueError, binascii.Error):
        return failed(HeadstartError("image_invalid", "the image is not valid base64"))


def _canonical(encoded: bytes) -> bytes:
    """Base64 in one line, padded, with + and /: others break lines, pad not, or write for URLs."""
    if len(encoded) % 4 == 0 and not any(mark in encoded for mark in (b"\n", b"-", b"_")):
        return encoded
    line = encoded.translate(_STANDARD, b" \t\r\n").rstrip(b"=")
    return line + b"=" * (-len(line) % 4)


def _decoded(encoded: bytes) -> bytes:
    """What base64 stands for. Raises binascii.Error; of a piece that ends early, too."""
    pieces: list[bytes] = []
    for start in range(0, len(encoded), _BASE64_PIECE):
        if start and len(pieces[-1]) * 4 != _BASE64_PIECE * 3:
            raise binascii.Error("padding before the end")
        piece = encoded[start : start + _BASE64_PIECE]
        pieces.append(binascii.a2b_base64(piece, strict_mode=True))
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def text_bytes(text: str) -> Input:
    """A text as UTF-8."""
    data = text.encode()
    if len(data) > MAX_TEXT_BYTES:
        return failed(HeadstartError("text_too_long", "a text may have 1 MiB at most"))
    return Input("text", data)


READ: Mapping[str, Callable[[str], Input]] = {"image": image_bytes, "text": text_bytes}
"""How each modality's input is read that JSON says as a string."""


def read_document(body: bytes) -> Any:
    """The JSON document. Raises invalid_json."""
    try:
        return parse(body)
    except (json.JSONDecodeError, RecursionError) as error:
        raise HeadstartError("invalid_json", str(error)) from error


async def parsed_document(body: bytes) -> Any:
    """The same; of a long body in a thread."""
    try:
        return await parsed(body)
    except (json.JSONDecodeError, RecursionError) as error:
        raise HeadstartError("invalid_json", str(error)) from error


def from_document(document: Any, *, modality: Modality, most: int) -> tuple[Input, ...]:
    """The document's `inputs`. Raises invalid_request."""
    inputs = document.get("inputs") if isinstance(document, dict) else None
    if not isinstance(inputs, list):
        raise HeadstartError("invalid_request", 'send {"inputs": [...]}', param="inputs")
    _count(len(inputs), most, param="inputs")
    return tuple(_item(item, place, modality) for place, item in enumerate(inputs))


def _item(item: Any, place: int, modality: Modality) -> Input:
    if isinstance(item, dict) and len(item) == 1:
        ((kind, value),) = item.items()
        if kind in READ and isinstance(value, str):
            return _matching(READ[kind](value), modality)
    raise HeadstartError(
        "invalid_request",
        'each input is {"text": "…"} or {"image": "<base64>"}',
        param=f"inputs.{place}",
    )


def _matching(item: Input, modality: Modality) -> Input:
    """The input, or the error that the model reads something else."""
    if item.kind in ("error", modality):
        return item
    return failed(
        HeadstartError("modality_mismatch", f"the model reads {modality}s, not {item.kind}s")
    )


def _count(count: int, most: int, *, param: str) -> None:
    if not 1 <= count <= most:
        raise HeadstartError("invalid_request", f"send 1 to {most} inputs", param=param)
