"""OpenAI's fine-tuning files: words or pictures, one turn or several."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest

from app.core.errors import HeadstartError
from app.uploads.intake import Built, IntakeOptions, Limits
from tests.archives import png
from tests.unit.app.uploads.intake.conftest import Take

Refused = Callable[..., HeadstartError]


def url(data: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(data).decode()


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def said(label: Any, **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": label, **more}


def seen(picture: str, words: str = "?") -> dict[str, Any]:
    part = {"type": "image_url", "image_url": {"url": picture}}
    return user([{"type": "text", "text": words}, part])


def lines(*conversations: list[dict[str, Any]]) -> bytes:
    return "\n".join(json.dumps({"messages": one}) for one in conversations).encode()


def texts(built: Built) -> list[tuple[str, str]]:
    packed = built.pack_path.read_bytes()
    found = [(packed[one.offset : one.offset + one.length].decode(), one) for one in built.examples]
    return [(text, one.label) for text, one in found]


def test_the_last_turn_is_read_and_told(take: Take) -> None:
    first = [user("a"), said("x"), user("b"), user("c"), said(" y ")]
    built = take(lines(first, [user("d"), said("x")]), "t.jsonl")
    assert texts(built) == [("b\nc", "y"), ("d", "x")]
    (problem,) = built.problems
    assert (problem.code, problem.excluded) == ("column_unread", False)
    assert "1 conversation(s)" in problem.message


def test_pictures_are_read(take: Take) -> None:
    system = {"role": "system", "content": "which cell?"}
    rows = [[system, seen(url(png(n))), said("abc"[n % 2])] for n in range(4)]
    built = take(lines(*rows), "t.jsonl")
    assert built.modality == "image"
    assert [one.label for one in built.examples] == ["a", "b", "a", "b"]
    packed = built.pack_path.read_bytes()
    assert packed[: len(png(0))] == png(0)
    assert built.problems == []


def test_words_that_differ_beside_pictures_are_told(take: Take) -> None:
    rows = [[seen(url(png(n)), f"is it {n}?"), said("yn"[n % 2])] for n in range(4)]
    built = take(lines(*rows), "t.jsonl")
    assert [one.code for one in built.problems] == ["column_unread"]


SHORT = IntakeOptions(limits=Limits(row_bytes=400, member_bytes=4000))


def test_a_line_is_as_long_as_its_picture(take: Take) -> None:
    rows = [[seen(url(png(n) + bytes(600))), said("ab"[n % 2])] for n in range(4)]
    assert len(take(lines(*rows), "t.jsonl", options=SHORT).examples) == 4


@pytest.mark.parametrize("content", [seen(url(png(1) + bytes(6000))), user("w" * 800)])
def test_a_longer_line_is_refused(refused: Refused, content: dict[str, Any]) -> None:
    rows = [[content, said("ab"[n % 2])] for n in range(4)]
    assert refused(lines(*rows), "t.jsonl", options=SHORT).code == "row_too_large"


def test_what_is_not_to_be_learned_from_is_left_out(take: Take) -> None:
    rows = [[user("a"), said("x")], [user("b"), said("y", weight=0)], [user("c"), said("y")]]
    built = take(lines(*rows), "t.jsonl")
    assert texts(built) == [("a", "x"), ("c", "y")]
    assert [(one.code, one.excluded) for one in built.problems] == [("unlabelled", True)]


CALL = [{"type": "function", "function": {"name": "label", "arguments": "{}"}}]


@pytest.mark.parametrize(
    ("conversation", "word"),
    [
        ([seen("https://example.org/x.png"), said("x")], "data: URL"),
        ([seen("data:image/png;base64,%%%"), said("x")], "base64"),
        ([seen(url(png(1))), seen(url(png(2))), said("x")], "2 pictures"),
        ([user("a"), said(None, tool_calls=CALL)], "call of a tool"),
        ([user("a"), said("x"), user("b")], "end with an answer"),
        ([said("x")], "no user says"),
        ([], "no user says"),
        ([user([{"type": "input_audio", "input_audio": {}}]), said("x")], "input_text"),
        (["hello"], "list of objects"),
    ],
)
def test_what_is_not_read_is_said(refused: Refused, conversation: Any, word: str) -> None:
    error = refused(lines(conversation, [user("b"), said("y")]), "t.jsonl")
    assert error.code in ("schema_mismatch", "invalid_value")
    assert word in error.message


def test_words_and_pictures_are_not_mixed(refused: Refused) -> None:
    rows = [[user("a"), said("x")], [seen(url(png(1))), said("y")]]
    assert refused(lines(*rows), "t.jsonl").code == "modality_mismatch"


def test_unlabelled_conversations_are_asked_about(take: Take) -> None:
    rows = [[user("a")], [user("b"), said("x"), user("c")]]
    built = take(lines(*rows), "t.jsonl", options=IntakeOptions(labelled=False))
    assert [text for text, _ in texts(built)] == ["a", "c"]


OBJECTS = ['{"label": "neg"}', '{"intent": "pos", "confidence": 1}', "np.int64(0)", "b'x'"]


@pytest.mark.parametrize("form", ["messages", "prompt"])
def test_answers_stand_as_they_are(take: Take, form: str) -> None:
    rows = [(f"say {at}", OBJECTS[at % len(OBJECTS)]) for at in range(8)]
    data = lines(*([user(text), said(answer)] for text, answer in rows))
    if form == "prompt":
        made = ({"prompt": text, "completion": f" {answer}"} for text, answer in rows)
        data = "\n".join(map(json.dumps, made)).encode()
    built = take(data, "x.jsonl", options=IntakeOptions(label_mode=None))
    assert texts(built) == rows


def test_objects_in_a_label_of_a_table_are_refused(refused: Refused) -> None:
    rows = ({"text": f"say {at}", "label": OBJECTS[0]} for at in range(4))
    data = "\n".join(map(json.dumps, rows)).encode()
    assert "is an object as a text" in refused(data, "x.jsonl").message
