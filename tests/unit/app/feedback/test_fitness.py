"""What feedback can be an example: nothing that the intake refuses is let into its pack."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app.core.errors import HeadstartError
from app.feedback import fitness
from app.infra.orm import FeedbackRow
from app.uploads.intake import rows as intake
from app.uploads.intake.limits import Limits
from app.uploads.intake.rows import Row

SAYS = {"label": "late", "labels": None}


def unfit(data: bytes, **said: Any) -> str | None:
    row = FeedbackRow(**{**SAYS, **said})
    mode: Any = "multi_label" if row.labels is not None else "single_label"
    wrong = fitness.unfit(row, data, modality="text", mode=mode)
    return None if wrong is None else wrong.code


@pytest.mark.parametrize(
    ("data", "said", "code"),
    [
        (b"a", {"label": ""}, "invalid_value"),
        (b"a", {"label": " "}, "invalid_value"),
        (b"a", {"label": "a\u202eb"}, "invalid_value"),
        (b"a", {"label": "a\nb"}, "invalid_value"),
        (b"a", {"label": "a\0b"}, "invalid_value"),
        (b"a", {"label": "a\ud800b"}, "invalid_value"),
        (b"a", {"label": "x" * 257}, "label_too_long"),
        (b"a", {"label": None, "labels": ["a", ""]}, "invalid_value"),
        (b"a\0b", {}, "invalid_value"),
        (b" ", {}, "invalid_value"),
        (b"\xff", {}, "modality_mismatch"),
        (b"x" * (2**20 - 10), {}, "row_too_large"),
        (b'"' * 2**19, {}, "row_too_large"),
        (b"a", {}, None),
        (b"a", {"label": "x" * 256}, None),
        (b"a", {"label": None, "labels": []}, None),
        ("\u4e00".encode() * 300_000, {}, None),
    ],
)
def test_what_the_intake_would_refuse_is_left_out(
    data: bytes, said: dict[str, Any], code: str | None
) -> None:
    assert unfit(data, **said) == code


@pytest.mark.parametrize("label", ["a \u2713 b", '{"label": "neg"}', "np.int64(0)", "['a']"])
def test_what_is_fit_is_read_back_by_the_intake(label: str) -> None:
    row = FeedbackRow(label=label, labels=None)
    values = json.loads(fitness.line(row, {"text": "x\ny"}))
    read = intake.text_row(Row("t.jsonl", 1, values), Limits())
    assert (read.text, read.label) == ("x\ny", label)


def test_a_label_mode_of_another_kind_and_a_picture_that_is_none_are_left_out() -> None:
    row = FeedbackRow(**SAYS)
    wrong = fitness.unfit(row, b"a", modality="text", mode="multi_label")
    assert isinstance(wrong, HeadstartError)
    assert wrong.code == "label_mode_mismatch"
    wrong = fitness.unfit(row, b"no picture", modality="image", mode="single_label")
    assert wrong is not None
