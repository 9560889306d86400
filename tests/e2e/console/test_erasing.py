"""Examples are erased for good: what that does is said before, and how far it is afterwards."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import Locator, Route, expect

from tests.e2e.archives import drawn, zipped
from tests.e2e.conftest import Service
from tests.e2e.console.conftest import Watched
from tests.e2e.console.rooms import train, upload, wait_for_ready

PATIENT = ("bar/0.png", "bar/1.png")


@pytest.fixture
def dataset(live: Service) -> str:
    """Pictures, two of one patient, of which a model was made."""
    members = drawn(per_class=6, seed=811)
    lines = [
        {"path": path, "label": path.partition("/")[0], "group": _patient(path)} for path in members
    ]
    listed = "".join(json.dumps(line) + "\n" for line in lines).encode()
    with live.client() as client:
        name = upload(client, zipped({**members, "metadata.jsonl": listed}), "s.zip", "scans")
        train(client, name, "efficientnet_lite0", suffix="scans")
    return name


def _patient(path: str) -> str:
    return "patient-7" if path in PATIENT else path


def paths(live: Service, dataset: str, **query: int) -> list[str]:
    with live.client() as client:
        found = client.get(f"/v1/datasets/{dataset}/examples", params=query).json()["data"]
    return [str(one["path"]) for one in found]


def confirm(dialog: Locator) -> None:
    expect(dialog.get_by_text("Nothing brings it back")).to_be_visible()
    dialog.get_by_role("button", name="Erase for good", exact=True).click()
    expect(dialog.get_by_role("heading", name="Erased")).to_be_visible()


def test_a_group_is_erased_by_one_of_its_pictures(
    console: Watched, live: Service, dataset: str
) -> None:
    page = console.page
    with live.client() as client:
        client.patch(
            f"/v1/datasets/{dataset}/examples/{_id(live, dataset, 'disc/3.png')}",
            json={"label": "bar"},
        )
        wait_for_ready(client, dataset)
    console.sign_in(live.key)
    console.open(f"/datasets/{dataset}")
    page.locator(".tile").filter(has=page.get_by_alt_text("bar/0.png")).first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Erase for good…").click()
    dialog.get_by_label("all of the group patient-7").check()
    confirm(dialog)
    expect(dialog.get_by_text("2 pictures: 2 of version 1, 2 of version 2")).to_be_visible()
    expect(dialog.get_by_text("learned from 2, judged on 0: kept")).to_be_visible()
    expect(dialog.get_by_text("nothing stored has any of it")).to_be_visible()
    dialog.get_by_role("button", name="Done").click()
    expect(page.get_by_alt_text("bar/0.png")).to_have_count(0)
    for version in (1, 2):
        assert not set(PATIENT) & set(paths(live, dataset, version=version))
    page.get_by_role("tab", name="Versions").click()
    expect(page.get_by_role("heading", name="Erased for good")).to_be_visible()
    expect(page.get_by_text("2 pictures, done")).to_be_visible()
    page.get_by_role("button", name="What version 2 changed").click()
    expect(page.get_by_role("row").filter(has_text="disc/3.png")).to_contain_text("disc → bar")
    with live.client() as client:
        models = client.get("/v1/models").json()["data"]
    (made,) = [one["id"] for one in models if (one["dataset"] or {}).get("id") == dataset]
    console.open(f"/models/{made}")
    expect(page.get_by_text("It has learned from 2 pictures that were erased")).to_be_visible()


def _id(live: Service, dataset: str, path: str) -> str:
    with live.client() as client:
        found = client.get(f"/v1/datasets/{dataset}/examples").json()["data"]
    return next(str(one["id"]) for one in found if one["path"] == path)


def test_a_group_is_named_and_its_models_go_too(
    console: Watched, live: Service, dataset: str
) -> None:
    page = console.page
    console.sign_in(live.key)
    console.open(f"/datasets/{dataset}")
    page.get_by_role("button", name="Erase for good…").click()
    dialog = page.get_by_role("dialog")
    go = dialog.get_by_role("button", name="Erase for good", exact=True)
    expect(go).to_have_attribute("aria-disabled", "true")
    dialog.get_by_role("textbox", name="Group").fill("patient-7")
    dialog.get_by_label("Delete the models that learned from them, too").check()
    confirm(dialog)
    expect(dialog.get_by_text("judged on 0: deleted")).to_be_visible()
    dialog.get_by_role("button", name="Done").click()
    expect(page.get_by_role("tab", name="Models0")).to_be_visible()
    assert len(paths(live, dataset)) == 10


def test_what_is_refused_is_said_with_what_to_do(
    console: Watched, live: Service, dataset: str
) -> None:
    page = console.page
    console.expected = {409}
    problem = {"code": "model_holds_example", "detail": "the model is made of its examples"}

    def refuse(route: Route) -> None:
        route.fulfill(status=409, body=json.dumps(problem))

    page.route("**/erasures", refuse)
    console.sign_in(live.key)
    console.open(f"/datasets/{dataset}")
    page.locator(".tile").first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Erase for good…").click()
    dialog.get_by_role("button", name="Erase for good", exact=True).click()
    expect(dialog.get_by_role("alert")).to_contain_text("the model is made of its examples")
    expect(dialog.get_by_text("Tick that these models go, too.")).to_be_visible()
    page.unroute("**/erasures", refuse)
    dialog.get_by_role("button", name="Cancel").click()
    assert len(paths(live, dataset)) == 12
