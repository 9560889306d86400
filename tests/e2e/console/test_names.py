"""Classes that are only named make a model of texts, and it is said what is not known of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Route, expect

from tests.e2e.conftest import Service
from tests.e2e.console.conftest import SIZES, Watched, opened
from tests.e2e.console.rooms import settle, train, upload


def _when_over(route: Route, live: Service) -> None:
    """A page that is slow to ask: it first hears of its job when that has ended."""
    job = route.request.url.rsplit("/", 1)[1]
    with live.client() as client:
        path = f"/v1/fine_tuning/jobs/{job}"
        client.get(path, headers={"prefer": "wait=60"}).raise_for_status()
    route.continue_()


def test_names_alone_make_a_model(console: Watched, live: Service) -> None:
    page = console.page
    page.route(
        re.compile(r"/v1/fine_tuning/jobs/ftjob-\w+$"), lambda route: _when_over(route, live)
    )
    console.sign_in(live.key)
    console.open("/datasets")
    page.get_by_role("button", name="Name classes…").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Classes, one a line").fill(
        "question about a delivery\n\ncomplaint about the price"
    )
    dialog.get_by_label("Name of the dataset").fill("first sorting")
    dialog.get_by_role("button", name="Make a model").click()
    expect(page).to_have_url(re.compile("#/models/"), timeout=60_000)
    expect(page.get_by_text("Too few examples to say how good it is.")).to_be_visible()
    page.locator("main").get_by_role("link", name="Try it").click()
    page.get_by_label("Type or paste a text").fill("when will my parcel arrive?")
    expect(page.locator(".answer")).to_contain_text("question about a delivery", timeout=60_000)
    expect(page.get_by_text("No example has checked how often it is right")).to_be_visible()


def test_pictures_need_a_network_that_reads_names(console: Watched, live: Service) -> None:
    page = console.page
    console.sign_in(live.key)
    console.open("/datasets?name")
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="pictures").click()
    expect(dialog.get_by_text("No network is here that reads names of pictures.")).to_be_visible()
    dialog.get_by_label("Classes, one a line").fill("rusty\nclean")
    expect(dialog.get_by_role("button", name="Make a model")).to_have_attribute(
        "aria-disabled", "true"
    )


LONG = "Quarterly_customer_feedback_" * 4


@pytest.fixture
def phone(chromium: Browser, live: Service) -> Iterator[Watched]:
    """A phone's page, not signed in."""
    width, height = SIZES["phone"]
    yield from opened(chromium, live, viewport={"width": width, "height": height})


def test_a_long_name_without_blanks_makes_no_page_wider(phone: Watched, live: Service) -> None:
    rows = [{"text": f"number {at} of many", "label": "ab"[at % 2]} for at in range(8)]
    with live.client() as client:
        dataset = upload(client, "\n".join(map(json.dumps, rows)).encode(), "a.jsonl", LONG)
        job = train(client, dataset, "all-MiniLM-L6-v2")
        model = job["fine_tuned_model"]
        client.put("/v1/aliases/long@live", json={"model": model}).raise_for_status()
    watched = phone
    watched.sign_in(live.key)
    wide = {}
    for address in (f"/datasets/{dataset}", f"/models/{model}", "/models", f"/jobs/{job['id']}",
                    "/jobs", "/aliases", "/aliases/long@live", f"/try/{model}"):  # fmt: skip
        watched.open(address)
        settle(watched.page)
        over = watched.page.evaluate("document.documentElement.scrollWidth - innerWidth")
        wide |= {address: over} if over > 0 else {}
    assert wide == {}
