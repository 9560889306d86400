"""Which of a machine's engines answers a model."""

from __future__ import annotations

from typing import Any

import pytest

from app.infra.precision import Precisions, fitted_on, precision_of, served_as

BOTH = Precisions(default="openvino-bf16", available=("openvino-f32", "openvino-bf16"))
PLAIN = Precisions(default="openvino-f32", available=("openvino-f32",))
CUDA = Precisions(default="torch-bf16-cuda", available=("torch-f32-cuda", "torch-bf16-cuda"))


@pytest.mark.parametrize(
    ("engine", "precision"),
    [
        ("openvino-f32", "f32"),
        ("openvino-bf16", "bf16"),
        ("torch-bf16-cuda", "bf16"),
        ("light", None),
        ("", None),
        ("bf16f32", None),
    ],
)
def test_an_engines_name_says_its_precision(engine: str, precision: str | None) -> None:
    assert precision_of(engine) == precision


@pytest.mark.parametrize(
    ("machine", "fitted", "served"),
    [
        (BOTH, "openvino-f32", "openvino-f32"),
        (BOTH, "openvino-bf16", "openvino-bf16"),
        (BOTH, "torch-bf16-cuda", "openvino-bf16"),
        (BOTH, "", "openvino-bf16"),
        (PLAIN, "openvino-bf16", "openvino-f32"),
        (PLAIN, "torch-bf16-cuda", "openvino-f32"),
        (CUDA, "openvino-f32", "torch-f32-cuda"),
        (CUDA, "openvino-bf16", "torch-bf16-cuda"),
    ],
)
def test_a_model_is_answered_in_its_own_precision_where_it_can_be(
    machine: Precisions, fitted: str, served: str
) -> None:
    assert machine.serving(fitted) == served


def test_a_default_has_a_precision() -> None:
    assert BOTH.default_precision == "bf16"
    assert PLAIN.default_precision == "f32"


@pytest.mark.parametrize(
    ("card", "fitted"),
    [
        ({"backbone": {"precision": "openvino-f32"}}, "openvino-f32"),
        ({"backbone": {"precision": "light"}}, "light"),
        ({"backbone": {}}, ""),
        ({"backbone": None}, ""),
        ({}, ""),
        ({"backbone": {"precision": 32}}, ""),
        ({"backbone": {"precision": "f32\r\nset-cookie: a=b"}}, ""),
    ],
)
def test_a_card_says_what_its_model_was_fitted_on(card: dict[str, Any], fitted: str) -> None:
    assert fitted_on(card) == fitted


@pytest.mark.parametrize(
    ("served", "fitted", "told"),
    [
        ("openvino-f32", "openvino-f32", "openvino-f32"),
        ("openvino-f32", "openvino-bf16", "openvino-f32; fitted=openvino-bf16"),
        ("openvino-bf16", "torch-bf16-cuda", "openvino-bf16"),
        ("openvino-bf16", "", "openvino-bf16"),
    ],
)
def test_an_answer_says_where_it_differs(served: str, fitted: str, told: str) -> None:
    assert served_as(served, fitted) == told
