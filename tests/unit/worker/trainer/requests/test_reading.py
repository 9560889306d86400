"""Files of requests: what is wrong with them, and the pieces that they are cut into."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.openai.requests import BatchedRequest, LineFault, parse
from worker.trainer.requests import reading

CHAT = "/v1/chat/completions"
LONGEST = 2**20


def line(custom_id: str, text: str = "") -> bytes:
    body = {"custom_id": custom_id, "method": "POST", "url": CHAT, "body": {"t": text}}
    return json.dumps(body).encode()


def planned(folder: Path, data: bytes, longest: int = LONGEST) -> tuple[reading.RequestPlan, Path]:
    path = folder / "requests"
    path.write_bytes(data)
    return reading.plan(path, endpoint=CHAT, longest=longest), path


@given(
    st.lists(st.integers(0, 3), max_size=300),
    st.sampled_from([b"\n", b"\r\n"]),
    st.booleans(),
    st.booleans(),
)
def test_the_pieces_together_are_the_file(
    blanks: list[int], end: bytes, marked: bool, closed: bool
) -> None:
    data = b"\xef\xbb\xbf" if marked else b""
    for number, before in enumerate(blanks):
        data += end * before + line(str(number)) + end
    if not closed:
        data = data.removesuffix(end)
    with TemporaryDirectory() as folder:
        plan, path = planned(Path(folder), data)
        if not blanks:
            assert [fault.code for fault in plan.faults] == ["empty_file"]
            return
        assert plan.faults == []
        read: list[BatchedRequest] = []
        for piece in plan.pieces:
            assert piece["start"] == len(read)
            assert piece["count"] <= reading.PIECE_REQUESTS
            read += reading.requests(
                path, endpoint=CHAT, offset=piece["offset"], count=piece["count"]
            )
    assert [one.custom_id for one in read] == [str(n) for n in range(len(blanks))]


def test_large_requests_make_small_pieces(tmp_path: Path) -> None:
    big = "x" * (reading.PIECE_BYTES // 2)
    plan, _ = planned(tmp_path, b"\n".join(line(str(n), big) for n in range(5)), 2**30)
    assert [one["count"] for one in plan.pieces] == [1] * 5


def test_a_line_too_long_is_told_and_ends_the_reading(tmp_path: Path) -> None:
    plan, _ = planned(tmp_path, line("a") + b"\n" + line("b", "x" * 500) + b"\n{}\n", 300)
    assert [(fault.line, fault.code) for fault in plan.faults] == [(2, "line_too_long")]


def test_no_more_than_a_hundred_faults_are_told(tmp_path: Path) -> None:
    plan, _ = planned(tmp_path, b"x\n" * 10_000)
    assert len(plan.faults) == reading.MOST_FAULTS


def test_too_many_requests_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MOST_REQUESTS", 10)
    plan, _ = planned(tmp_path, b"\n".join(line(str(n)) for n in range(11)))
    assert [fault.code for fault in plan.faults] == ["too_many_requests"]


@given(st.binary(max_size=200))
def test_no_line_does_more_than_be_refused(data: bytes) -> None:
    assert isinstance(parse(data, 1, endpoint=CHAT), LineFault | BatchedRequest)
