"""What `predict` asks about: texts of another encoding and files that are not there are told."""

from __future__ import annotations

import io
from pathlib import Path

import httpx
import pytest

from app.cli.remote import commands
from app.core.errors import HeadstartError

MODEL = {"id": "model-1", "modality": "text"}


def client() -> httpx.Client:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"data": [request.content.decode()]})

    return httpx.Client(base_url="http://here", transport=httpx.MockTransport(answer))


def asked(*given: str) -> str:
    return str(commands._ask(client(), MODEL, list(given))[0])


def piped(monkeypatch: pytest.MonkeyPatch, data: bytes) -> list[str]:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data), "utf-8"))
    return commands._lines()


def test_lines_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    assert piped(monkeypatch, b"\xef\xbb\xbfa b\n\n c\n") == ["a b", " c"]


def test_lines_of_another_encoding_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(HeadstartError, match="standard input is not UTF-8, in line 2") as caught:
        piped(monkeypatch, b"a\nb\xff\xfe b\n")
    assert caught.value.code == "encoding"


def test_files_and_arguments_of_another_encoding_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("gr\u00f6\u00dfe".encode("latin-1"))
    with pytest.raises(HeadstartError, match=r"a\.txt is not UTF-8, in line 1"):
        asked(str(path))
    with pytest.raises(HeadstartError, match="an argument is not UTF-8"):
        asked(b"a \xff b".decode("utf-8", "surrogateescape"))


def test_words_and_files_are_asked(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("the words of it")
    assert "the words of it" in asked(str(path))
    assert "what about ok.txt" in asked("what about ok.txt")


def test_a_file_of_texts_that_is_not_there_is_no_text() -> None:
    with pytest.raises(HeadstartError, match=r"ok\.txt is not there"):
        asked("ok.txt")
