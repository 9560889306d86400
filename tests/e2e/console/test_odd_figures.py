"""Every figure on a page is the API's, however odd: none is made up, lost, or no figure at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.e2e.console.conftest import Watched
from tests.e2e.console.odd_answers import DRAWS, UNSAID, Odd, percent
from tests.e2e.console.rooms import settle

Shown = list[tuple[Locator, str]]
ALIAS = "/v1/aliases/clothing@production"


def _of_model(page: Page, told: Mapping[str, Any], where: str) -> Shown:
    evaluation = told[f"/v1{where}/evaluation"]
    figure = evaluation["accuracy"]["value"]
    if figure is None:
        return [(page.locator("main"), "Too few")]
    shown = [(page.locator(".figure b"), percent(figure))]
    return [*shown, (page.locator(".figure span"), f"on {evaluation['how']['num_examples']:,} ")]


def _of_dataset(page: Page, told: Mapping[str, Any], where: str) -> Shown:
    dataset = told[f"/v1{where}"]
    first = dataset["classes"][0]
    bar = page.locator(f'.classbar button[title="{first["label"]}"]')
    statistics = told[f"/v1{where}/versions/{dataset['version']}/statistics"]
    (split,) = (one for one in statistics["splits"] if one["split"] == "train")
    (count,) = (one["count"] for one in split["classes"] if one["label"] == first["label"])
    examples = page.locator(".head .sub")
    return [(examples, f"{dataset['num_examples']:,} example"), (bar, f"{count:,}")]


def _of_alias(page: Page, told: Mapping[str, Any], where: str) -> Shown:
    alias = told[ALIAS]
    (model,) = (one for one in told["/v1/models"]["data"] if one["id"] == alias["model"])
    live = told["/v1/models/clothing@production/accuracy"]
    shown = [(page.locator(".panel").first, percent(model["accuracy"]["value"]))]
    if live["audited"]:
        right = page.locator("p", has_text="drawn at random").filter(has_text="right, likely")
        shown.append((right, percent(live["accuracy"]["value"])))
        shown.append((right, f"on {live['audited']:,} input"))
    return shown


def _of_usage(page: Page, told: Mapping[str, Any], where: str) -> Shown:
    total = told["/v1/usage"]["total"]["predictions"]
    kind = page.locator(".amounts button").filter(has_text="Predictions")
    return [(kind, f"{total:,}" if total else "none")]


def _of_system(page: Page, told: Mapping[str, Any], where: str) -> Shown:
    stored = told["/v1/system"]["stored_bytes"]["models"]
    said = {10**15: "1000 TB", 0: "0 bytes"}.get(stored, f"{stored} bytes")
    return [(page.locator("dl.facts").filter(has_text="Embeddings"), said)]


PAGES: Mapping[str, Callable[[Page, Mapping[str, Any], str], Shown]] = {
    "model": _of_model,
    "dataset": _of_dataset,
    "alias": _of_alias,
    "usage": _of_usage,
    "system": _of_system,
}


@pytest.mark.parametrize("looked", ["desktop-light"], indirect=True)
def test_odd_figures_are_said_as_the_api_says_them(
    looked: tuple[str, Watched], pages: dict[str, str]
) -> None:
    page = looked[1].page
    answers = Odd(page)
    page.goto("about:blank")
    page.route("**/v1/**", answers.change)
    found: list[str] = []
    for name, shown in PAGES.items():
        for draw, answers.draw in DRAWS.items():
            page.goto("about:blank")
            looked[1].open(pages[name])
            page.get_by_role("heading", level=1).wait_for()
            settle(page)
            for where, said in shown(page, answers.told, pages[name]):
                expect(where).to_contain_text(said)
            odd = [one for one in answers.said().splitlines() if UNSAID.search(one)]
            found += [f"{name}, {draw}: {one[:90]}" for one in odd]
    page.unroute_all(behavior="ignoreErrors")
    assert found == []
