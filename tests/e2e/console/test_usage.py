"""What is used and allowed is told, keys are replaced without signing out."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.sync_api import Route, expect

from tests.e2e.archives import drawn, zipped
from tests.e2e.conftest import Service
from tests.e2e.console.conftest import Watched
from tests.e2e.console.rooms import train, upload
from tests.servers import wait_for

ASKED = 7


def test_what_was_asked_is_on_the_usage_page(
    console: Watched, live: Service, tmp_path: Path
) -> None:
    picture = drawn(per_class=1, seed=62)["disc/0.png"]
    with live.client() as client:
        dataset = upload(client, zipped(drawn(per_class=5, seed=61)), "c.zip", "counted")
        model = train(client, dataset, "efficientnet_lite0", suffix="counted")["fine_tuned_model"]
        for _ in range(ASKED):
            client.post(f"/v1/models/{model}/predictions", files={"files": picture})
        asked = {"model": model}
        wait_for(
            lambda: client.get("/v1/usage", params=asked).json()["total"]["predictions"] == ASKED
        )
        wait_for(lambda: client.get("/v1/usage").json()["total"]["job_seconds"] > 0)
    page = console.page
    console.sign_in(live.key)
    page.get_by_role("link", name="Usage").click()
    row = page.get_by_role("row").filter(has=page.get_by_role("link", name="counted"))
    expect(row).to_contain_text(f"{ASKED}")
    expect(page.get_by_role("img", name=re.compile("Predictions, day by day"))).to_be_visible()
    page.get_by_role("button", name="Training").click()
    expect(page.get_by_role("img", name=re.compile("Training, day by day"))).to_be_visible()
    page.get_by_role("button", name="a year").click()
    expect(page.get_by_role("img", name=re.compile("Training, week by week"))).to_be_visible()
    with page.expect_download() as saved:
        page.get_by_role("button", name="Download as CSV").click()
    saved.value.save_as(tmp_path / "usage.csv")
    head, *days = (tmp_path / "usage.csv").read_text().splitlines()
    assert head.startswith("date,predictions,requests,")
    assert int(days[-1].split(",")[1]) >= ASKED


def test_a_key_is_replaced_by_who_holds_it(console: Watched, live: Service) -> None:
    page = console.page
    console.expected.add(401)  # of what was asked with the former key until the new one came
    with live.client() as client:
        made = client.post("/v1/api_keys", json={"name": "mine", "scopes": ["admin"]}).json()
    console.sign_in(made["key"])
    console.open("/keys")
    row = page.get_by_role("row").filter(has_text="this one")
    row.get_by_role("button", name="Replace…").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("The former one goes on for").select_option("not at all")
    dialog.get_by_role("button", name="Replace it").click()
    shown = dialog.locator("pre")
    expect(shown).to_contain_text("hs_")
    assert (shown.text_content() or "") != made["key"]
    dialog.get_by_role("button", name="Done").click()
    mine = page.get_by_role("row").filter(has_text="mine")
    expect(mine.filter(has_text="has ended")).to_have_count(1)
    expect(mine.filter(has_text="this one")).to_have_count(1)
    expect(mine.filter(has_text="this one").filter(has_text="has ended")).to_have_count(0)
    with live.client(made["key"]) as client:
        assert client.get("/v1/me").status_code == 401


def test_what_was_asked_while_a_key_is_replaced_signs_nobody_out(
    console: Watched, live: Service
) -> None:
    console.expected.add(401)
    page = console.page
    with live.client() as client:
        made = client.post("/v1/api_keys", json={"name": "raced", "scopes": ["admin"]}).json()
    console.sign_in(made["key"])
    console.open("/keys")

    def replaced(route: Route) -> None:
        """Let the page be refused with its former key before it hears of the new one."""
        answer = route.fetch()
        with page.expect_response(lambda one: one.status == 401):
            page.evaluate("() => void import('./console/api.js').then((it) => it.get('v1/me'))")
        route.fulfill(response=answer)

    page.route("**/rotate", replaced)
    page.get_by_role("row").filter(has_text="this one").get_by_text("Replace…").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("The former one goes on for").select_option("not at all")
    dialog.get_by_role("button", name="Replace it").click()
    expect(dialog.locator("pre")).to_contain_text("hs_")
    console.faults.clear()
