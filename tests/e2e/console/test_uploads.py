"""What the report offers when a file is not read as it was meant."""

from __future__ import annotations

import json
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.e2e.archives import drawn, zipped
from tests.e2e.conftest import Service
from tests.e2e.console.conftest import Watched

BOXES = 12


def boxed() -> bytes:
    """A COCO file of pictures with two boxes each, of two classes."""
    shapes = drawn(per_class=BOXES // 2, seed=321)
    pictures = {f"images/{path.replace('/', '_')}": data for path, data in shapes.items()}
    images, annotations = [], []
    for at, path in enumerate(pictures):
        images.append({"id": at, "file_name": path.rpartition("/")[2], "width": 96, "height": 96})
        for box, left in enumerate((2, 50)):
            annotations.append(
                {
                    "id": 2 * at + box,
                    "image_id": at,
                    "category_id": 1 + box,
                    "bbox": [left, 4, 40, 80],
                }
            )
    categories = [{"id": 1, "name": "left"}, {"id": 2, "name": "right"}]
    told = {"images": images, "annotations": annotations, "categories": categories}
    return zipped({**pictures, "annotations.json": json.dumps(told).encode()})


def drop(page: Page, path: Path) -> None:
    page.locator("input[type=file]:not([webkitdirectory])").first.set_input_files(path)


def test_boxes_are_cut_out_where_that_is_asked(
    console: Watched, live: Service, tmp_path: Path
) -> None:
    console.expected = {422}  # each picture has both labels: as it is, there is nothing to tell
    page = console.page
    path = tmp_path / "boxes.zip"
    path.write_bytes(boxed())
    console.sign_in(live.key)
    drop(page, path)
    more = page.locator("summary").filter(has_text="More: how it is read")
    page.get_by_label("Boxes of a list").select_option("crops")
    page.get_by_role("button", name="Read it again").click()
    expect(page.get_by_role("heading", name=f"of {2 * BOXES} pictures can be used")).to_be_visible()
    expect(more).to_contain_text("each box is an example")
    page.get_by_role("button", name=f"Keep {2 * BOXES} examples").click()
    page.get_by_role("button", name="Train a model").wait_for()
    with live.client() as client:
        dataset = client.get("/v1/datasets/" + page.url.rsplit("/", 1)[1]).json()
    assert (dataset["num_examples"], len(dataset["classes"])) == (2 * BOXES, 2)


def test_a_refused_table_is_read_again_by_its_columns(
    console: Watched, live: Service, tmp_path: Path
) -> None:
    console.expected = {422}
    page = console.page
    path = tmp_path / "odd.csv"
    rows = [f"note {at} on case {at},{'xy'[at % 2]},{at // 2}" for at in range(8)]
    path.write_text("what they wrote,verdict,patient\n" + "\n".join(rows))
    console.sign_in(live.key)
    drop(page, path)
    expect(page.get_by_role("alert")).to_be_visible()
    page.get_by_label("Column of the label").fill("verdict")
    page.get_by_label("Column of the text").fill("what they wrote")
    page.get_by_label("Column of the group").fill("patient")
    page.get_by_role("button", name="Read it again").click()
    expect(page.get_by_role("heading", name="8 of 8 texts can be used")).to_be_visible()
    expect(page.get_by_role("alert")).to_have_count(0)
