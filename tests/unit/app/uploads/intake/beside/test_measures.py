"""Columns that are sides of boxes or measured are no labels of pictures."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from app.core.errors import HeadstartError
from app.uploads.intake import Built, IntakeOptions
from app.uploads.intake.tables.roles.coordinates import coordinates
from tests.archives import png, zipped
from tests.unit.app.uploads.intake.conftest import Take

Refused = Callable[..., HeadstartError]
JUDGED = IntakeOptions(label_mode=None)
FOUND = ["Hernia", "Edema", "No Finding"]


def radiographs(boxes: int, *, entries: bool = True) -> bytes:
    """A table of findings as ChestX-ray14 has it, and one of boxes."""
    files = {f"images_001/images/{at:08d}.png": png(at) for at in range(12)}
    rows = [f"{at:08d}.png,{FOUND[at % 3]},{at % 2},2682,2749,0.143,0.143," for at in range(12)]
    header = "Image Index,Finding Labels,Follow-up #,OriginalImage[Width,Height],Spacing[x,y],"
    if entries:
        files["Data_Entry.csv"] = "\n".join([header, *rows]).encode()
    rows = [
        f"{at:08d}.png,{FOUND[at % 2]},{20 + at}.08,{7 + at}.01,30.77,40.19,,,"
        for at in range(boxes)
    ]
    header = "Image Index,Finding Label,Bbox [x,y,w,h],,,"
    files["BBox_List.csv"] = "\n".join([header, *rows]).encode()
    return zipped(files)


def labels(built: Built) -> dict[str, str]:
    return {one.path.rpartition("/")[2]: one.label for one in built.examples}


def test_boxes_of_some_pictures_give_way_to_the_labels_of_all(take: Take) -> None:
    built = take(radiographs(5), options=JUDGED)
    assert labels(built) == {f"{at:08d}.png": FOUND[at % 3] for at in range(12)}
    told = [one.message for one in built.problems]
    assert any("BBox_List.csv" in one and "boxes of some of the pictures" in one for one in told)


def test_boxes_alone_have_labels_and_their_sides_are_none(take: Take) -> None:
    built = take(radiographs(8, entries=False), options=JUDGED)
    assert labels(built) == {f"{at:08d}.png": FOUND[at % 2] for at in range(8)}


def test_labels_of_the_same_pictures_are_refused_until_one_is_said(
    take: Take, refused: Refused
) -> None:
    assert "both name" in refused(radiographs(12), options=JUDGED).message
    asked = IntakeOptions(label_mode=None, columns={"label": "Finding Labels"})
    built = take(radiographs(12), options=asked)
    assert labels(built) == {f"{at:08d}.png": FOUND[at % 3] for at in range(12)}
    assert any("has no column that label_column says" in one.message for one in built.problems)


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ("image,Bbox [x,y,w,h],,", ["Bbox [x", "y", "w", "h]"]),
        ("id,x,y,width,height,Target", ["x", "y", "width", "height"]),
        ("id,x1,y1,x2,y2,kind", ["x1", "y1", "x2", "y2"]),
        ("Image[Width,Height],Spacing[x,y]", []),
        ("x,y", []),
        ("text,y", []),
    ],
)
def test_sides_of_boxes_are_known_by_their_order(header: str, found: list[str]) -> None:
    assert coordinates(header.split(",")) == found


@pytest.mark.parametrize("other", ["species", "grade"])
def test_y_beside_x_is_no_label_where_others_may_be(
    take: Take, refused: Refused, other: str
) -> None:
    rows = [f"{at}.png,{at * 7},{at * 11},{'ab'[at % 2]}" for at in range(8)]
    files = {f"images/{at}.png": png(at) for at in range(8)}
    table = "\n".join([f"image,x,y,{other}", *rows]).encode()
    archive = zipped({**files, "points.csv": table})
    if other == "species":
        assert {one.label for one in take(archive, options=JUDGED).examples} == {"a", "b"}
    else:
        assert "the header has no `label`" in refused(archive, options=JUDGED).message


@pytest.mark.parametrize("header", ["x,y", "text,y", "id,text,y"])
def test_y_is_a_target_otherwise(take: Take, header: str) -> None:
    cells = {"x": "say {}", "text": "say {}", "id": "{}", "y": "{}"}
    rows = [
        ",".join(cells[name].format(at % 2 if name == "y" else at) for name in header.split(","))
        for at in range(8)
    ]
    data = "\n".join([header, *rows]).encode()
    options = IntakeOptions(columns={} if "text" in header else {"text": "x"})
    assert {one.label for one in take(data, "x.csv", options=options).examples} == {"0", "1"}


@pytest.mark.parametrize("name", ["y", "target"])
def test_fractions_are_no_labels_of_pictures(refused: Refused, name: str) -> None:
    rows = [f"{at}.png,{at}.0{at + 1}" for at in range(8)]
    files = {f"images/{at}.png": png(at) for at in range(8)}
    table = "\n".join([f"image,{name}", *rows]).encode()
    error = refused(zipped({**files, "scores.csv": table}), options=JUDGED)
    assert "the header has no `label`" in error.message


@pytest.mark.parametrize("cells", ["01", "0.0 1.0", "0.5 1.5", "1 2 3"])
def test_a_target_of_a_few_numbers_is_one(take: Take, cells: str) -> None:
    few = cells.split() if " " in cells else list(cells)
    rows = [f"{at}.png,{few[at % len(few)]}" for at in range(12)]
    files = {f"images/{at}.png": png(at) for at in range(12)}
    table = "\n".join(["image,y", *rows]).encode()
    assert len(take(zipped({**files, "labels.csv": table}), options=JUDGED).examples) == 12
