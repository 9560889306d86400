"""A headless Chromium of the system's, a service, and pages whose every error fails the test."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    expect,
    sync_playwright,
)

from tests.conftest import SHARED
from tests.e2e import conftest as e2e
from tests.e2e.conftest import Service
from tests.e2e.console.rooms import LOOKS, furnish
from tests.faults.counts import FULL

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
AXE = Path(__file__).parents[3] / "data/clients/node_modules/axe-core/axe.min.js"
SHOTS = Path(__file__).parents[3] / "data" / "screenshots"
expect.set_options(timeout=60_000)
"""No page is late: a busy machine takes longer than the five seconds that are usual."""
SIZES = {"desktop": (1440, 900), "tablet": (900, 1100), "phone": (390, 844)}


@pytest.fixture(scope="session")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One embedded service for all pages."""
    yield from e2e._embedded(tmp_path_factory.mktemp("console"))


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """The system's browser; nothing is downloaded.

    It ends with its module: as long as it lives, an event loop runs in this thread.
    """
    if CHROMIUM is None:
        pytest.skip("chromium not found: the console was not looked at")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@dataclass
class Watched:
    """A page, and what went wrong on it that nobody had asked for.

    Routes are set before signing in: a browser lets a page that has been loaded send its next
    request past a route that was set after it.
    """

    page: Page
    url: str
    faults: list[str] = field(default_factory=list)
    expected: set[int] = field(default_factory=set)
    """Statuses that the test provokes."""

    def open(self, address: str) -> None:
        """Go to a page of the console."""
        self.page.goto(f"{self.url}/#{address}")

    def sign_in(self, key: str) -> None:
        """As a person does."""
        self.page.goto(self.url + "/")
        self.page.get_by_label("API key").fill(key)
        self.page.keyboard.press("Enter")
        self.page.get_by_role("button", name="Choose a folder").wait_for()

    def heard(self, kind: str, text: str) -> None:
        """Note an error of the console's, unless it is of an expected status."""
        if kind == "error" and not any(str(status) in text for status in self.expected):
            self.faults.append(text)


def _told(message: ConsoleMessage) -> str:
    """What a console says, and of which address: that of a resource is not in the text."""
    return f"{message.text} {message.location['url']}".strip()


def watch(context: BrowserContext, url: str) -> Watched:
    """A new page of the context, with an eye on it."""
    page = context.new_page()
    watched = Watched(page, url)
    page.on("console", lambda message: watched.heard(message.type, _told(message)))
    page.on("pageerror", lambda error: watched.faults.append(str(error)))

    def asked(request: Request) -> None:
        if not request.url.startswith((url, "blob:", "data:")):
            watched.faults.append(f"a request left the host: {request.url}")

    page.on("request", asked)
    return watched


def opened(chromium: Browser, live: Service, **options: Any) -> Iterator[Watched]:
    """A page in a context of its own, closed afterwards and without a fault."""
    context = chromium.new_context(locale="en-GB", **options)
    context.set_default_timeout(60_000)
    watched = watch(context, live.url)
    yield watched
    context.close()
    assert watched.faults == []


@pytest.fixture
def console(chromium: Browser, live: Service) -> Iterator[Watched]:
    """A desktop's page, not signed in."""
    yield from opened(chromium, live, viewport={"width": 1440, "height": 900})


@pytest.fixture(scope="session")
def pages(live: Service) -> dict[str, str]:
    """The addresses of the pages of a service with something in it."""
    data = SHARED / "data"
    with live.client() as client:
        return furnish(client, data if data.is_dir() else None)


@pytest.fixture(params=list(LOOKS) if FULL else ["desktop-light", "phone-dark"])
def looked(
    request: pytest.FixtureRequest, chromium: Browser, live: Service
) -> Iterator[tuple[str, Watched]]:
    """A signed-in page of one size and theme, and what that is called."""
    (width, height), scheme = LOOKS[request.param]
    context = chromium.new_context(
        viewport={"width": width, "height": height},
        color_scheme=scheme,  # type: ignore[arg-type]
        reduced_motion="reduce",
        locale="en-GB",
    )
    context.set_default_timeout(60_000)
    watched = watch(context, live.url)
    watched.sign_in(live.key)
    yield request.param, watched
    context.close()
    assert watched.faults == []
