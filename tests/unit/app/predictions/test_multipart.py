"""Multipart bodies that are refused before their first part."""

from __future__ import annotations

import gc
import sys

import pytest

from app.core.errors import HeadstartError
from app.predictions import multipart


@pytest.mark.parametrize("boundary", ["b" * 257, "b" * 5000])
def test_a_boundary_that_is_too_long_is_a_bad_request(boundary: str) -> None:
    body = f"--{boundary}\r\n\r\nx\r\n--{boundary}--\r\n".encode()
    with pytest.raises(HeadstartError) as caught:
        multipart.files(body, f"multipart/form-data; boundary={boundary}")
    assert caught.value.code == "bad_request"


def test_a_file_needs_no_name_but_what_is_encoded_for_transfer_is_refused() -> None:
    head = "--b\r\nContent-Disposition: form-data; filename=a\r\n"
    plain, encoded = (f"{head}{more}\r\npixels\r\n--b--\r\n" for more in ("", ENCODED))
    assert multipart.files(plain.encode(), "multipart/form-data; boundary=b") == [b"pixels"]
    with pytest.raises(HeadstartError, match="transfer-encoded"):
        multipart.files(encoded.encode(), "multipart/form-data; boundary=b")


ENCODED = "Content-Transfer-Encoding: base64\r\n"


def test_a_bodys_files_go_with_their_last_holder_and_not_with_the_garbage_collector() -> None:
    body = b"--b\r\nContent-Disposition: form-data; filename=a\r\n\r\npixels\r\n--b--\r\n"
    alone = [bytes(bytearray(b"pixels"))]
    gc.disable()
    try:
        found = multipart.files(body, "multipart/form-data; boundary=b")
        assert sys.getrefcount(found[0]) == sys.getrefcount(alone[0])
    finally:
        gc.enable()
