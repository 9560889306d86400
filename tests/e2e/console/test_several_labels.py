"""What a model of several labels gets wrong: opened label by label, and mended."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.e2e.conftest import Service
from tests.e2e.console.conftest import Watched
from tests.e2e.console.rooms import train, upload
from tests.e2e.test_several_labels import archive


def test_mistakes_of_several_labels_are_opened_and_mended(console: Watched, live: Service) -> None:
    page = console.page
    with live.client() as client:
        dataset = upload(client, archive(4), "marks.zip", "few marks")
        job = train(client, dataset, "efficientnet_lite0", suffix="few-marks")
        model = job["fine_tuned_model"]
        url = f"/v1/models/{model}/evaluation/examples"
        rows = client.get(url, params={"limit": 1000}).json()["data"]
    wrong = [one for one in rows if one["labels"] != one["expected_labels"]]
    missed = {name for one in wrong for name in set(one["expected_labels"]) - set(one["labels"])}
    given = {name for one in wrong for name in set(one["labels"]) - set(one["expected_labels"])}
    console.sign_in(live.key)
    console.open(f"/models/{model}")
    room = page.locator("section").filter(
        has=page.get_by_role("heading", name="What it gets wrong", exact=True)
    )
    expect(room).to_contain_text(f"of {len(rows)};")
    for names, said in ((missed, "missed"), (given, "given, and not there")):
        for name in names:
            expect(room.get_by_role("button", name=f"{name} {said}", exact=True)).to_be_visible()
    if not wrong:  # nothing to open
        expect(room).to_contain_text("every label of every example is right")
        return
    room.locator(".tile").first.click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("It is given")
    dialog.get_by_label("Add a label").fill("scratched")
    dialog.get_by_label("Add a label").press("Enter")
    expect(dialog.get_by_role("button", name="Take scratched away")).to_be_visible()
    dialog.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Changed in version 2.")).to_be_visible()
    with live.client() as client:
        now = client.get(f"/v1/datasets/{dataset}").json()
    assert "scratched" in [one["label"] for one in now["classes"]]
