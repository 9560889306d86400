"""Which of a conversation's words are classified."""

from __future__ import annotations

from typing import Any

import pytest

from app.core.errors import HeadstartError
from app.core.messages import read_error
from app.core.openai.turns import last_turn

PIXEL = "data:image/png;base64,iVBORw0KGgo="


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def assistant(content: str) -> dict[str, Any]:
    return {"role": "assistant", "content": content}


@pytest.mark.parametrize(
    ("messages", "text"),
    [
        ([user("hello")], "hello"),
        ([{"role": "system", "content": "classify"}, user("hello")], "hello"),
        ([user("old"), assistant("a"), user("new")], "new"),
        ([user("one"), user("two")], "one\ntwo"),
        ([user("as in the training file"), assistant("label")], "as in the training file"),
        ([user([{"type": "text", "text": "a"}, {"type": "input_text", "text": "b"}])], "a\nb"),
        ([user("said"), {"role": "tool", "content": "42", "tool_call_id": "x"}], "said"),
        ([{"type": "reasoning", "summary": []}, user("x")], "x"),
    ],
)
def test_the_users_last_turn_is_what_counts(messages: list[Any], text: str) -> None:
    assert last_turn(messages, param="messages").input("text").data == text.encode()


def test_a_picture_model_reads_the_turns_one_picture_and_not_its_words() -> None:
    parts = [
        {"type": "text", "text": "which cell is it?"},
        {"type": "image_url", "image_url": {"url": PIXEL, "detail": "low"}},
    ]
    read = last_turn([user(parts)], param="messages").input("image")
    assert (read.kind, read.data) == ("image", b"\x89PNG\r\n\x1a\n")


@pytest.mark.parametrize(
    ("messages", "param"),
    [
        ([{"role": "system", "content": "x"}], "messages"),
        (["hello"], "messages.0"),
        ([{"role": "bot", "content": "x"}], "messages.0.role"),
        ([{"role": ["user"], "content": "x"}], "messages.0.role"),
        ([user(None)], "messages.0.content"),
        ([user([])], "messages.0.content"),
        ([user([{"type": "input_audio"}])], "messages.0.content.0"),
        ([user([{"type": "image_url", "image_url": {}}])], "messages.0.content.0.image_url"),
    ],
)
def test_what_nobody_says_is_refused_by_its_place(messages: list[Any], param: str) -> None:
    with pytest.raises(HeadstartError) as refused:
        last_turn(messages, param="messages").input("text")
    assert (refused.value.code, refused.value.param) == ("invalid_request", param)


@pytest.mark.parametrize(
    ("parts", "modality", "code"),
    [
        ([{"type": "input_image", "image_url": PIXEL}], "text", "modality_mismatch"),
        ([{"type": "text", "text": "x"}], "image", "invalid_request"),
        ([{"type": "input_image", "image_url": PIXEL}] * 2, "image", "invalid_request"),
        ([{"type": "input_image", "image_url": "https://a/b.png"}], "image", "invalid_request"),
    ],
)
def test_what_the_model_cannot_read_is_refused(parts: Any, modality: Any, code: str) -> None:
    with pytest.raises(HeadstartError) as refused:
        last_turn([user(parts)], param="messages").input(modality)
    assert refused.value.code == code


def test_a_picture_that_is_no_base64_is_an_error_in_its_place() -> None:
    parts = [{"type": "input_image", "image_url": "data:image/png;base64,!!"}]
    read = last_turn([user(parts)], param="messages").input("image")
    assert read_error(bytes(read.data)).code == "image_invalid"
