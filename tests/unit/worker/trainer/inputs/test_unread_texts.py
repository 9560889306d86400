"""One problem counts all texts of a version that their backbone has no pieces for."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from app.core.manifest import Problem
from app.infra.orm import DatasetVersionRow
from tests.unit.worker.trainer.inputs.test_long_texts import FACTS, example
from worker.trainer.inputs import unread_texts

EXAMPLES = [example(at) for at in range(250)]


class Asked:
    """Answers which of the texts that it is asked about are unread, and counts them."""

    def __init__(self, unread: set[str]) -> None:
        self.claim = SimpleNamespace(organisation_id="acme")
        self.unread = unread
        self.items = 0

    def ask(self, message: dict[str, Any]) -> dict[str, Any]:
        assert message["op"] == "unread"
        self.items += len(message["items"])
        named = [one.sha256 for one in message["items"]]
        return {"unread": [at for at, name in enumerate(named) if name in self.unread]}


@pytest.fixture(autouse=True)
def listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unread_texts, "items", lambda *told: list(told[2]))


def found(asked: Asked, **facts: Any) -> list[str]:
    told = unread_texts.unread(cast("Any", asked), replace(FACTS, **facts), EXAMPLES)
    return [one.sha256 for one in told]


def test_all_are_looked_at_where_one_in_ten_is_unread() -> None:
    every = {str(at) for at in range(0, 250, 5)}
    asked = Asked(every)
    assert found(asked) == sorted(every, key=int)
    assert asked.items == 250


def test_few_are_no_script_of_the_dataset() -> None:
    asked = Asked({"1", "2", "200"})
    assert found(asked) == []
    assert asked.items == unread_texts.LOOKED_AT


def test_pictures_are_not_asked_about() -> None:
    asked = Asked({"1"})
    assert found(asked, reads=0) == []
    assert asked.items == 0


def test_chunks_are_counted_together() -> None:
    other = Problem(code="label_collision", message="alike")
    version = DatasetVersionRow(problems=[other.model_dump()])
    unread_texts.tell(version, FACTS, EXAMPLES[:2])
    unread_texts.tell(version, FACTS, [example(at) for at in range(3, 1003)])
    assert [one["code"] for one in version.problems] == ["label_collision", "text_unread"]
    told = version.problems[1]
    assert told["message"].startswith("1,002 text(s) are written in what mine has no pieces for")
    assert (told["path"], told["excluded"]) == ("t:0", False)
