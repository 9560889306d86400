"""The line that is found is the one that reading line by line finds."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from app.uploads.lines import line_of

PIECES = st.text(alphabet="ab\n", max_size=40).map(str.encode)


@given(PIECES, st.text(alphabet="ab", min_size=1, max_size=3).map(str.encode))
def test_as_line_by_line(content: bytes, start: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "lines"
        path.write_bytes(content)
        lines = content.splitlines(keepends=True)
        assert line_of(path, start) == next((one for one in lines if one.startswith(start)), b"")
