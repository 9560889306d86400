"""Every page, as people see it: screenshots in data/screenshots, axe-core, nothing sideways, fast.

The pictures are for people to look at; what a machine can tell of them is asserted here. Of a grid
the page has only the rows that are seen: such a page is taken as high as its window.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Response, expect

from tests.e2e.conftest import Service
from tests.e2e.console.conftest import AXE, SHOTS, Watched
from tests.e2e.console.rooms import audit, settle
from tests.e2e.console.sheets import sheets

FIRST_VIEW_BYTES, FIRST_VIEW_REQUESTS = 150_000, 12


def test_every_page_is_fit_to_be_seen(looked: tuple[str, Watched], pages: dict[str, str]) -> None:
    look, watched = looked
    if not AXE.exists():
        pytest.skip("axe-core not found (`make clients`): accessibility was not checked")
    SHOTS.mkdir(parents=True, exist_ok=True)
    axe = AXE.read_text("utf-8")
    faults: list[str] = []
    for name, address in pages.items():
        watched.open(address)
        settle(watched.page)
        whole = watched.page.get_by_role("group", name="Examples").count() == 0
        watched.page.screenshot(path=SHOTS / f"{name}-{look}.png", full_page=whole)
        sideways = watched.page.evaluate("document.documentElement.scrollWidth - innerWidth")
        faults += [f"{name}: {sideways} pixels lie to the side"] if sideways > 0 else []
        faults += [f"{name}: {found}" for found in audit(watched.page, axe)]
    assert faults == []


def test_what_opens_is_fit_to_be_seen(
    looked: tuple[str, Watched], pages: dict[str, str], tmp_path: Path
) -> None:
    look, watched = looked
    if not AXE.exists():
        pytest.skip("axe-core not found (`make clients`): accessibility was not checked")
    SHOTS.mkdir(parents=True, exist_ok=True)
    page, axe, faults = watched.page, AXE.read_text("utf-8"), []
    for name, (address, act) in sheets(pages, tmp_path).items():
        if name == "key-menu" and look.startswith("phone"):
            continue  # a phone has it under "More"
        watched.open("/more")
        expect(page.locator("dialog")).to_have_count(0)  # gone with its page, before the next
        watched.open(address)
        settle(page)
        act(page)
        settle(page)
        page.screenshot(path=SHOTS / f"{name}-{look}.png")
        sideways = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        faults += [f"{name}: {sideways} pixels lie to the side"] if sideways > 0 else []
        faults += [f"{name}: {found}" for found in audit(page, axe)]
    assert faults == []


def test_the_guide_is_fit_to_be_seen(looked: tuple[str, Watched], live: Service) -> None:
    look, watched = looked
    if not AXE.exists():
        pytest.skip("axe-core not found (`make clients`): accessibility was not checked")
    SHOTS.mkdir(parents=True, exist_ok=True)
    watched.page.goto(f"{live.url}/guide/thresholds")
    watched.page.screenshot(path=SHOTS / f"guide-{look}.png", full_page=True)
    assert audit(watched.page, AXE.read_text("utf-8")) == []
    assert watched.page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


def test_the_first_view_is_small(chromium: Browser, live: Service, pages: dict[str, str]) -> None:
    assert pages, "the first page of a service with something in it"
    context = chromium.new_context()
    page = context.new_page()
    seen: list[Response] = []

    def note(answer: Response) -> None:
        seen.append(answer)

    page.on("response", note)
    page.goto(live.url + "/")
    page.get_by_label("API key").fill(live.key)
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Waiting for you").wait_for()
    page.wait_for_load_state("networkidle")
    own = [one for one in seen if "/v1/" not in one.url and one.url.startswith("http")]
    size = sum(one.request.sizes()["responseBodySize"] for one in own)
    context.close()
    assert len(own) <= FIRST_VIEW_REQUESTS, [one.url for one in own]
    assert size <= FIRST_VIEW_BYTES


def test_it_is_used_by_keyboard(looked: tuple[str, Watched], pages: dict[str, str]) -> None:
    look, watched = looked
    if not look.startswith("desktop"):
        pytest.skip("keyboards are the desktop's")
    page = watched.page
    watched.open(pages["model"])
    settle(page)
    page.keyboard.press("Control+k")
    page.get_by_role("combobox").fill("shapes")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="shapes, camera B").wait_for()
    first = page.locator(".tile").first
    first.focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator('.tile[data-at="1"]')).to_be_focused()
    page.keyboard.press("Enter")
    page.get_by_role("dialog").wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="detached")
    page.keyboard.press("?")
    page.get_by_role("dialog", name="Keys").wait_for()


@pytest.mark.parametrize("looked", ["desktop-light"], indirect=True)
def test_what_an_address_asks_for_is_shown_on_a_page_that_is_open_already(
    looked: tuple[str, Watched], pages: dict[str, str]
) -> None:
    watched = looked[1]
    page = watched.page

    def chosen(name: str) -> None:
        expect(page.get_by_role("tab", name=name)).to_have_attribute("aria-selected", "true")

    for address, tab in (
        (pages["model"], "How good"),
        (pages["model-use"], "Use it"),
        (pages["model-card"], "Card"),
        (pages["model"], "How good"),
        (pages["dataset-two-classes"], "Examples"),
        (pages["dataset-versions"], "Versions"),
    ):
        watched.open(address)
        chosen(tab)
    page.go_back()
    chosen("Examples")
    watched.open(f"{pages['dataset-two-classes']}?label=bar")
    expect(page.get_by_role("button", name="bar ✕")).to_be_visible()
    for address, way in (("feedback", "To teach it"), ("feedback-random", "To measure it")):
        watched.open(pages[address])
        expect(page.get_by_role("button", name=way)).to_have_attribute("aria-pressed", "true")
