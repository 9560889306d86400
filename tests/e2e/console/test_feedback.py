"""What a model is asked in use: written down, labelled by keyboard, measured, taught."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import expect

from tests.e2e.archives import drawn, zipped
from tests.e2e.conftest import Service
from tests.e2e.console.conftest import Watched
from tests.e2e.console.rooms import train, upload
from tests.servers import wait_for

ALIAS = "shapes@feedback"
ASKED = 14


@pytest.fixture(scope="module")
def in_use(live: Service) -> str:
    """The dataset of a model that an alias names."""
    with live.client() as client:
        data = zipped(drawn(per_class=8, seed=301))
        dataset = upload(client, data, "shapes.zip", "shapes in use")
        job = train(client, dataset, "efficientnet_lite0", suffix="in-use")
        client.put(f"/v1/aliases/{ALIAS}", json={"model": job["fine_tuned_model"]})
        client.patch(f"/v1/aliases/{ALIAS}", json={"prediction_log": {"retention_days": 7}})
        ask(client, list(drawn(per_class=ASKED // 2, seed=302).values()))
    return dataset


def ask(client: httpx.Client, pictures: list[bytes]) -> None:
    """Let the alias be asked, and wait until its log has it."""
    for data in pictures:
        answer = client.post(f"/v1/models/{ALIAS}/predictions", files={"files": data})
        assert answer.status_code == 200, answer.text
    for _ in range(100):
        if client.get(f"/v1/models/{ALIAS}/audit?n=1").json()["logged"] >= len(pictures):
            return
        time.sleep(0.1)
    raise AssertionError("the log has not written down what was asked")


def given(client: httpx.Client) -> list[dict[str, Any]]:
    """Feedback, oldest first."""
    answer = client.get(f"/v1/models/{ALIAS}/feedback?limit=100")
    return list(reversed(answer.json()["data"]))


def test_a_queue_is_labelled_by_keyboard(console: Watched, live: Service, in_use: str) -> None:
    page = console.page
    console.sign_in(live.key)
    console.open(f"/feedback/{ALIAS}")
    with live.client() as client:
        drawn_up = client.get(f"/v1/models/{ALIAS}/suggestions?limit=20").json()["data"]
        expect(page.get_by_text("would teach it most")).to_be_visible()
        expect(page.get_by_text(re.compile("^Why this one:"))).to_be_visible()
        page.locator(".stage img").wait_for()
        page.keyboard.press("1")
        expect(page.get_by_text("1 of ")).to_be_visible()
        page.keyboard.press("u")
        page.keyboard.press("x")
        page.keyboard.press("Enter")
        expect(page.get_by_text(re.compile("^3 of "))).to_be_visible()
        expect(page.get_by_role("button", name=re.compile("^Add [12] labels? to"))).to_be_visible()
        wait_for(lambda: len(given(client)) == 3)
        said = {one["prediction_id"]: one for one in given(client)}
        order = [one["prediction_id"] for one in drawn_up]
        first = client.get("/v1/models/" + ALIAS).json()["card"]["labels"][0]
        assert said[order[0]]["label"] == first
        assert said[order[1]]["unknown"] is True
        assert set(said) == {*order[:2], order[3]}, "what is left out is no feedback"
        assert not any(one["audited"] for one in said.values())
        page.keyboard.press("z")
        expect(page.get_by_text(re.compile("^2 of "))).to_be_visible()
        wait_for(lambda: len(given(client)) == 2)


def test_what_is_drawn_at_random_alone_is_measured(
    console: Watched, live: Service, in_use: str
) -> None:
    page = console.page
    console.sign_in(live.key)
    console.open(f"/feedback/{ALIAS}?draw=random")
    expect(page.get_by_text("drawn at random of 14")).to_be_visible()
    summary = page.locator("summary").filter(has_text="Is it still good?")
    expect(summary).to_contain_text("not known yet")
    for number in range(4):
        page.keyboard.press("Enter")
        expect(page.get_by_text(f"{number + 1} of 14 labelled")).to_be_visible()
    expect(summary).to_contain_text("on 4 drawn at random")
    with live.client() as client:
        accuracy = client.get(f"/v1/models/{ALIAS}/accuracy").json()
        assert accuracy["audited"] == 4
        assert sum(one["audited"] for one in given(client)) == 4
    summary.click()
    expect(page.get_by_text(f"likely {100 * accuracy['accuracy']['low']:.1f} to")).to_be_visible()


def test_labels_become_a_version(console: Watched, live: Service, in_use: str) -> None:
    page = console.page
    with live.client() as client:
        logged = client.get(f"/v1/models/{ALIAS}/audit?n=1").json()["data"][0]
        said = {"prediction_id": logged["prediction_id"], "label": "disc"}
        assert client.post(f"/v1/models/{ALIAS}/feedback", json=said).status_code == 201
    console.sign_in(live.key)
    console.open(f"/feedback/{ALIAS}")
    page.get_by_role("button", name=re.compile("labels? to a dataset")).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Add them").click()
    expect(dialog.get_by_role("heading", name="Version 2 has them")).to_be_visible()
    dialog.get_by_role("link", name="Train on it").click()
    expect(page).to_have_url(re.compile(f"#/datasets/{in_use}"))
    with live.client() as client:
        assert client.get(f"/v1/datasets/{in_use}").json()["version"] == 2


def test_that_is_wrong_feeds_back(
    console: Watched, live: Service, in_use: str, tmp_path: Path
) -> None:
    page = console.page
    picture = tmp_path / "one.png"
    picture.write_bytes(drawn(per_class=1, seed=303)["disc/0.png"])
    with live.client() as client:
        before, logged = len(given(client)), client.get(f"/v1/models/{ALIAS}/audit").json()
        console.sign_in(live.key)
        console.open(f"/try/{ALIAS}")
        page.locator("input[accept]").set_input_files(picture)
        page.get_by_text("Is that right?").wait_for()
        page.keyboard.press("n")
        page.get_by_role("group", name="What it is").get_by_role("button", name="bar").click()
        expect(page.get_by_text("Kept: it is")).to_contain_text("bar")
        assert given(client)[-1]["label"] == "bar"
        page.get_by_role("button", name="Undo").click()
        page.get_by_text("Is that right?").wait_for()
        assert len(given(client)) == before
        page.keyboard.press("y")
        expect(page.get_by_text("Kept: it is right")).to_be_visible()
        now = client.get(f"/v1/models/{ALIAS}/audit").json()
        assert now["logged"] == logged["logged"], "what is tried here is in no log"


def test_a_refused_label_comes_back(console: Watched, live: Service, in_use: str) -> None:
    console.expected = {503}
    page = console.page
    problem = '{"code": "database_unavailable", "detail": "the database cannot be reached"}'
    where = f"**/v1/models/{ALIAS}/feedback"
    page.route(where, lambda route: route.fulfill(status=503, body=problem))
    console.sign_in(live.key)
    console.open(f"/feedback/{ALIAS}")
    page.locator(".stage img").wait_for()
    page.keyboard.press("1")
    expect(page.get_by_role("alert")).to_contain_text("the database cannot be reached")
    expect(page.get_by_text(re.compile("^0 of "))).to_be_visible()
    page.unroute(where)


def test_the_log_is_switched_off_and_on(console: Watched, live: Service, in_use: str) -> None:
    page = console.page
    console.sign_in(live.key)
    console.open(f"/feedback/{ALIAS}")
    page.locator("summary").filter(has_text="What is written down").click()
    page.get_by_role("button", name="End and delete…").click()
    page.get_by_role("dialog").get_by_role("button", name="End it and delete all").click()
    expect(page.get_by_text("is not written down")).to_be_visible()
    with live.client() as client:
        assert client.get(f"/v1/models/{ALIAS}/audit").json()["logged"] == 0
        page.get_by_role("button", name="Write it down…").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("Deleted after so many days").fill("9")
        dialog.get_by_label("What is kept").select_option("hash")
        dialog.get_by_role("button", name="Write it down").click()
        dialog.wait_for(state="detached")
        rule = client.get(f"/v1/aliases/{ALIAS}").json()["prediction_log"]
        assert (rule["rate"], rule["retention_days"], rule["content"]) == (1.0, 9.0, "hash")
