"""What the app and the predictor say to each other survives the way."""

from __future__ import annotations

import json
import struct
from dataclasses import replace
from typing import Any

import pytest

from app.core import messages
from app.core.errors import HeadstartError
from app.core.messages import Call, Input, Options, Target

FORMER: dict[str, Any] = {
    "id": "pred_1",
    "tenant": "o",
    "single": True,
    "target": {
        "model": "ft:b:o::m",
        "backbone": "b",
        "artifact": "models/o/m/1",
        "sha256": "0" * 64,
        "alias": "",
        "pinned": False,
    },
    "options": {"top_k": None, "threshold": None, "cache": True, "explain": [], "timeout": 30.0},
    "kinds": "i",
    "lengths": [5],
}
"""What 0.1.0 says of a call. Its predictor refuses other options, and skips other members."""
TARGET = Target(model="ft:b:o::m", backbone="b", artifact="models/o/m/1", sha256="0" * 64)


def call(*inputs: Input, **options: object) -> Call:
    return Call(
        id="pred_1",
        tenant="o",
        target=TARGET,
        options=Options(**options),  # type: ignore[arg-type]
        inputs=inputs,
    )


def test_a_call_survives_the_way() -> None:
    sent = call(
        Input("image", b"\x00\xff"),
        Input("text", "žluť".encode()),
        Input("image", b""),
        messages.failed(HeadstartError("image_invalid", "no")),
        top_k=2,
        threshold=0.5,
        cache=False,
        explain=("neighbours",),
    )
    read = messages.decode(b"".join(messages.encode(sent)))
    assert (read.target, read.options, read.tenant) == (TARGET, sent.options, "o")
    assert [(item.kind, bytes(item.data)) for item in read.inputs] == [
        (item.kind, bytes(item.data)) for item in sent.inputs
    ]


def body_of(meta: Any, data: bytes = b"12345") -> bytes:
    told = json.dumps(meta).encode()
    return struct.pack("<I", len(told)) + told + data


def told_of(sent: Call) -> Any:
    body = b"".join(messages.encode(sent))
    (length,) = struct.unpack_from("<I", body)
    return json.loads(body[4 : 4 + length])


def test_a_call_of_an_app_of_0_1_0_is_read() -> None:
    read = messages.decode(body_of(FORMER))
    assert (read.target, read.options, read.single, read.others) == (TARGET, Options(), True, ())


def test_a_call_that_asks_for_nothing_new_is_what_0_1_0_reads() -> None:
    told = told_of(replace(call(Input("image", b"12345")), single=True))
    assert told == FORMER | {"others": []}


@pytest.mark.parametrize(
    "asked",
    [{"wait": 2.0}, {"tokens": True}, {"score": True}, {"level": 0.0}, {"levels": {"a": 1.0}}],
)
def test_what_is_asked_for_is_never_left_out(asked: dict[str, object]) -> None:
    sent = call(Input("image", b"12345"), **asked)
    assert messages.decode(b"".join(messages.encode(sent))).options == sent.options


@pytest.mark.parametrize(
    "later",
    [
        {"later": 1},
        {"options": {**FORMER["options"], "later": 1}},
        {"target": {**FORMER["target"], "later": 1}},
        {"kinds": "s"},
    ],
    ids=str,
)
def test_a_call_that_asks_for_what_a_later_release_knows_is_refused(later: dict[str, Any]) -> None:
    with pytest.raises(HeadstartError) as caught:
        messages.decode(body_of(FORMER | later))
    assert caught.value.code == "bad_request"


@pytest.mark.parametrize("cut", [0, 3, 10, -1])
def test_a_body_that_is_cut_is_refused(cut: int) -> None:
    body = b"".join(messages.encode(call(Input("image", b"12345"))))
    with pytest.raises(HeadstartError) as caught:
        messages.decode(body[:cut])
    assert caught.value.code == "bad_request"


def test_an_error_survives_the_way() -> None:
    error = HeadstartError("overloaded", "later", param="x", retry_after=2)
    read = messages.read_error(messages.failed(error).data)  # type: ignore[arg-type]
    assert (read.code, read.message, read.param, read.retry_after) == (
        "overloaded",
        "later",
        "x",
        2,
    )


def test_an_unreadable_error_is_the_predictor_being_unavailable() -> None:
    assert messages.read_error(b"<html>").code == "predictor_unavailable"


@pytest.mark.parametrize(
    "artifact",
    ["../../etc", "/etc/passwd", "models/../../x", "models//x", "models", "models/a\0b", 3],
)
def test_a_call_cannot_name_what_is_no_models_folder(artifact: object) -> None:
    sent = Call(
        id="pred_1",
        tenant="o",
        target=Target(model="m", backbone="b", artifact=artifact, sha256="0"),  # type: ignore[arg-type]
        options=Options(),
        inputs=(),
    )
    with pytest.raises(HeadstartError) as raised:
        messages.decode(b"".join(messages.encode(sent)))
    assert raised.value.code == "bad_request"


def test_a_call_for_embeddings_names_no_folder() -> None:
    sent = Call(
        id="emb_1",
        tenant="o",
        target=Target(model="m", backbone="b", artifact="", sha256=""),
        options=Options(),
        inputs=(),
    )
    assert messages.decode(b"".join(messages.encode(sent))).target.artifact == ""
