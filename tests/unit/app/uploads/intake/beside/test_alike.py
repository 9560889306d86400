"""Pictures of one name but for the ending: masks beside photographs, and what may be either."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping

import pytest
from PIL import Image, ImageDraw

from app.core.errors import HeadstartError
from app.uploads.intake import IntakeOptions
from tests.archives import zipped
from tests.unit.app.uploads.intake.conftest import Take

pytestmark = pytest.mark.slow
Refused = Callable[..., HeadstartError]
JUDGED = IntakeOptions(label_mode=None)
COUNT = 6
SIZE = (40, 30)


def photograph(seed: int, kind: str = "JPEG", size: tuple[int, int] = SIZE) -> bytes:
    """A picture of many colours."""
    values = bytes((seed * 37 + at * at * 13 + at) % 251 for at in range(9 * 9 * 3))
    rough, out = Image.frombytes("RGB", (9, 9), values), io.BytesIO()
    rough.resize(size, Image.Resampling.BICUBIC).save(out, kind)
    return out.getvalue()


def mask(seed: int, kind: str = "PNG", size: tuple[int, int] = SIZE) -> bytes:
    """A trimap: two values and an edge."""
    picture, out = Image.new("L", size, 2), io.BytesIO()
    ImageDraw.Draw(picture).rectangle((3 + seed % 5, 3, 9 + seed % 17, 20), fill=1, outline=3)
    picture.save(out, kind)
    return out.getvalue()


def name(at: int) -> str:
    return f"Bengal_{at:03d}" if at % 2 else f"pug_{at:03d}"


def label(at: int) -> str:
    return name(at).partition("_")[0]


def tree(masks: str, make: Callable[[int], bytes] = mask, photos: str = "images/{}.jpg",
         ) -> dict[str, bytes]:  # fmt: skip
    files = {photos.format(name(at)): photograph(at) for at in range(COUNT)}
    return files | {masks.format(name(at)): make(at) for at in range(COUNT)}


ROWS = [f"{name(at)} {label(at)}" for at in range(COUNT)]
SAID: Mapping[str, bytes] = {
    "labels.csv": "\n".join(["image_id,dx", *(one.replace(" ", ",") for one in ROWS)]).encode(),
    "list.txt": "\n".join(ROWS).encode(),
    "annotations/list.txt": "\n".join(f"{one} {at % 2 + 1} 1" for at, one in enumerate(ROWS)
                                      ).encode(),
}  # fmt: skip
MASKS = ["masks/{}.png", "annotations/trimaps/{}.png", "heat/{}.png", "images/{}.png"]


@pytest.mark.parametrize("masks", MASKS)
@pytest.mark.parametrize("said", SAID)
def test_names_without_an_ending_are_the_photographs(take: Take, masks: str, said: str) -> None:
    built = take(zipped({**tree(masks), said: SAID[said]}), options=JUDGED)
    assert {one.path: one.label for one in built.examples} == {
        f"images/{name(at)}.jpg": label(at) for at in range(COUNT)
    }
    left = [one for one in built.problems if "drawn on others" in one.message]
    assert [one.excluded for one in left] == [True]
    assert left[0].message.startswith(f"{COUNT} picture(s)")


MAYBE = ["cams/{}.jpg", "annotations/cams/{}.png", "thumbs/{}.jpg"]


@pytest.mark.parametrize("others", MAYBE)
@pytest.mark.parametrize("said", SAID)
def test_names_of_two_photographs_are_refused_with_both(
    refused: Refused, others: str, said: str
) -> None:
    kind = "PNG" if others.endswith("png") else "JPEG"
    files = tree(others, lambda at: photograph(at + 50, kind))
    error = refused(zipped({**files, said: SAID[said]}), options=JUDGED)
    assert error.code == "ambiguous_layout"
    assert f"images/{name(0)}.jpg and {others.format(name(0))}" in error.message
    assert said in error.message


def test_what_says_the_labels_of_a_few_takes_no_place_of_names_of_several(refused: Refused) -> None:
    files = tree("cams/{}.jpg", lambda at: photograph(at + 50))
    few = "\n".join(["path,label", f"images/{name(0)}.jpg,cat", f"images/{name(1)}.jpg,dog"])
    files |= {"list.txt": SAID["list.txt"], "few.csv": few.encode()}
    error = refused(zipped(files), options=JUDGED)
    assert "several pictures are called so" in error.message


def test_names_of_masks_with_their_ending_alone_are_no_examples(refused: Refused) -> None:
    table = SAID["labels.csv"].replace(b",", b".png,").replace(b"image_id.png", b"image_id")
    error = refused(zipped({**tree("masks/{}.png"), "labels.csv": table}), options=JUDGED)
    assert error.code == "ambiguous_layout"
    assert f"masks/{name(0)}.png" in error.message


def test_masks_that_are_named_with_their_folder_are_examples(take: Take) -> None:
    rows = [f"masks/{name(at)}.png,{label(at)}" for at in range(COUNT)]
    table = "\n".join(["path,label", *rows]).encode()
    built = take(zipped({**tree("masks/{}.png"), "labels.csv": table}), options=JUDGED)
    assert {one.path.partition("/")[0] for one in built.examples} == {"masks"}


def test_lists_of_sets_that_lie_side_by_side_name_their_own(take: Take) -> None:
    files = {}
    for top in ("train", "test"):
        files |= {f"{top}/images/{at}x.jpg": photograph(at + 40 * (top == "test")) for at in
                  range(COUNT)}  # fmt: skip
        rows = [f"{at}x.jpg {'ab'[(at + (top == 'test')) % 2]}" for at in range(COUNT)]
        files[f"{top}/list.txt"] = "\n".join(rows).encode()
    built = take(zipped(files), options=JUDGED)
    assert {one.path: one.label for one in built.examples} == {
        f"{top}/images/{at}x.jpg": "ab"[(at + (top == "test")) % 2]
        for top in ("train", "test")
        for at in range(COUNT)
    }


def in_classes(second: str, make: Callable[[int], bytes]) -> dict[str, bytes]:
    """Class folders with a photograph and another picture of each name."""
    files = {}
    for seed, top in enumerate(("crack", "free")):
        for at in range(COUNT):
            files[f"{top}/Imgs/{at}.jpg"] = photograph(at + 20 * seed)
            files[f"{top}/Imgs/{second.format(at)}"] = make(at + 20 * seed)
    return files


@pytest.mark.parametrize("second", ["{}.png", "{}_anno.png", "{}_annots.png"])
@pytest.mark.parametrize("black", [False, True])
def test_masks_of_their_pictures_name_are_left_out_of_class_folders(
    take: Take, second: str, black: bool
) -> None:
    blank = io.BytesIO()
    Image.new("L", SIZE).save(blank, "PNG")
    built = take(zipped(in_classes(second, lambda at: blank.getvalue() if black else mask(at))))
    assert {one.path.rpartition(".")[2] for one in built.examples} == {"jpg"}
    assert len(built.examples) == 2 * COUNT
    assert [one.excluded for one in built.problems if "drawn on others" in one.message] == [True]


def square(seed: int) -> bytes:
    return mask(seed, size=(30, 30))


def of_photographs(seed: int) -> bytes:
    return photograph(seed + 60, "PNG")


@pytest.mark.parametrize("make", [square, of_photographs])
def test_other_pictures_of_the_same_numbers_are_examples(
    take: Take, make: Callable[[int], bytes]
) -> None:
    built = take(zipped(in_classes("{}.png", make)))
    assert len(built.examples) == 4 * COUNT - sum(
        one.code == "label_conflict" for one in built.problems
    )
    assert not any("drawn on others" in one.message for one in built.problems)


def test_drawings_of_one_name_in_two_formats_are_examples(take: Take) -> None:
    files = {
        f"{top}/{at}.{kind.lower()}": mask(at + 7 * seed, kind) + top.encode()
        for seed, top in enumerate(("star", "moon"))
        for at in range(COUNT)
        for kind in ("PNG", "BMP")
    }
    built = take(zipped(files))
    assert not any("drawn on others" in one.message for one in built.problems)
    assert {one.path.rpartition(".")[2] for one in built.examples} == {"png", "bmp"}
