"""Forms on networks as they are: a refusal stands beside its field, what is typed stays, nothing
is sent twice, and a slow answer is waited for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, Request, Route, expect

from tests.e2e.archives import drawn, zipped
from tests.e2e.conftest import Service
from tests.e2e.console.conftest import Watched, opened
from tests.e2e.console.rooms import train, upload

SLOW = 1500
"""Milliseconds an answer takes: twice as long as a job's page waits before it asks again."""


@pytest.fixture(scope="module")
def shapes(live: Service) -> str:
    """A dataset of pictures that was trained on."""
    with live.client() as client:
        made = upload(client, zipped(drawn(per_class=6)), "shapes.zip", "shapes")
        train(client, made, "efficientnet_lite0", suffix="shapes")
    return made


@pytest.fixture
def console(chromium: Browser, live: Service) -> Iterator[Watched]:
    """A desktop's page, signed in."""
    for watched in opened(chromium, live, viewport={"width": 1440, "height": 900}):
        watched.sign_in(live.key)
        yield watched


def _posted(console: Watched) -> list[Request]:
    sent: list[Request] = []
    console.page.on("request", lambda one: sent.append(one) if one.method == "POST" else None)
    return sent


def _new_hook(console: Watched) -> Locator:
    console.open("/hooks")
    console.page.get_by_role("button", name="New hook").click()
    form = console.page.get_by_role("dialog")
    form.get_by_role("textbox", name="Name").fill("every night")
    return form


def test_a_refusal_is_said_beside_its_field_and_what_was_typed_stays(
    console: Watched, shapes: str
) -> None:
    console.expected.add(422)
    form = _new_hook(console)
    form.get_by_role("textbox", name="At times").fill("at night")
    form.get_by_role("button", name="Make the hook").click()
    field = form.locator(".field", has_text="At times")
    expect(field.get_by_role("alert")).to_contain_text("no cron expression")
    expect(field.get_by_role("textbox")).to_be_focused()
    expect(field.get_by_role("textbox")).to_have_attribute("aria-invalid", "true")
    expect(form.get_by_role("alert")).to_have_count(1)
    expect(form.get_by_role("textbox", name="Name")).to_have_value("every night")
    field.get_by_role("textbox").fill("0 3 * * *")
    form.get_by_role("button", name="Make the hook").click()
    expect(console.page.get_by_role("dialog", name="The hook's secret")).to_be_visible()


def test_what_a_field_cannot_take_is_not_sent_as_something_else(
    console: Watched, shapes: str
) -> None:
    sent = _posted(console)
    form = _new_hook(console)
    below = form.get_by_role("spinbutton", name="When it is evidently right less often")
    below.fill("150")
    form.get_by_role("button", name="Make the hook").click()
    expect(below).to_be_focused()
    assert below.evaluate("(field) => field.matches(':invalid')")
    assert sent == []


def test_a_button_that_is_off_says_why_to_whoever_presses_it(console: Watched, shapes: str) -> None:
    console.open("/webhooks")
    console.page.get_by_role("button", name="New webhook").click()
    form = console.page.get_by_role("dialog")
    form.get_by_role("button", name="Make the webhook").click(force=True)
    expect(form.get_by_text("Say where to")).to_be_visible()


def test_marking_a_text_beyond_the_edge_of_a_dialog_does_not_close_it(
    console: Watched, shapes: str
) -> None:
    form = _new_hook(console)
    box = form.get_by_role("textbox", name="Name").bounding_box()
    assert box is not None
    console.page.mouse.move(box["x"] + 40, box["y"] + 10)
    console.page.mouse.down()
    console.page.mouse.move(10, box["y"] + 10, steps=4)
    console.page.mouse.up()
    expect(form.get_by_role("textbox", name="Name")).to_have_value("every night")
    console.page.mouse.click(10, box["y"] + 10)
    console.page.get_by_role("button", name="Close without sending").click()
    expect(console.page.get_by_role("dialog")).to_have_count(0)


def test_a_double_click_runs_a_hook_once(console: Watched, live: Service, shapes: str) -> None:
    hook = {
        "name": "twice",
        "dataset": shapes,
        "alias": "shapes@twice",
        "job": {"model": "efficientnet_lite0"},
        "triggers": [{"type": "inbound"}],
    }
    with live.client() as client:
        made = client.post("/v1/hooks", json=hook).json()
    console.open(f"/hooks/{made['id']}")
    sent = _posted(console)
    console.page.get_by_role("button", name="Run now").dblclick()
    expect(console.page.locator(".blocks tbody tr")).to_have_count(
        1, timeout=20_000
    )  # not by the look that comes twice a minute
    assert [one.url.rsplit("/", 1)[-1] for one in sent] == ["trigger"]


def test_a_job_whose_answer_was_lost_is_begun_once(
    console: Watched, live: Service, shapes: str
) -> None:
    console.expected.update({0})
    lost: list[str] = []

    def lose(route: Route) -> None:
        if lost or route.request.method != "POST":
            return route.continue_()
        lost.append(route.fetch().json()["id"])
        return route.abort()

    console.page.route("**/v1/fine_tuning/jobs", lose)
    console.open(f"/datasets/{shapes}")
    console.page.get_by_role("button", name="Train a model").click()
    form = console.page.get_by_role("dialog")
    form.get_by_role("button", name="Train", exact=True).click()
    expect(form.get_by_role("alert")).to_contain_text("No connection")
    console.faults.clear()
    form.get_by_role("button", name="Train", exact=True).click()
    console.page.wait_for_url("**/#/models/**")
    assert console.page.url.endswith(lost[0].removeprefix("ftjob-")), "the job that was begun"


def test_a_job_is_followed_where_answers_are_slow(console: Watched, shapes: str) -> None:
    def later(route: Route) -> None:
        console.page.wait_for_timeout(SLOW)
        route.continue_()

    console.open(f"/datasets/{shapes}")
    console.page.get_by_role("button", name="Train a model").click()
    console.page.route("**/v1/fine_tuning/jobs/ftjob-*", later)
    form = console.page.get_by_role("dialog")
    form.get_by_role("button", name="Train", exact=True).click()
    console.page.wait_for_url("**/#/models/**")
    expect(console.page.locator(".figure b")).to_be_visible()
    console.page.unroute_all(behavior="ignoreErrors")


def test_keyboard_goes_on_where_a_new_page_begins(console: Watched, shapes: str) -> None:
    console.open("/datasets")
    console.page.locator("a.item", has_text="shapes").first.press("Enter")
    expect(console.page.get_by_role("heading", level=1)).to_be_focused()
