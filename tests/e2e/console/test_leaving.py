"""What was typed or is on its way is not lost without a question: by Escape, Back, a reload, the
end of a key."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Dialog, Route, expect

from tests.e2e.conftest import Service
from tests.e2e.console.conftest import Watched

WHERE = "http://127.0.0.1:9/events"


def _new_key(live: Service) -> dict[str, str]:
    with live.client() as client:
        made = client.post("/v1/api_keys", json={"name": "short", "scopes": ["admin"]})
    assert made.status_code == 201, made.text
    return dict(made.json())


def _new_webhook(console: Watched) -> None:
    console.open("/webhooks")
    console.page.get_by_role("button", name="New webhook").click()
    console.page.get_by_role("dialog").get_by_label("Address").fill(WHERE)


def test_whoever_has_typed_is_asked_before_a_form_closes(console: Watched, live: Service) -> None:
    page = console.page
    console.sign_in(live.key)
    page.get_by_role("link", name="Home").first.click()
    _new_webhook(console)
    typed = page.get_by_role("dialog", name="A new webhook").get_by_label("Address")
    asked = page.get_by_role("dialog", name="Leave now?")
    page.keyboard.press("Escape")
    expect(asked).to_contain_text("“A new webhook” is not sent yet")
    expect(asked.get_by_role("button", name="Stay")).to_be_focused()
    page.keyboard.press("Escape")
    expect(asked).to_have_count(0)
    expect(typed).to_be_focused()
    page.go_back()
    asked.get_by_role("button", name="Stay").click()
    expect(typed).to_have_value(WHERE)
    assert page.url.endswith("#/webhooks")
    _reload_is_stopped(console)
    expect(typed).to_have_value(WHERE)
    page.keyboard.press("Escape")
    asked.get_by_role("button", name="Close without sending").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.get_by_role("button", name="New webhook")).to_be_focused()


def _reload_is_stopped(console: Watched) -> None:
    """The browser asks, and whoever stays has lost nothing."""
    heard: list[str] = []

    def stay(dialog: Dialog) -> None:
        heard.append(dialog.type)
        dialog.dismiss()

    console.page.once("dialog", stay)
    console.page.evaluate("location.reload()")
    console.page.wait_for_timeout(300)
    assert heard == ["beforeunload"]


def test_a_form_outlives_the_key_it_was_begun_with(console: Watched, live: Service) -> None:
    console.expected = {401}
    page = console.page
    short = _new_key(live)
    console.sign_in(short["key"])
    console.open("/keys")
    page.get_by_role("button", name="New key").click()
    page.get_by_role("dialog").get_by_label("What it is for").fill("begun before")
    with live.client() as client:
        client.delete(f"/v1/api_keys/{short['id']}").raise_for_status()
    page.wait_for_timeout(1200)
    page.get_by_role("button", name="Make the key").click()
    again = page.get_by_role("dialog", name="Sign in")
    expect(again).to_contain_text("nothing that you entered is lost")
    page.keyboard.press("Escape")
    expect(again).to_be_visible()
    again.get_by_label("API key").fill(live.key)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="begun before")).to_be_visible()
    with live.client() as client:
        keys = client.get("/v1/api_keys").json()["data"]
    assert [one["name"] for one in keys].count("begun before") == 1
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog", name="Leave now?")).to_contain_text("shown here and never")


@pytest.mark.parametrize("way", ["leave", "wait"])
def test_leaving_does_not_stop_an_upload_in_silence(
    console: Watched, live: Service, tmp_path: Path, way: str
) -> None:
    page = console.page
    held: list[Route] = []
    table = tmp_path / "talk.csv"
    table.write_text("text,label\nyes please,a\nno thanks,b\n")

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/v1/datasets?validate_only=true", hold)
    console.sign_in(live.key)
    files = page.locator("input[type=file]:not([webkitdirectory])")
    files.first.set_input_files(table)
    expect(page.get_by_role("progressbar")).to_be_visible()
    page.get_by_role("link", name="Models").first.click()
    asked = page.get_by_role("dialog", name="Leave now?")
    expect(asked).to_contain_text("“talk.csv” is still on its way")
    asked.get_by_role("button", name="Stay").click()
    expect(page.get_by_role("heading", name="talk.csv")).to_be_visible()
    page.wait_for_function("() => !document.querySelector('dialog')")
    if way == "leave":
        page.get_by_role("link", name="Models").first.click()
        asked.get_by_role("button", name="Leave and stop it").click()
        expect(page.get_by_role("heading", name="Models", exact=True)).to_be_visible()
        return
    held[0].continue_()
    expect(page.get_by_role("button", name="Keep and train")).to_be_visible()
    page.get_by_role("link", name="Models").first.click()
    expect(page.get_by_role("heading", name="Models", exact=True)).to_be_visible()
