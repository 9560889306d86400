"""From a request's body to the predictor's inputs. A bad item stays in its place as an error."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from app.core.errors import HeadstartError
from app.core.manifest import Modality
from app.core.messages import Input, failed
from app.core.openai.inputs import READ
from app.http.strict_json import parse, parsed
from app.predictions import multipart
from app.predictions.options import refuse_members

_MEMBERS = frozenset({"inputs"})


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
        return tuple(matching(Input("image", one), modality) for one in data), False
    if is_json(kind):
        return from_document(read_document(body), modality=modality, most=most), False
    if is_raw(kind):
        return (matching(Input("image", body), modality),), True
    raise HeadstartError("unsupported_media_type", _TAKEN[modality])


_TAKEN: Mapping[Modality, str] = {
    "image": "send an image, multipart/form-data with files, or application/json",
    "text": 'send texts as application/json: {"inputs": [{"text": "…"}]}',
}
"""What may be sent to a model of images or of texts."""


def is_raw(content_type: str) -> bool:
    """Whether a body of this type is one image."""
    kind = content_type.split(";", 1)[0].strip().lower()
    return kind.startswith("image/") or kind in ("application/octet-stream", "application/dicom")


def is_json(content_type: str) -> bool:
    """Whether a body of this type is a JSON document."""
    kind = content_type.split(";", 1)[0].strip().lower()
    return kind == "application/json" or kind.endswith("+json")


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


def from_document(
    document: Any, *, modality: Modality, most: int, members: frozenset[str] = _MEMBERS
) -> tuple[Input, ...]:
    """The document's `inputs`. Raises invalid_request, also for what is none of its `members`."""
    inputs = document.get("inputs") if isinstance(document, dict) else None
    if not isinstance(inputs, list):
        raise HeadstartError("invalid_request", 'send {"inputs": [...]}', param="inputs")
    refuse_members(document, members)
    _count(len(inputs), most, param="inputs")
    return tuple(_item(item, place, modality) for place, item in enumerate(inputs))


def _item(item: Any, place: int, modality: Modality) -> Input:
    if isinstance(item, dict) and len(item) == 1:
        ((kind, value),) = item.items()
        if kind in READ and isinstance(value, str):
            return matching(READ[kind](value), modality)
    raise HeadstartError(
        "invalid_request",
        'each input is {"text": "…"} or {"image": "<base64>"}',
        param=f"inputs.{place}",
    )


def matching(item: Input, modality: Modality) -> Input:
    """The input, or the error that the model reads something else."""
    if item.kind in ("error", modality):
        return item
    return failed(
        HeadstartError("modality_mismatch", f"the model reads {modality}s, not {item.kind}s")
    )


def _count(count: int, most: int, *, param: str) -> None:
    if not 1 <= count <= most:
        raise HeadstartError("invalid_request", f"send 1 to {most} inputs", param=param)
