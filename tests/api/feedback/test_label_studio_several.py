"""Label Studio's annotations of a model that may say several labels, or none."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests import serving_kit as kit
from tests.api.feedback.conftest import ALIAS
from tests.api.feedback.test_label_studio import (
    CONFIG,
    HERE,
    StandIn,
    project,
    service,
    studio,
    task,
    tool,
)
from tests.api.feedback.test_label_studio import setup as connect
from tests.api.hooks.conftest import until
from tests.api.predictions.conftest import Serving, register
from tests.api.service import Service

__all__ = ["service", "studio", "tool"]
pytestmark = pytest.mark.slow
SEVERAL = CONFIG.replace('toName="img">', 'toName="img" choice="multiple">')
CHOSEN = (["2", "0"], ["1"], None)
"""In the order in which they were clicked."""


@pytest.fixture
def model(service: Service, serving: Serving) -> str:
    """A model of several labels."""
    target = kit.store_model(serving.settings, organisation="default", several=True).target
    register(
        service.services.sessions,
        target,
        name=target.model,
        labels=("0", "1", "2"),
        label_mode="multi_label",
    )
    return target.model


def annotated(studio: StandIn, number: int, chosen: list[str] | None) -> dict[str, Any]:
    """A submitted task; of what nobody chose the tool sends no part."""
    found = task(studio, number, "0")
    (annotation,) = found["annotations"]
    if chosen is None:
        annotation["result"] = []
    else:
        annotation["result"][0]["value"]["choices"] = chosen
    return found


def given(client: httpx.Client) -> list[dict[str, Any]]:
    found = client.get(f"/v1/models/{ALIAS}/feedback?limit=100").json()["data"]
    return sorted(found, key=lambda one: str(one["labels"]))


def pulled(service: Service) -> dict[str, Any]:
    """What came of the pull that was asked for."""
    until(lambda: not project(service).pending and project(service).not_before is None)
    return project(service).told


def pull(tool: httpx.Client, service: Service) -> dict[str, Any]:
    """Have the project's annotations pulled; what came of it."""
    event = {"action": "ANNOTATION_UPDATED", "project": {"id": 7}}
    assert tool.post(f"{HERE}/webhook", json=event).json() == {"status": "pulling"}
    return pulled(service)


def test_choices_in_the_order_of_their_clicks_are_no_news_when_they_are_pulled_again(
    tool: httpx.Client, client: httpx.Client, service: Service, studio: StandIn
) -> None:
    studio.tasks = [annotated(studio, 40 * at, chosen) for at, chosen in enumerate(CHOSEN)]
    assert connect(tool, studio, SEVERAL).status_code == 200
    until(lambda: len(given(client)) == 3)
    first = given(client)
    assert [one["labels"] for one in first] == [["0", "2"], ["1"], []]
    told = pull(tool, service)
    assert (told["changed"], told["unchanged"], told["unreadable"]) == (0, 3, 0)
    assert [one["updated_at"] for one in given(client)] == [one["updated_at"] for one in first]
    studio.tasks[1] = annotated(studio, 40, ["1", "0"])
    assert pull(tool, service)["changed"] == 1
    assert [one["labels"] for one in given(client)] == [["0", "1"], ["0", "2"], []]


@pytest.mark.parametrize(
    ("path", "member"),
    [("setup", "schema"), ("validate", "config"), ("predict", "label_config")],
)
def test_a_control_of_one_choice_is_refused(
    tool: httpx.Client, studio: StandIn, path: str, member: str
) -> None:
    body = {"project": "7.1", "hostname": studio.url, "tasks": []}
    answer = tool.post(f"{HERE}/{path}", json=body | {member: CONFIG})
    assert answer.status_code == 422
    assert 'choice=\\"multiple\\"' in answer.text
    assert tool.post(f"{HERE}/{path}", json=body | {member: SEVERAL}).status_code == 200


def test_an_alias_that_says_several_labels_by_now_unlearns_none_of_a_control_of_one(
    tool: httpx.Client, client: httpx.Client, service: Service, studio: StandIn,
    serving: Serving, model: str,
) -> None:  # fmt: skip
    client.put(f"/v1/aliases/{ALIAS}", json={"model": serving.target.model}).raise_for_status()
    studio.tasks = [task(studio, 0, "0")]
    assert connect(tool, studio).status_code == 200
    until(lambda: len(given(client)) == 1)
    client.put(f"/v1/aliases/{ALIAS}", json={"model": model}).raise_for_status()
    studio.tasks = [task(studio, 0, "1")]
    tool.post(f"{HERE}/webhook", json={"action": "ANNOTATION_UPDATED", "project": {"id": 7}})
    until(lambda: "several" in project(service).told.get("error", ""))
    assert [one["label"] for one in given(client)] == ["0"]
