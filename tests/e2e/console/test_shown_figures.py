"""What the pages that compare say of models with several labels: their own figure and labels."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.e2e.conftest import Service
from tests.e2e.console.conftest import Watched
from tests.e2e.console.rooms import train, upload
from tests.e2e.test_several_labels import archive


def test_models_of_several_labels_are_known_by_their_own_figure(
    console: Watched, live: Service
) -> None:
    page = console.page
    with live.client() as client:
        dataset = upload(client, archive(4), "shown.zip", "shown marks")
        models = [
            train(client, dataset, "efficientnet_lite0", suffix=name)["fine_tuned_model"]
            for name in ("shown-a", "shown-b")
        ]
        client.put("/v1/aliases/shown@live", json={"model": models[0]}).raise_for_status()
        said = client.get(f"/v1/models/{models[0]}/evaluation").json()["mean_average_precision"]
    console.sign_in(live.key)
    console.open("/aliases/shown@live")
    figure = f"{100 * said['value']:.1f}%"
    expect(page.get_by_role("heading", name="shown@live")).to_be_visible()
    expect(page.get_by_role("img", name="mean average precision")).to_be_visible()
    expect(page.locator(".panel").first).to_contain_text(figure)
    console.open(f"/compare?a={models[0]}&b={models[1]}")
    expect(page.locator(".panel").first).to_contain_text(figure)
    expect(page.get_by_text("the seed, or nothing")).to_be_visible()
    console.open(f"/models/{models[0]}")
    page.get_by_role("tab", name="Use it").click()
    expect(page.get_by_text('print(answer["data"][0]["labels"])')).to_be_visible()
