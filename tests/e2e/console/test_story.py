"""The first minute, and what follows: from a dropped folder to a corrected label and back."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.sync_api import Page, Route, expect

from tests.e2e.archives import drawn
from tests.e2e.conftest import Service
from tests.e2e.console.conftest import Watched


def folder(root: Path, *, per_class: int = 8, held_out: int = 4) -> Path:
    """A folder of class folders, one of whose training labels is wrong."""
    parts = {
        "train": drawn(per_class=per_class, seed=41),
        "test": drawn(per_class=held_out, seed=42),
    }
    for split, members in parts.items():
        for name, content in members.items():
            path = root / "shapes" / split / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    wrong = root / "shapes/train/bar/wrong.png"
    wrong.write_bytes(drawn(per_class=1, seed=43)["disc/0.png"])
    return root / "shapes"


def drop(page: Page, path: Path) -> None:
    """Choose a folder, as its dialog gives it to the page."""
    page.locator("input[webkitdirectory]").first.set_input_files(path)


def train(page: Page) -> None:
    """From a dataset to its model."""
    page.get_by_role("button", name="Train a model").click()
    page.get_by_role("dialog").get_by_role("button", name="Train", exact=True).click()
    page.get_by_text("right, on").wait_for()


def test_from_a_folder_to_a_corrected_model(
    console: Watched, live: Service, tmp_path: Path
) -> None:
    page = console.page
    late: list[Route] = []

    def hold(route: Route) -> None:
        late.append(route)

    page.route("**/evaluation/examples?*", hold)
    console.sign_in(live.key)
    drop(page, folder(tmp_path))
    expect(page.get_by_text("25 of 25 pictures can be used, in 2 classes.")).to_be_visible()
    assert page.locator(".strip img").count() >= 6, "each class is shown from the dropped folder"
    page.get_by_role("button", name="Keep 25 examples").click()
    expect(page).to_have_url(re.compile("#/datasets/ds_"))
    dataset = page.url.rsplit("/", 1)[1]
    train(page)
    expect(page.get_by_text("Always guessing one class would be right")).to_be_visible()
    model = page.url.rsplit("/", 1)[1]

    good_enough = page.get_by_label("Good enough is, in percent")
    good_enough.fill("60")
    for route in late:
        route.continue_()
    page.unroute("**/evaluation/examples?*")
    expect(page.get_by_role("heading", name=re.compile("called bar: 3"))).to_be_visible()
    expect(good_enough, "a page drawn anew keeps what is being typed").to_have_value("60")
    good_enough.press("Tab")
    expect(
        page.get_by_text("for the 60% you asked for").or_(page.get_by_text("told yet")).first
    ).to_be_visible()

    cell = page.locator(".matrix button[aria-label*='disc called disc']")
    cell.click()
    expect(page.get_by_role("heading", name="disc called disc")).to_be_visible()
    page.locator(".tiles .tile").first.click()
    expect(page.get_by_role("dialog").get_by_text("It says")).to_be_visible()
    page.get_by_role("dialog").get_by_role("button", name="Close").click()

    console.open(f"/datasets/{dataset}")
    tile = page.locator(".tile").filter(has=page.get_by_alt_text("wrong.png")).first
    tile.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Label").fill("disc")
    dialog.get_by_role("button", name="Save").click()
    expect(page.get_by_text("version 2 · latest")).to_be_visible()
    train(page)
    assert page.url.rsplit("/", 1)[1] != model

    page.get_by_role("link", name="Try it").last.click()
    picture = tmp_path / "one.png"
    picture.write_bytes(drawn(per_class=1, seed=44)["disc/0.png"])
    page.locator("input[accept]").set_input_files(picture)
    expect(page.locator(".answer")).to_contain_text("disc")
    expect(page.get_by_text("Nearest examples it learned from")).to_be_visible()
    page.get_by_role("button", name="Try test/bar").first.click()
    expect(page.locator(".answer")).to_contain_text("bar")

    page.goto(f"{live.url}/#/compare?a={model}")
    expect(page.get_by_text("both right:")).to_be_visible()
    promote_and_roll_back(console, model)


def promote_and_roll_back(console: Watched, model: str) -> None:
    """Name a model, let another take its place by force, and go back."""
    page = console.page
    console.open(f"/models/{model}?tab=use")
    page.get_by_label("A name for it").fill("story@production")
    page.get_by_role("button", name="Let it answer here").click()
    expect(page.get_by_text("story@production answers with this model now.")).to_be_visible()
    console.open("/aliases/story@production")
    page.get_by_role("button", name="Offer a candidate").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Why").fill("a label was mended")
    dialog.get_by_label("Move it without asking the gate").check()
    dialog.get_by_role("button", name="Move it by force").click()
    expect(page.get_by_text("forced", exact=True)).to_be_visible()
    page.get_by_role("button", name="Roll back").click()
    page.get_by_role("dialog").get_by_role("button", name="Roll back").click()
    expect(page.get_by_text("rolled back", exact=True)).to_be_visible()


def test_texts_answer_while_one_types(console: Watched, live: Service, tmp_path: Path) -> None:
    rows = [
        ("the card has not arrived", "card"),
        ("where is my new card", "card"),
        ("I never got my card", "card"),
        ("my card is late again", "card"),
        ("the transfer failed", "transfer"),
        ("my payment was declined", "transfer"),
        ("money did not reach my friend", "transfer"),
        ("the bank stopped my payment", "transfer"),
    ]
    table = tmp_path / "questions.csv"
    table.write_text("text,label\n" + "".join(f'"{text}",{label}\n' for text, label in rows))
    page = console.page
    console.sign_in(live.key)
    page.locator("input[type=file]:not([webkitdirectory])").first.set_input_files(table)
    page.get_by_role("button", name="Keep 8 examples").click()
    train(page)
    page.get_by_role("link", name="Try it").last.click()
    page.get_by_label("Type or paste a text").fill("has my card been sent?")
    expect(page.locator(".answer")).to_contain_text("card")
    page.get_by_label("Type or paste a text").fill("the payment did not go through")
    expect(page.locator(".answer")).to_contain_text("transfer")


def test_what_is_dropped_anywhere_begins_a_report(console: Watched, live: Service) -> None:
    page = console.page
    console.sign_in(live.key)
    console.open("/models")
    page.get_by_role("heading", name="Models").wait_for()
    page.evaluate(
        """() => {
          const given = new DataTransfer();
          const rows = Array.from({ length: 4 }, (_, n) => `one ${n},a\\ntwo ${n},b`);
          given.items.add(new File(["text,label\\n" + rows.join("\\n")], "dropped.csv"));
          const how = { dataTransfer: given, bubbles: true, cancelable: true };
          const drop = new DragEvent("drop", how);
          document.body.dispatchEvent(drop);
        }"""
    )
    expect(page.get_by_text("8 of 8 texts can be used, in 2 classes.")).to_be_visible()
    page.get_by_role("button", name="Discard").click()
    expect(page.get_by_role("heading", name="Models")).to_be_attached()
