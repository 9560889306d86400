"""From `headstart up` on an empty machine to a working prediction, and how many clicks that takes.

A click is one of the mouse's, the key Enter, or the button of a dialog for files, whose own clicks
a page does not see.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.archives import drawn, zipped
from tests.e2e.console.conftest import Watched, watch

MOST = 8
_COUNT = """() => {
  if (window.top !== window) return;
  const more = () => sessionStorage.setItem("clicks", 1 + Number(sessionStorage.getItem("clicks")));
  addEventListener("click", (event) => event.isTrusted && event.detail > 0 && more(), true);
  addEventListener("keydown", (event) => event.key === "Enter" && more(), true);
}"""
QUESTIONS = {
    "card": ("the card has not arrived", "where is my new card", "I never got my card"),
    "transfer": ("the transfer failed", "my payment was declined", "money did not reach my friend"),
}


@pytest.fixture(scope="module")
def greeting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """What a terminal says once the service is there."""
    folder = tmp_path_factory.mktemp("empty machine")
    command = [sys.executable, "-m", "app.cli", "up", "--port", "0", "--data-dir", str(folder)]
    started = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert started.stderr is not None
        said = ""
        while "Ctrl-C stops" not in said:
            line = started.stderr.readline()
            assert line, said
            said += line
        yield said
    finally:
        started.terminate()
        started.communicate(timeout=300)


class Walk:
    """The way of one person, who does what the greeting says and reads nothing else."""

    def __init__(self, watched: Watched, key: str) -> None:
        self.page = watched.page
        self.dialogs = 0
        self.page.goto(watched.url)
        self.page.get_by_label("API key").fill(key)
        self.press("Sign in")

    def press(self, name: str | re.Pattern[str]) -> None:
        """Click the one button of that name, in the dialog that is open or on the page."""
        self.page.get_by_role("button", name=name, exact=isinstance(name, str)).last.click()

    def choose(self, name: str, path: Path) -> None:
        """Click what asks for files, and take these in the dialog that opens."""
        with self.page.expect_file_chooser() as asked:
            self.press(name)
        asked.value.set_files(path)
        self.dialogs += 1

    def learn(self) -> None:
        """From the report to a model's own page, and on to where it is tried."""
        self.press("Keep and train")
        expect(self.page.get_by_text("right, on")).to_be_visible(timeout=60_000)
        self.page.locator("main").get_by_role("link", name="Try it").click()

    def clicks(self) -> int:
        return int(self.page.evaluate("Number(sessionStorage.getItem('clicks'))")) + self.dialogs


def told(greeting: str) -> tuple[str, str]:
    """The address, and the key in the file that is named."""
    (where,) = re.findall(r"http://\S+", greeting)
    named = re.sub(r"\s+", " ", greeting).partition("key in ")[2].partition(" · ")[0]
    return where, Path(named).read_text().strip()


def another_tenants(url: str, key: str) -> str:
    """A key of an organisation that holds nothing yet."""
    asked = {"name": "newcomer", "scopes": ["admin"], "organization": "newcomers"}
    headers = {"Authorization": f"Bearer {key}"}
    answer = httpx.post(f"{url}/v1/api_keys", json=asked, headers=headers)
    return str(answer.json()["key"])


@pytest.fixture(params=["first"])
def walk(request: pytest.FixtureRequest, chromium: Browser, greeting: str) -> Iterator[Walk]:
    url, key = told(greeting)
    context = chromium.new_context(locale="en-GB", viewport={"width": 1280, "height": 800})
    context.set_default_timeout(60_000)
    context.add_init_script(f"({_COUNT})()")
    watched = watch(context, url)
    yield Walk(watched, key if request.param == "first" else another_tenants(url, key))
    context.close()
    assert watched.faults == []


def _pictures(root: Path) -> tuple[str, Path]:
    for name, content in drawn(per_class=6, seed=501).items():
        path = root / "shapes" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return "Choose a folder", root / "shapes"


def _zip(root: Path) -> tuple[str, Path]:
    path = root / "shapes.zip"
    path.write_bytes(zipped(drawn(per_class=6, seed=502)))
    return "Files", path


@pytest.mark.parametrize("given", [_pictures, _zip])
def test_pictures(walk: Walk, tmp_path: Path, given: Callable[[Path], tuple[str, Path]]) -> None:
    walk.choose(*given(tmp_path))
    walk.learn()
    one = tmp_path / "one.png"
    one.write_bytes(drawn(per_class=1, seed=503)["bar/0.png"])
    walk.choose("Drop or choose", one)
    expect(walk.page.locator(".answer")).to_contain_text("bar")
    assert walk.clicks() <= MOST


def test_texts(walk: Walk, tmp_path: Path) -> None:
    rows = [f'"{text}",{label}\n' for label, texts in QUESTIONS.items() for text in texts]
    table = tmp_path / "questions.csv"
    table.write_text("text,label\n" + "".join(rows))
    walk.choose("Files", table)
    walk.learn()
    walk.page.get_by_label("Type or paste a text").fill("has my card been sent?")
    expect(walk.page.locator(".answer")).to_contain_text("card", timeout=60_000)
    assert walk.clicks() <= MOST - 1


@pytest.mark.parametrize("walk", ["another tenant's"], indirect=True)
def test_who_has_no_pictures_takes_the_digits(walk: Walk) -> None:
    walk.press(re.compile("handwritten digits"))
    walk.learn()
    walk.page.get_by_role("button", name=re.compile("^Try .*digit 3")).first.click()
    expect(walk.page.locator(".answer")).to_contain_text("3")
    assert walk.clicks() <= MOST - 2
