"""The Open Inference Protocol's tensors: JSON, or JSON followed by raw bytes."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic_core import to_json

from app.core.errors import HeadstartError
from app.core.texts import digits

_SIZE = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class Output:
    """One tensor of an answer: as JSON values, and as the bytes that the binary extension sends."""

    name: str
    datatype: str
    shape: list[int]
    values: list[Any]

    @property
    def raw(self) -> bytes:
        """Row by row: BYTES with their lengths, FP32 little-endian, BOOL as one byte."""
        if self.datatype == "BYTES":
            encoded = (value.encode() for value in self.values)
            return b"".join(_SIZE.pack(len(value)) + value for value in encoded)
        letter = "f" if self.datatype == "FP32" else "?"
        return struct.pack(f"<{len(self.values)}{letter}", *self.values)


def split_bytes(raw: bytes, *, name: str, most: int) -> list[bytes]:
    """The elements of a raw BYTES tensor. Raises invalid_request; of more than `most`, at once:
    elements of no length would else be millions."""
    elements: list[bytes] = []
    at = 0
    while at < len(raw):
        if at + 4 > len(raw):
            raise _broken(name)
        (length,) = _SIZE.unpack_from(raw, at)
        if at + 4 + length > len(raw):
            raise _broken(name)
        if len(elements) == most:
            raise HeadstartError("invalid_request", f"send 1 to {most} inputs", param="inputs.0")
        elements.append(raw[at + 4 : at + 4 + length])
        at += 4 + length
    return elements


def header_length(text: str | None, body: bytes) -> int:
    """How much of `body` is JSON. Raises invalid_request."""
    if text is None:
        return len(body)
    length = digits(text)
    if length is None or length > len(body):
        raise HeadstartError(
            "invalid_request",
            "the header is no length within the body",
            param="inference-header-content-length",
        )
    return length


def raw_tensors(inputs: Sequence[dict[str, Any]], raw: bytes) -> list[bytes | None]:
    """The bytes after the JSON, cut by `binary_data_size`; None where the JSON has the data."""
    pieces: list[bytes | None] = []
    at = 0
    for tensor in inputs:
        size = _parameters(tensor).get("binary_data_size")
        if size is None:
            pieces.append(None)
            continue
        if not isinstance(size, int) or not 0 <= size <= len(raw) - at:
            raise _broken(str(tensor.get("name")))
        pieces.append(raw[at : at + size])
        at += size
    if at != len(raw):
        raise HeadstartError("invalid_request", "bytes are left over", param="inputs")
    return pieces


def encode_answer(
    head: dict[str, Any], outputs: Sequence[Output], *, binary: Sequence[bool]
) -> tuple[bytes, int | None]:
    """The body, and the length of its JSON where raw tensors follow."""
    described, tail = [], []
    for output, raw in zip(outputs, binary, strict=True):
        tensor: dict[str, Any] = {
            "name": output.name,
            "datatype": output.datatype,
            "shape": output.shape,
        }
        if raw:
            tail.append(output.raw)
            tensor["parameters"] = {"binary_data_size": len(tail[-1])}
        else:
            tensor["data"] = output.values
        described.append(tensor)
    json = to_json({**head, "outputs": described})
    return json + b"".join(tail), len(json) if tail else None


def wanted_outputs(document: dict[str, Any], names: Sequence[str]) -> list[tuple[str, bool]]:
    """Each output asked for and whether raw; all of them by default. Raises invalid_request.

    None is given twice: a short request would else be answered with gigabytes.
    """
    default = bool(_parameters(document).get("binary_data_output", False))
    asked = document.get("outputs") or [{"name": name} for name in names]
    if not isinstance(asked, list):
        raise HeadstartError("invalid_request", "outputs is a list", param="outputs")
    wanted: dict[str, bool] = {}
    for place, output in enumerate(asked):
        name = output.get("name") if isinstance(output, dict) else None
        if not isinstance(name, str) or name not in names or name in wanted:
            why = f"outputs are {', '.join(names)}, each at most once"
            raise HeadstartError("invalid_request", why, param=f"outputs.{place}.name")
        if "classification" in _parameters(output):
            why = "no classes are ranked here (class_count): ask for label and probability"
            raise HeadstartError(
                "invalid_request", why, param=f"outputs.{place}.parameters.classification"
            )
        wanted[name] = bool(_parameters(output).get("binary_data", default))
    return list(wanted.items())


def _parameters(of: dict[str, Any]) -> dict[str, Any]:
    parameters = of.get("parameters") or {}
    if not isinstance(parameters, dict):
        raise HeadstartError("invalid_request", "parameters is an object", param="parameters")
    return parameters


def _broken(name: str) -> HeadstartError:
    return HeadstartError("invalid_request", f"the raw tensor {name} is broken", param="inputs")
