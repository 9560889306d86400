"""A model in use: drift stated clearly, hooks that watch it; several labels, their thresholds."""

from __future__ import annotations

import json
import re
from urllib.parse import unquote

import pytest
from playwright.sync_api import expect

from tests.e2e.archives import drawn, zipped
from tests.e2e.conftest import Service
from tests.e2e.console.conftest import Watched
from tests.e2e.console.rooms import live_in, train, upload
from tests.e2e.test_several_labels import archive

ALIAS = "shapes@watched"


@pytest.fixture(scope="module")
def model(live: Service) -> str:
    """A model that was asked by one camera, then by a darker one."""
    with live.client() as client:
        data = zipped(drawn(per_class=8, seed=311))
        dataset = upload(client, data, "watched.zip", "watched shapes")
        made = train(client, dataset, "efficientnet_lite0", suffix="watched")["fine_tuned_model"]
        client.put(f"/v1/aliases/{ALIAS}", json={"model": made})
        live_in(client, ALIAS, None)
    return str(made)


def test_drift_is_said_with_its_effect_and_false_alarms(
    console: Watched, live: Service, model: str
) -> None:
    page = console.page
    with live.client() as client:
        told = client.get(f"/v1/models/{ALIAS}/drift").json()
    newest, before = told["windows"]
    console.sign_in(live.key)
    console.open(f"/aliases/{ALIAS}")
    status = page.get_by_role("status").filter(has_text="The latest 25 pictures")
    expect(status).to_contain_text("Moved. The latest 25 pictures are not like the first 50")
    row = page.get_by_role("row").filter(has_text="the inputs themselves")
    expect(row).to_contain_text(f"{newest['inputs']['effect']:.3f}")
    expect(page.get_by_text(told["false_alarms"][:60])).to_be_visible()
    expect(page.get_by_text("Strangest of them")).to_be_visible()
    expect(page.locator(".tiles img")).to_have_count(len(newest["strangest"]))
    page.get_by_role("button", name=re.compile("^Window 1: quiet")).click()
    expect(page.get_by_role("heading", name="Window 1, quiet")).to_be_visible()
    expect(row).to_contain_text(f"{before['inputs']['effect']:.3f}")
    expect(page.get_by_text("on 12 inputs drawn at random")).to_be_visible()
    console.open(f"/models/{model}?tab=live")
    expect(page.get_by_text("Moved.")).to_be_visible()


def test_another_model_answers_a_part_or_unseen(
    console: Watched, live: Service, model: str
) -> None:
    console.expected = {422}
    page = console.page
    renamed = {one.replace("disc", "ring"): data for one, data in drawn(per_class=6).items()}
    with live.client() as client:
        dataset = upload(client, zipped(renamed), "rings.zip", "rings")
        other = train(client, dataset, "efficientnet_lite0", suffix="rings")["fine_tuned_model"]
    console.sign_in(live.key)
    console.open(f"/aliases/{ALIAS}")
    page.get_by_role("button", name="Split…").click()
    form = page.get_by_role("dialog", name="Split the requests")
    form.locator("select").select_option(value=other)
    form.get_by_label("Percent").fill("140")
    expect(form.get_by_role("status").first).to_contain_text("Together 140%")
    form.get_by_label("Percent").fill("12.5")
    form.get_by_role("button", name="Split", exact=True).click()
    refused = form.get_by_role("alert")
    expect(refused).to_contain_text("it lacks 1 of the alias's own model's 2 classes: 'disc'")
    refused.get_by_role("checkbox").check()
    form.get_by_role("button", name="Split", exact=True).click()
    part = page.locator(".panel").filter(has_text="A part of the requests")
    expect(part).to_contain_text("12.5%")
    expect(part).to_contain_text("87.5%")
    page.get_by_role("button", name="Add a shadow…").click()
    form = page.get_by_role("dialog", name="A shadow")
    form.get_by_role("combobox").select_option(value=other)
    form.get_by_role("button", name="Let it answer unseen").click()
    expect(page.get_by_text("Nothing was asked since.")).to_be_visible()
    with live.client() as client:
        alias = client.get(f"/v1/aliases/{ALIAS}").json()
        assert alias["split"] == [{"model": other, "weight": 0.125}]
        assert alias["shadow"] == other
        part.get_by_role("button", name="End").click()
        expect(part).to_contain_text("all of them go to its own model")
        assert client.get(f"/v1/aliases/{ALIAS}").json()["split"] == []
        page.get_by_role("button", name="Undo").last.click()
        expect(part).to_contain_text("12.5%")
        both = {"split": [], "shadow": None}
        client.patch(f"/v1/aliases/{ALIAS}", json=both).raise_for_status()


def test_a_hook_is_made_that_watches(console: Watched, live: Service, model: str) -> None:
    page = console.page
    console.sign_in(live.key)
    console.open("/hooks")
    page.get_by_role("button", name="New hook").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("watch it")
    dialog.get_by_label("Dataset").select_option(label="watched shapes")
    dialog.get_by_role("textbox", name="Alias").fill("shapes@unwatched")
    dialog.get_by_label("When what the alias is asked has changed").check()
    expect(dialog.get_by_text("is written down")).to_be_visible()
    dialog.get_by_role("textbox", name="Alias").fill(ALIAS)
    expect(dialog.get_by_text("is written down")).to_have_count(0)
    dialog.get_by_label("When it is evidently right less often").fill("90")
    dialog.get_by_role("button", name="Make the hook").click()
    dialog.get_by_role("button", name="Done").click()
    card = page.locator(".panel").filter(has_text="watch it")
    expect(card).to_contain_text("a change of what it is asked")
    expect(card).to_contain_text("being right less often than 90%")
    with live.client() as client:
        (hook,) = [
            one for one in client.get("/v1/hooks").json()["data"] if one["name"] == "watch it"
        ]
    assert {"type": "drift"} in hook["triggers"]
    assert {"type": "quality", "below": 0.9} in hook["triggers"]


def test_thresholds_of_several_labels_are_moved(console: Watched, live: Service) -> None:
    page = console.page
    with live.client() as client:
        dataset = upload(client, archive(6), "marks.zip", "marks")
        job = train(client, dataset, "efficientnet_lite0", suffix="marks")
        made = job["fine_tuned_model"]
        classes = client.get(f"/v1/models/{made}/evaluation").json()["per_class"]
    console.sign_in(live.key)
    console.open(f"/models/{made}")
    square = next(one for one in classes if one["label"] == "square")
    slider = page.get_by_label("square: from which probability on it is given")
    expect(slider).to_be_visible()
    expect(page.get_by_text("mean average precision").first).to_be_visible()
    row = page.get_by_role("row").filter(has=slider)
    expect(row).to_contain_text("its own")
    slider.focus()
    page.keyboard.press("Home")
    lowest = min(square["operating_points"], key=lambda one: one["threshold"])
    expect(row).to_contain_text(f"given from {100 * lowest['threshold']:.0f}% on")
    expect(row).to_contain_text(f"{100 * lowest['recall']['value']:.0f}%")
    asked = page.locator("code").filter(has_text="thresholds=").inner_text()
    match = re.search(r"thresholds=([^\"]+)\"", asked)
    assert match
    assert json.loads(unquote(match[1])) == {"square": lowest["threshold"]}
    page.get_by_role("button", name="Its own again").click()
    expect(row).to_contain_text("its own")
