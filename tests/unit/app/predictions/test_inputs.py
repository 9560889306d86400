"""Bodies to inputs: what is read, and what stays in place as an error."""

from __future__ import annotations

import binascii
import json
from base64 import b64encode, encodebytes, urlsafe_b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.errors import HeadstartError
from app.core.messages import Input
from app.core.openai.inputs import MAX_TEXT_BYTES, image_bytes
from app.predictions import multipart
from app.predictions.inputs import read_inputs
from app.predictions.options import read_options

JSON = "application/json; charset=utf-8"


def read(body: Any, kind: str = JSON, *, modality: Any = "image", most: int = 4) -> list[Input]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return list(read_inputs(data, kind, modality=modality, most=most)[0])


def code(item: Input) -> str:
    assert item.kind == "error"
    return str(json.loads(bytes(item.data))["code"])


def test_base64_and_data_urls_are_images() -> None:
    encoded = b64encode(b"pixels").decode()
    found = read({"inputs": [{"image": encoded}, {"image": f"data:image/png;base64,{encoded}"}]})
    assert [(item.kind, item.data) for item in found] == [("image", b"pixels")] * 2


@pytest.mark.parametrize("broken", ["%%%", "abcde", "naïve"])
def test_broken_base64_is_that_items_error(broken: str) -> None:
    assert code(read({"inputs": [{"image": broken}]})[0]) == "image_invalid"


def test_base64_as_files_mailers_and_addresses_have_it() -> None:
    pixels = bytes(range(256)) * 3 + b"x"
    lines = encodebytes(pixels).decode()
    for encoded in (lines, lines.replace("\n", "\r\n"), urlsafe_b64encode(pixels).decode()):
        for sent in (encoded, encoded.rstrip("=\r\n")):
            assert image_bytes(sent).data == pixels


def test_a_long_image_is_decoded_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    lengths, decode = [], binascii.a2b_base64

    def noting(piece: bytes, *, strict_mode: bool) -> bytes:
        lengths.append(len(piece))
        return decode(piece, strict_mode=strict_mode)

    monkeypatch.setattr(binascii, "a2b_base64", noting)
    pixels = bytes(range(256)) * 8192
    assert image_bytes(b64encode(pixels).decode()).data == pixels
    assert max(lengths) <= 2**20 < sum(lengths)


def test_padding_ends_a_long_image() -> None:
    padded = b64encode(bytes(2**20 // 4 * 3 - 1)).decode()
    assert len(padded) == 2**20
    assert image_bytes(padded).kind == "image"
    assert code(image_bytes(padded + "QUJD")) == "image_invalid"


def test_texts_are_utf8_and_have_a_limit() -> None:
    long = "x" * (MAX_TEXT_BYTES + 1)
    found = read({"inputs": [{"text": "žluť"}, {"text": long}]}, modality="text")
    assert found[0].data == "žluť".encode()
    assert code(found[1]) == "text_too_long"


def test_the_other_modality_is_that_items_error() -> None:
    assert code(read({"inputs": [{"text": "x"}]})[0]) == "modality_mismatch"
    assert code(read(b"x", "image/png", modality="text")[0]) == "modality_mismatch"


@pytest.mark.parametrize(
    "kind", ["image/jpeg", "IMAGE/PNG", "application/octet-stream", "application/dicom"]
)
def test_a_raw_body_is_one_image(kind: str) -> None:
    inputs, single = read_inputs(b"pixels", kind, modality="image", most=1)
    assert single
    assert [item.data for item in inputs] == [b"pixels"]


@pytest.mark.parametrize(
    "body", [{"inputs": [{}]}, {"inputs": ["x"]}, {"inputs": [{"image": None}]}]
)
def test_a_wrong_shape_names_its_place(body: Any) -> None:
    with pytest.raises(HeadstartError) as caught:
        read(body)
    assert (caught.value.code, caught.value.param) == ("invalid_request", "inputs.0")


def part(data: bytes, disposition: str = 'form-data; name="files"; filename="a"') -> bytes:
    return b"--b\r\nContent-Disposition: " + disposition.encode() + b"\r\n\r\n" + data + b"\r\n"


@given(st.lists(st.binary(max_size=200), min_size=1, max_size=5))
def test_any_bytes_survive_multipart(files: list[bytes]) -> None:
    body = b"".join(part(data.replace(b"--b", b"")) for data in files) + b"--b--\r\n"
    found = multipart.files(body, "multipart/form-data; boundary=b")
    assert found == [data.replace(b"--b", b"") for data in files]


def test_a_field_is_refused_by_name() -> None:
    body = part(b"pixels") + part(b"3", 'form-data; name="top_k"') + b"--b--\r\n"
    with pytest.raises(HeadstartError) as caught:
        multipart.files(body, 'multipart/form-data; boundary="b"')
    assert (caught.value.code, caught.value.param) == ("invalid_request", "top_k")


def test_a_part_whose_name_is_extended_is_a_file() -> None:
    body = (
        part(b"pixels", "form-data; name=\"files\"; filename*=UTF-8''%E6%97%A5.png") + b"--b--\r\n"
    )
    assert multipart.files(body, 'multipart/form-data; boundary="b"') == [b"pixels"]


@pytest.mark.parametrize(
    "body",
    [b"", b"nonsense", part(b"x"), part(b"x")[:-8], b"--b\r\nbroken header\r\n\r\nx\r\n--b--\r\n"],
)
def test_a_broken_multipart_is_a_bad_request(body: bytes) -> None:
    with pytest.raises(HeadstartError) as caught:
        multipart.files(body, "multipart/form-data; boundary=b")
    assert caught.value.code == "bad_request"


def test_options_have_defaults_and_names() -> None:
    plain = read_options("", "")
    assert (plain.top_k, plain.threshold, plain.cache, plain.explain) == (None, None, True, ())
    assert read_options("", " OFF ").cache is False
    full = read_options("top_k=3&unknown=0.1&explain=saliency,neighbours&timeout=2.5", "on")
    assert (full.top_k, full.threshold, full.timeout) == (3, 0.1, 2.5)
    assert full.explain == ("neighbours", "saliency")
    with pytest.raises(HeadstartError, match="did you mean 'top_k'"):
        read_options("topk=3", "")


@pytest.mark.parametrize("name", ["threshold", "thresholds", "top_k", "explain", "unknown"])
def test_what_the_query_reads_is_not_let_pass_in_the_body(name: str) -> None:
    with pytest.raises(HeadstartError) as caught:
        read({"inputs": [{"image": "iVBO"}], name: 1})
    assert (caught.value.code, caught.value.param) == ("invalid_request", name)
    assert "in the query" in caught.value.message


def test_a_member_that_nobody_reads_is_named() -> None:
    with pytest.raises(HeadstartError) as caught:
        read({"inputs": [{"image": "iVBO"}], "treshold": 0.5})
    assert caught.value.param == "treshold"
