"""What opens over a page, and the report: the pages, and what opens them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Locator, Page

from tests.e2e.archives import drawn

Sheet = tuple[str, Callable[[Page], None]]


def press(name: str) -> Callable[[Page | Locator], None]:
    return lambda page: page.get_by_role("button", name=name).first.click()


def find(page: Page) -> None:
    page.keyboard.press("Control+k")
    page.get_by_role("combobox").fill("c")


def example(page: Page) -> None:
    page.locator(".tile").first.click()
    page.get_by_role("dialog").get_by_text("Most like it").click()
    page.get_by_role("dialog").locator(".tiles img, .tile.text").first.wait_for()


def erase(page: Page) -> None:
    page.locator(".tile").first.click()
    press("Erase for good…")(page.get_by_role("dialog"))
    page.get_by_role("dialog", name="Erase for good").wait_for()


def drop(folder: Path) -> Callable[[Page], None]:
    for name, content in drawn(per_class=6, seed=611).items():
        path = folder / "shapes" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def act(page: Page) -> None:
        page.locator("input[webkitdirectory]").first.set_input_files(folder / "shapes")
        page.get_by_role("button", name="Keep and train").wait_for()

    return act


def sheets(pages: dict[str, str], folder: Path) -> dict[str, Sheet]:
    """By the names of their pictures: the page, and what opens it."""
    return {
        "new-key": (pages["keys"], press("New key")),
        "replace-key": (pages["keys"], press("Replace…")),
        "key-menu": (pages["home"], press("default · hs_")),
        "name-classes": (pages["datasets"], press("Name classes…")),
        "train-sheet": (pages["dataset"], press("Train a model")),
        "add-examples": (pages["dataset"], press("Add examples")),
        "example": (pages["dataset"], example),
        "erase-example": (pages["dataset"], erase),
        "erase-group": (pages["dataset-text"], press("Erase for good…")),
        "new-hook": (pages["hooks"], press("New hook")),
        "split": (pages["alias"], press("Split…")),
        "shadow": (pages["alias"], press("Add a shadow…")),
        "new-webhook": (pages["webhooks"], press("New webhook")),
        "palette": (pages["models"], find),
        "report": (pages["home"], drop(folder)),
    }
