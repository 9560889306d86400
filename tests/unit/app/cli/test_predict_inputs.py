"""What `predict` asks about: texts of another encoding and files that are not there are told."""

from __future__ import annotations

import io
from pathlib import Path

import httpx
import pytest

from app.cli.remote import commands, given
from app.core.errors import HeadstartError

MODEL = {"id": "model-1", "modality": "text"}


def client() -> httpx.Client:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"data": [request.content.decode()]})

    return httpx.Client(base_url="http://here", transport=httpx.MockTransport(answer))


def asked(*inputs: str) -> str:
    return str(commands._ask(client(), MODEL, list(inputs))[0])


def piped(monkeypatch: pytest.MonkeyPatch, data: bytes) -> list[str]:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data), "utf-8"))
    return given.lines()


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\xef\xbb\xbfa b\n\n c\n", ["a b", "", " c"]),
        (b"a\r\n\r\nb", ["a", "", "b"]),
        ("a\x0bb\u2028c\n".encode(), ["a\x0bb\u2028c"]),
        (b"\n\n", ["", ""]),
        (b"", []),
    ],
)
def test_lines_are_read_each_in_its_place(
    monkeypatch: pytest.MonkeyPatch, data: bytes, expected: list[str]
) -> None:
    assert piped(monkeypatch, data) == expected


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


@pytest.mark.parametrize("name", ["nosuch.png", "x/y.CSV", "a.jsonl", "note.md", "scan.pdf"])
def test_what_is_called_as_a_file_and_is_none_is_no_text(name: str) -> None:
    with pytest.raises(HeadstartError, match="is not there"):
        asked(name)


@pytest.mark.parametrize("words", ["node.js", "U.S.A", "see example.com", "v1.2", "and/or", "a.b"])
def test_words_with_points_are_texts(words: str) -> None:
    assert words in asked(words)


def test_a_folder_is_no_text(tmp_path: Path) -> None:
    with pytest.raises(HeadstartError, match="is a folder"):
        asked(str(tmp_path))


@pytest.mark.parametrize(
    ("name", "said"), [("a.csv", "is a table"), ("a.jsonl", "is a table"), ("a.png", "a picture")]
)
def test_tables_and_pictures_are_no_texts(tmp_path: Path, name: str, said: str) -> None:
    path = tmp_path / name
    path.write_text("text,label\nmy card,card\n")
    with pytest.raises(HeadstartError, match=said) as caught:
        asked(str(path))
    assert caught.value.code == "modality_mismatch"
