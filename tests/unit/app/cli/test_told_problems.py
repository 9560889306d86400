"""What is printed of a version's problems."""

from __future__ import annotations

from typing import Any

import pytest

from app.cli.remote import datasets


def problems(*messages: str) -> list[dict[str, Any]]:
    return [{"code": "unlabelled", "message": one} for one in messages]


@pytest.mark.parametrize(
    ("before", "now", "lines"),
    [
        ([], ["a", "b"], ["unlabelled: a", "unlabelled: b"]),
        (["a"], ["a", "b"], ["unlabelled: b", "and 1 that were told before, or further ones"]),
        (["a"], [], []),
        ([], [str(at) for at in range(23)], [*(f"unlabelled: {at}" for at in range(20)),
                                             "and 3 further problems"]),
    ],
)  # fmt: skip
def test_what_the_version_before_had_is_counted_alone(
    capsys: pytest.CaptureFixture[str], before: list[str], now: list[str], lines: list[str]
) -> None:
    told = {"problems": problems(*now), "num_problems": len(now)}
    datasets._tell_problems(told, problems(*before))
    assert [line.strip() for line in capsys.readouterr().out.splitlines()] == lines
