"""How soon the console can be used on a slow machine, and how ten thousand examples scroll in it.

Headless Chromium, its processor throttled fourfold by the DevTools protocol, over an embedded
service on the same machine: what the service needs for its answers is in the figures too.
"""

from __future__ import annotations

import argparse
import io
import os
import random
import shutil
import tempfile
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
from PIL import Image
from playwright.sync_api import Browser, Page, Response, sync_playwright

from app.cli.embedded import start
from app.infra.settings import Settings
from benchmarks.record import record, spread

SLOWER = 4
VISITS = 5
EXAMPLES, CLASSES = 10_000, 20
PAGE_SIZE = 1000
THUMBNAILS = 60
_FRAMES = """(step) => new Promise((resolve) => {
  const times = [];
  let last = performance.now();
  const tick = (now) => {
    times.push(now - last);
    last = now;
    scrollBy(0, step);
    if (times.length > 240) resolve(times.slice(1));
    else requestAnimationFrame(tick);
  };
  requestAnimationFrame(tick);
})"""


def _archive(path: Path) -> None:
    """Small pictures of noise on a colour, one folder a class."""
    generator = random.Random(5)
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(EXAMPLES):
            label = number % CLASSES
            colour = (12 * label, generator.randrange(256), generator.randrange(256))
            picture = Image.new("RGB", (16, 16), colour)
            for _ in range(24):
                at = generator.randrange(16), generator.randrange(16)
                picture.putpixel(at, (generator.randrange(256), 90, generator.randrange(256)))
            out = io.BytesIO()
            picture.resize((64, 64)).save(out, "png")
            archive.writestr(f"class {label:02}/{number}.png", out.getvalue())


def _size(answer: Response) -> int:
    """What came of an answer, once all of it is there, in bytes as sent."""
    answer.finished()
    return int(answer.request.sizes()["responseBodySize"])


def _first_view(browser: Browser, url: str, key: str | None = None) -> dict[str, Any]:
    """From the address to a form that can be typed into, or of who is signed in to the datasets.

    Nothing is cached.
    """
    context = browser.new_context()
    page = context.new_page()
    if key is not None:
        page.add_init_script(f"sessionStorage.setItem('headstart.key', {key!r})")
    context.new_cdp_session(page).send("Emulation.setCPUThrottlingRate", {"rate": SLOWER})
    seen: list[Response] = []
    page.on("response", lambda answer: seen.append(answer))  # noqa: PLW0108
    begun = time.perf_counter()
    page.goto(url + "/", wait_until="commit")
    first = page.locator(".list a.item") if key else page.get_by_label("API key")
    first.first.wait_for()
    page.evaluate("() => new Promise((done) => requestIdleCallback(done))")
    seconds = time.perf_counter() - begun
    if key is None:
        page.wait_for_load_state("networkidle")
    size = sum(_size(one) for one in list(seen) if one.url.startswith("http"))
    told = {"seconds": seconds, "bytes": size, "requests": len(seen)}
    context.close()
    return told


def _signed_in(browser: Browser, url: str, key: str) -> Page:
    page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
    page.goto(url + "/")
    page.get_by_label("API key").fill(key)
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Choose a folder").wait_for()
    return page


def _told(visits: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "bytes": max(one["bytes"] for one in visits),
        "requests": max(one["requests"] for one in visits),
        "seconds_throttled_fourfold": spread([one["seconds"] for one in visits]),
    }


def _scrolled(browser: Browser, url: str, key: str, dataset: str) -> dict[str, Any]:
    """Frames while thousands of examples pass by, unthrottled and throttled."""
    page = _signed_in(browser, url, key)
    page.goto(f"{url}/#/datasets/{dataset}")
    page.locator(".tile img").first.wait_for()
    told = {}
    for name, rate in (("as it is", 1), ("throttled fourfold", SLOWER)):
        page.context.new_cdp_session(page).send("Emulation.setCPUThrottlingRate", {"rate": rate})
        page.evaluate("scrollTo(0, 0)")
        times = sorted(float(one) for one in page.evaluate(_FRAMES, 90))
        told[name] = {
            "frames_per_second": round(1000 * len(times) / sum(times), 1),
            "slowest_frame_in_20_ms": round(times[int(0.95 * len(times))], 1),
        }
    page.context.close()
    return told


def _pages(client: httpx.Client, dataset: str) -> dict[str, Any]:
    """A page of the list, and the thumbnails of a screen, six at once as a browser asks."""
    lists, screens = [], []
    after: str | None = None
    for _ in range(EXAMPLES // PAGE_SIZE):
        begun = time.perf_counter()
        query: dict[str, str | int] = {
            "limit": PAGE_SIZE,
            "order": "classes",
            **({"after": after} if after else {}),
        }
        found = client.get(f"/v1/datasets/{dataset}/examples", params=query).json()["data"]
        lists.append(1000 * (time.perf_counter() - begun))
        after = found[-1]["id"]
        screens.append(_screen(client, dataset, [one["id"] for one in found[:THUMBNAILS]]))
    return {"list_of_1000_ms": spread(lists), f"{THUMBNAILS}_thumbnails_ms": spread(screens)}


def _screen(client: httpx.Client, dataset: str, ids: list[str]) -> float:
    def one(example: str) -> None:
        path = f"/v1/datasets/{dataset}/examples/{example}/thumbnail"
        client.get(path, params={"size": 96}).raise_for_status()

    begun = time.perf_counter()
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(one, ids))
    return 1000 * (time.perf_counter() - begun)


def main() -> None:
    """Measure, and write benchmarks/results/console.json."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        raise SystemExit("chromium not found: install the system's package, then run this again")
    load = round(os.getloadavg()[0], 1)
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root)
        supervisor = start(Settings(data_dir=folder / "data"), host="127.0.0.1", port=0)
        try:
            key = (folder / "data/api-key").read_text().strip()
            headers = {"Authorization": f"Bearer {key}"}
            client = httpx.Client(base_url=supervisor.url, headers=headers, timeout=300)
            _archive(folder / "many.zip")
            with (folder / "many.zip").open("rb") as file:
                made = client.post("/v1/datasets", files={"file": file}, data={"name": "many"})
            dataset = made.json()["id"]
            _measure(chromium, supervisor.url, key, client, dataset, load)
        finally:
            supervisor.stop()


def _measure(
    chromium: str, url: str, key: str, client: httpx.Client, dataset: str, load: float
) -> None:
    while client.get(f"/v1/datasets/{dataset}").json()["status"] == "processing":
        time.sleep(1)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        views = [_first_view(browser, url) for _ in range(VISITS)]
        homes = [_first_view(browser, url, key) for _ in range(VISITS)]
        scrolling = _scrolled(browser, url, key, dataset)
        version = browser.version
        browser.close()
    record(
        "console",
        figure="The console's first view on a slow processor, and 10,000 examples scrolling",
        method=f"headless Chromium {version}, processor throttled {SLOWER}-fold where said, "
        f"service and browser on one machine; first view: {VISITS} visits with nothing cached, "
        "until the page is idle with its form, or with its datasets of who is signed in "
        "(what has come by then is counted, thumbnails too); scrolling: 240 frames of 90 pixels "
        "each in a dataset of 10,000 pictures; thumbnails: 60 that were never asked for, six at "
        "once; the load is the machine's over the minute before, all of it others'",
        results={
            "load_before": load,
            "first_view": _told(views),
            "home_of_who_is_signed_in": _told(homes),
            "scrolling": scrolling,
            "server": _pages(client, dataset),
        },
    )


if __name__ == "__main__":
    main()
