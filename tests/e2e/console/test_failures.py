"""What a person sees when something is wrong: a bad zip, a lost line, a revoked key, a 503."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import expect

from tests.e2e.archives import drawn, zipped
from tests.e2e.conftest import Service
from tests.e2e.console.conftest import Watched
from tests.e2e.console.rooms import train, upload


def test_a_key_that_is_not_known(console: Watched, live: Service) -> None:
    console.expected = {401}
    console.page.goto(live.url + "/")
    console.page.get_by_label("API key").fill("hs_nonsense")
    console.page.keyboard.press("Enter")
    expect(console.page.get_by_role("alert")).to_contain_text("not known here")
    assert "hs_" not in console.page.url


def test_a_key_that_may_not_read_is_told_so_where_it_signs_in(
    console: Watched, live: Service
) -> None:
    with live.client() as client:
        made = client.post("/v1/api_keys", json={"name": "line", "scopes": ["predict"]}).json()
    console.page.goto(live.url + "/")
    console.page.get_by_label("API key").fill(made["key"])
    console.page.keyboard.press("Enter")
    expect(console.page.get_by_role("alert")).to_contain_text("may predict, but not read")


def test_what_did_not_come_for_want_of_a_connection_comes_with_it(
    console: Watched, live: Service
) -> None:
    page = console.page
    console.sign_in(live.key)
    page.wait_for_load_state("networkidle")
    page.context.set_offline(True)
    console.open("/webhooks")
    expect(page.get_by_role("alert")).to_contain_text("could not be loaded")
    page.context.set_offline(False)
    expect(page.get_by_role("heading", name="Webhooks", exact=True)).to_be_visible()
    expect(page.get_by_text("None yet. A webhook tells")).to_be_visible()
    page.route("**/v1/models", lambda route: route.abort())
    console.open("/models")
    expect(page.get_by_role("alert")).to_contain_text("No connection")
    page.unroute("**/v1/models")
    expect(page.get_by_role("alert")).to_have_count(0)
    console.faults = [one for one in console.faults if "net::ERR" not in one]


def test_a_bad_zip_keeps_nothing(console: Watched, live: Service, tmp_path: Path) -> None:
    console.expected = {422}
    console.sign_in(live.key)
    bad = tmp_path / "bad.zip"
    bad.write_bytes(zipped(drawn(per_class=3))[:-30])
    console.page.locator("input[type=file]:not([webkitdirectory])").first.set_input_files(bad)
    expect(console.page.get_by_role("alert")).to_be_visible()
    expect(console.page.get_by_role("button", name="Keep")).to_have_count(0)
    with live.client() as client:
        assert "bad" not in [one["name"] for one in client.get("/v1/datasets").json()["data"]]


def test_a_revoked_key_leads_to_the_first_page(console: Watched, live: Service) -> None:
    console.expected = {401}
    with live.client() as client:
        made = client.post("/v1/api_keys", json={"name": "short", "scopes": ["admin"]}).json()
        console.sign_in(made["key"])
        client.delete(f"/v1/api_keys/{made['id']}")
    console.page.wait_for_timeout(1200)
    console.open("/models")
    expect(console.page.get_by_label("API key")).to_be_visible()
    assert console.page.evaluate("sessionStorage.getItem('headstart.key')") is None


def test_a_lost_connection_is_counted_and_taken_up_again(console: Watched, live: Service) -> None:
    with live.client() as client:
        dataset = upload(client, zipped(drawn(per_class=6, seed=91)), "a.zip", "lost")
        body = {"model": "efficientnet_lite0", "training_file": dataset}
        job = client.post("/v1/fine_tuning/jobs", json=body).json()["id"]
        client.get(f"/v1/fine_tuning/jobs/{job}", headers={"Prefer": "wait=60"})
    page = console.page
    running = '"status":"running"'

    def still(route):  # type: ignore[no-untyped-def]
        answer = route.fetch()
        route.fulfill(response=answer, body=answer.text().replace('"status":"succeeded"', running))

    page.route(f"**/v1/fine_tuning/jobs/{job}", still)
    page.route(f"**/v1/fine_tuning/jobs/{job}/events", lambda route: route.abort())
    console.sign_in(live.key)
    console.faults = []
    console.open(f"/jobs/{job}")
    note = page.get_by_role("status").filter(has_text="Connection lost")
    expect(note).to_contain_text("The job goes on without this page")
    page.unroute(f"**/v1/fine_tuning/jobs/{job}")
    page.unroute(f"**/v1/fine_tuning/jobs/{job}/events")
    note.get_by_role("button", name="Try now").click()
    expect(page.get_by_text("right, on")).to_be_visible()
    console.faults = [one for one in console.faults if "ERR_FAILED" not in one]


def test_a_page_that_cannot_be_drawn_says_so_and_takes_no_other_with_it(
    console: Watched, live: Service
) -> None:
    with live.client() as client:
        dataset = upload(client, zipped(drawn(per_class=3, seed=94)), "c.zip", "odd answer")
    page = console.page

    def odd(route):  # type: ignore[no-untyped-def]
        answer = route.fetch()
        route.fulfill(response=answer, json=answer.json() | {"classes": None})

    page.route(f"**/v1/datasets/{dataset}", odd)
    console.sign_in(live.key)
    console.open(f"/datasets/{dataset}")
    expect(page.get_by_role("heading", name="This page cannot be shown")).to_be_visible()
    assert console.faults, "a developer finds the error in the browser's console"
    console.faults = []
    console.open("/jobs")
    expect(page.get_by_role("heading", name="Jobs", exact=True)).to_be_visible()
    expect(page.get_by_text("This page cannot be shown")).to_have_count(0)
    page.unroute(f"**/v1/datasets/{dataset}")
    console.open(f"/datasets/{dataset}")
    expect(page.get_by_role("heading", name="odd answer")).to_be_visible()


def test_a_503_is_said_and_tried_again(console: Watched, live: Service) -> None:
    console.expected = {503}
    with live.client() as client:
        job = train(
            client,
            upload(client, zipped(drawn(per_class=4, seed=92)), "b.zip", "down"),
            "efficientnet_lite0",
        )
    problem = '{"code": "database_unavailable", "detail": "the database cannot be reached"}'
    page = console.page
    where = f"**/v1/models/{job['fine_tuned_model']}/evaluation"
    page.route(where, lambda route: route.fulfill(status=503, body=problem))
    console.sign_in(live.key)
    console.open(f"/models/{job['fine_tuned_model']}")
    expect(page.get_by_role("alert")).to_contain_text("the database cannot be reached")
    page.unroute(where)
    page.get_by_role("alert").get_by_role("button", name="Try again").click()
    expect(page.get_by_text("right, on")).to_be_visible()


def test_it_asks_only_public_routes(console: Watched, live: Service) -> None:
    """The OpenAPI document has whatever the console asks."""
    asked: set[str] = set()
    console.page.on("request", lambda request: asked.add(request.url))
    console.sign_in(live.key)
    for address in ("/datasets", "/models", "/aliases", "/hooks", "/jobs", "/system", "/keys"):
        console.open(address)
        console.page.wait_for_load_state("networkidle")
    with live.client() as client:
        known = client.get("/openapi.json").json()["paths"]
    paths = {url.removeprefix(live.url).partition("?")[0] for url in asked if "/v1/" in url}
    assert {path for path in paths if path.count("/") == 2} <= set(known)
