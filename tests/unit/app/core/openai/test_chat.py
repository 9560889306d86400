"""Requests in OpenAI's words, and what they are answered, without a predictor."""

from __future__ import annotations

import json
import math
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from app.core.errors import HeadstartError
from app.core.openai import chat, responses
from app.core.openai.chat import ChatRequest
from app.core.openai.question import LEAST_LOGPROB, ModelReply
from app.core.openai.responses import ResponseRequest

ITEM = {
    "index": 0,
    "label": "refund",
    "probability": 0.5,
    "unknown": False,
    "familiarity": 0.4,
    "predictions": [
        {"label": "refund", "probability": 0.5},
        {"label": "card", "probability": 0.5},
        {"label": "never", "probability": 0.0},
    ],
    "tokens": [7, 2],
}
REPLY = ModelReply(id="chatcmpl-1", created=1, model="ft:m", items=[ITEM])


def asked(**more: Any) -> ChatRequest:
    said = [{"role": "user", "content": "hi"}]
    return ChatRequest.model_validate({"model": "m", "messages": said, **more})


def answered(**more: Any) -> dict[str, Any]:
    return chat.question(asked(**more)).answer(REPLY)


def test_probabilities_are_logprobs_and_none_is_infinite() -> None:
    (token,) = answered(logprobs=True, top_logprobs=3)["choices"][0]["logprobs"]["content"]
    assert token["token"] == "refund"
    assert token["logprob"] == pytest.approx(math.log(0.5))
    assert [one["logprob"] for one in token["top_logprobs"]][2] == LEAST_LOGPROB
    assert bytes(token["bytes"]) == b"refund"


def test_within_json_the_tokens_are_the_content_and_the_label_has_the_probability() -> None:
    schema = {"type": "object", "properties": {"refund": {"enum": ["refund", "card"]}}}
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    (choice,) = answered(logprobs=True, response_format=form)["choices"]
    tokens = choice["logprobs"]["content"]
    assert "".join(one["token"] for one in tokens) == choice["message"]["content"]
    assert [one["token"] for one in tokens] == ['{"refund":"', "refund", '"}']
    assert [one["logprob"] for one in tokens] == [0.0, pytest.approx(math.log(0.5)), 0.0]


def several(labels: list[str], **more: Any) -> dict[str, Any]:
    item = {**ITEM, "labels": labels}
    reply = ModelReply(id="chatcmpl-1", created=1, model="ft:m", items=[item])
    (choice,) = chat.question(asked(**more)).answer(reply)["choices"]
    return dict(choice)


@pytest.mark.parametrize("labels", [["refund", "card"], ["card"], []])
def test_a_model_of_several_labels_says_all_of_them(labels: list[str]) -> None:
    choice = several(labels, logprobs=True)
    assert json.loads(choice["message"]["content"]) == labels
    tokens = choice["logprobs"]["content"]
    assert "".join(one["token"] for one in tokens) == choice["message"]["content"]
    assert [one["token"] for one in tokens if one["top_logprobs"] or one["logprob"]] == labels
    schema = {"properties": {"intents": {"type": "array", "items": {"enum": ["refund", "card"]}}}}
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    choice = several(labels, response_format=form)
    assert json.loads(choice["message"]["content"]) == {"intents": labels}
    assert choice["prediction"]["labels"] == labels


def test_n_choices_are_equal_and_counted() -> None:
    whole = answered(n=3)
    assert [one["message"]["content"] for one in whole["choices"]] == ["refund"] * 3
    assert whole["usage"]["completion_tokens"] == 6
    assert whole["usage"]["total_tokens"] == 13


def test_a_demanded_tool_is_called_with_the_label() -> None:
    schema = {"type": "object", "properties": {"intent": {"enum": ["refund", "card"]}}}
    tool = {"type": "function", "function": {"name": "route", "parameters": schema}}
    wish = {"type": "function", "function": {"name": "route"}}
    (choice,) = answered(tools=[tool], tool_choice=wish)["choices"]
    assert choice["message"]["tool_calls"][0]["function"] == {
        "name": "route",
        "arguments": '{"intent":"refund"}',
    }
    assert choice["message"]["content"] is None


