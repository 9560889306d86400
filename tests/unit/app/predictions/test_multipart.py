"""Multipart bodies that are refused before their first part."""

from __future__ import annotations

import pytest

from app.core.errors import HeadstartError
from app.predictions import multipart


@pytest.mark.parametrize("boundary", ["b" * 257, "b" * 5000])
def test_a_boundary_that_is_too_long_is_a_bad_request(boundary: str) -> None:
    body = f"--{boundary}\r\n\r\nx\r\n--{boundary}--\r\n".encode()
    with pytest.raises(HeadstartError) as caught:
        multipart.files(body, f"multipart/form-data; boundary={boundary}")
    assert caught.value.code == "bad_request"