def test_a_demanded_function_is_called_in_its_older_form() -> None:
    schema = {"type": "object", "properties": {"intent": {"enum": ["refund", "card"]}}}
    functions = [{"name": "other"}, {"name": "route", "parameters": schema}]
    members: dict[str, Any] = {"functions": functions, "function_call": {"name": "route"}}
    whole = answered(**members)
    (choice,) = whole["choices"]
    call = {"name": "route", "arguments": '{"intent":"refund"}'}
    assert choice["message"]["function_call"] == call
    assert (choice["message"]["content"], choice["finish_reason"]) == (None, "function_call")
    pieces = list(chat.chunks(asked(**members), whole))
    assert [one["choices"][0]["delta"].get("function_call") for one in pieces] == [None, call, None]
    with pytest.raises(HeadstartError, match="no such function"):
        answered(**{**members, "function_call": {"name": "absent"}})
    assert answered(functions=functions)["choices"][0]["message"]["content"] == "refund"


def test_a_json_object_may_have_a_schema() -> None:
    schema = {"type": "object", "properties": {"intent": {"enum": ["refund", "card"]}}}
    (choice,) = answered(response_format={"type": "json_object", "schema": schema})["choices"]
    assert choice["message"]["content"] == '{"intent":"refund"}'


@pytest.mark.parametrize(
    "members",
    [
        {"guided_choice": None},
        {"temperature": 0},
        {"max_tokens": 1, "seed": 7},
        {"invented_next_year": True},
        {"tools": []},
        {"models": ["m", "n"]},
    ],
)
def test_what_does_not_matter_is_let_pass(members: dict[str, Any]) -> None:
    assert asked(**members).model == "m"


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"top_logprob": 5, "logprobs": True}, "did you mean top_logprobs"),
        ({"top_logprobs": 5}, "it needs logprobs"),
        ({"guided_choice": ["refund"]}, "guided_choice: it is not read; ask for a form by resp"),
        ({"structured_outputs": {}}, "structured_outputs: it is not read"),
        ({"stream_options": {"include_usage": True}}, "it needs stream"),
        ({"n": 0}, "greater than or equal to 1"),
        ({"messages": []}, "at least 1 item"),
    ],
)
def test_what_matters_is_checked(members: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        asked(**members)


def test_a_stream_puts_the_whole_answer_together() -> None:
    request = asked(stream=True, stream_options={"include_usage": True}, logprobs=True)
    pieces = list(chat.chunks(request, chat.question(request).answer(REPLY)))
    deltas = [one["choices"][0]["delta"] for one in pieces if one["choices"]]
    assert "".join(delta.get("content") or "" for delta in deltas) == "refund"
    assert deltas[0]["role"] == "assistant"
    assert [one["choices"][0]["finish_reason"] for one in pieces[:-1]] == [None, None, "stop"]
    assert pieces[-1]["choices"] == []
    assert pieces[-1]["usage"]["total_tokens"] == 9
    assert all(one["usage"] is None for one in pieces[:-1])


def test_a_responses_events_are_numbered_and_end_with_the_whole() -> None:
    request = ResponseRequest.model_validate({"model": "m", "input": "hi", "stream": True})
    whole = responses.question(request).answer(REPLY)
    events = list(responses.events(whole))
    assert [one["sequence_number"] for one in events] == list(range(len(events)))
    assert events[0]["response"]["status"] == "in_progress"
    assert events[-1]["response"] == whole
    assert whole["output"][0]["content"][0]["text"] == "refund"


@pytest.mark.parametrize("member", [{"previous_response_id": "resp_1"}, {"background": True}])
def test_what_needs_stored_responses_is_refused(member: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ResponseRequest.model_validate({"model": "m", "input": "hi", **member})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "function", "name", "role", "content"]), inner)
    ),
    max_leaves=10,
)
MEMBERS = ["tools", "tool_choice", "response_format", "messages", "stream", "stream_options"]
MEMBERS += ["functions", "function_call"]


@given(st.dictionaries(st.sampled_from(MEMBERS), JSON))
def test_whatever_is_sent_is_answered_or_refused(members: dict[str, Any]) -> None:
    with suppress(ValidationError, HeadstartError):
        request = asked(**members)
        whole = chat.question(request).answer(REPLY)
        assert list(chat.chunks(request, whole))


@given(st.dictionaries(st.sampled_from(["input", "text", "include", "stream"]), JSON))
def test_whatever_a_response_is_asked_is_answered_or_refused(members: dict[str, Any]) -> None:
    with suppress(ValidationError, HeadstartError):
        request = ResponseRequest.model_validate({"model": "m", "input": "hi", **members})
        assert list(responses.events(responses.question(request).answer(REPLY)))
