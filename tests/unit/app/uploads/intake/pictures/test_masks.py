"""Masks that lie beside their pictures are no examples of the class."""

from __future__ import annotations

import io
import itertools
import random
from collections import Counter
from collections.abc import Callable

import pytest
from PIL import Image, ImageDraw, ImageFilter

from app.uploads.intake import IntakeOptions
from tests.archives import png, zipped
from tests.unit.app.uploads.intake.conftest import Take

pytestmark = pytest.mark.slow

BESIDE = [
    ("{n} ({i}).png", "{n} ({i})_mask.png"),
    ("{n} ({i}).png", "{n} ({i})_mask_1.png"),
    ("{i}.jpg", "{i}_segmentation.png"),
    ("{i}.png", "{i}_Seg.png"),
    ("{i}.png", "{i}-gt.png"),
    ("{i}.png", "{i}_label.png"),
    ("{i}.png", "{i}_ground_truth.png"),
    ("{i}.png", "{i}_seg_mask2.png"),
    ("{i}.png", "mask_{i}.png"),
    ("image_{i}.png", "mask_{i}.png"),
    ("{i}_image.png", "{i}_mask.png"),
    ("{i}.png", "masks/{i}.png"),
    ("images/{i}.png", "masks/{i}.png"),
    ("images/{i}.png", "Annotations/{i}_mask.png"),
]


@pytest.mark.parametrize(("picture", "mask"), BESIDE)
@pytest.mark.parametrize("tops", [("",), ("train/", "test/"), ("data/v1/",)])
def test_masks_are_left_out_and_counted(
    take: Take, picture: str, mask: str, tops: tuple[str, ...]
) -> None:
    files, seed = {}, 0
    for top in tops:
        for name in ("benign", "malignant"):
            for at in range(4):
                for form in (picture, mask):
                    seed += 1
                    files[f"{top}{name}/{form.format(n=name, i=at)}"] = png(seed)
    built = take(zipped(files))
    assert len(built.examples) == len(files) // 2
    left = [one for one in built.problems if "drawn on others" in one.message]
    assert [one.excluded for one in left] == [True]
    assert left[0].message.startswith(f"{len(files) // 2} picture(s)")
    paths = {one.path for one in built.examples}
    assert not any("mask" in path.rpartition("/")[2].lower() for path in paths)


KEPT = [
    ("mask", "no_mask", "{i}.png", "{i}.png"),
    ("mask", "no_mask", "{i}_mask.png", "{i}.png"),
    ("masks", "hats", "{i}.png", "{i}.png"),
    ("a", "b", "{i}_mask.png", "{i}_label.png"),
    ("a", "b", "mask_{i}.png", "seg_{i}.png"),
    ("a", "b", "unmask{i}.png", "unmask{i}.png"),
]


@pytest.mark.parametrize(("one", "other", "mine", "theirs"), KEPT)
def test_pictures_called_so_without_others_are_examples(
    take: Take, one: str, other: str, mine: str, theirs: str
) -> None:
    forms = {one: mine, other: theirs}
    files = {
        f"{n}/{forms[n].format(i=i)}": png(i + 9 * (n == one)) for n in forms for i in range(4)
    }
    built = take(zipped(files))
    assert len(built.examples) == 8
    assert not any("drawn on others" in problem.message for problem in built.problems)


def photograph(seed: int, kind: str) -> bytes:
    """A picture of many colours, smooth as photographs are."""
    draw = random.Random(seed)
    rough = Image.frombytes("RGB", (9, 9), draw.randbytes(243))
    out = io.BytesIO()
    rough.resize((96, 72), Image.Resampling.BICUBIC).save(out, kind)
    return out.getvalue()


def drawn(seed: int, kind: str) -> bytes:
    """A mask: an ellipse on black."""
    picture, out = Image.new("L", (96, 72)), io.BytesIO()
    ImageDraw.Draw(picture).ellipse((9, 9, 40 + seed, 60), fill=255)
    picture.save(out, kind)
    return out.getvalue()


PHOTOGRAPHS = [
    ("mask", "{i}.jpg", "mask_{i}.jpg"),
    ("alice", "{i}.jpg", "{i}_mask.jpg"),
    ("bottle", "{i}.jpg", "{i}_label.jpg"),
    ("ford", "mustang{i}.jpg", "mustang{i} gt.jpg"),
    ("ford", "{i}.png", "masks/{i}.png"),
]


@pytest.mark.parametrize(("label", "plain", "called"), PHOTOGRAPHS)
@pytest.mark.parametrize("make", [photograph, drawn])
def test_pixels_tell_masks_from_photographs(
    take: Take, label: str, plain: str, called: str, make: Callable[[int, str], bytes]
) -> None:
    files = {}
    for name, at in itertools.product((label, "other"), range(10)):
        seed = at + 50 * (name == label)
        for form, made, further in ((plain, photograph, 0), (called, make, 20)):
            kind = "PNG" if form.endswith("png") else "JPEG"
            files[f"{name}/{form.format(i=at)}"] = made(seed % 50 + further, kind) + name.encode()
    built = take(zipped(files))
    told = [one for one in built.problems if "drawn on others" in one.message]
    assert [one.excluded for one in told] == [make is drawn]
    assert told[0].message.startswith("20 picture(s)")
    assert len(built.examples) == (20 if make is drawn else 40)


def instances(seed: int) -> Image.Image:
    """300 parts, each of a number of its own."""
    draw, picture = random.Random(seed), Image.new("I;16", (200, 160))
    for number in range(1, 301):
        left, top = draw.randrange(190), draw.randrange(150)
        picture.paste(number, (left, top, left + 10, top + 10))
    return picture


def coloured(seed: int) -> Image.Image:
    """The same, each in a colour of its own."""
    draw, picture = random.Random(seed), Image.new("RGB", (200, 160))
    for _ in range(300):
        left, top = draw.randrange(190), draw.randrange(150)
        colour = tuple(draw.randrange(256) for _ in range(3))
        picture.paste(colour, (left, top, left + 10, top + 10))
    return picture


def soft(seed: int) -> Image.Image:
    picture = Image.new("L", (200, 160))
    ImageDraw.Draw(picture).ellipse((30, 30, 120 + seed, 120), fill=255)
    return picture.filter(ImageFilter.GaussianBlur(12))


def distances(seed: int) -> Image.Image:
    return Image.radial_gradient("L").crop((seed, 0, 200, 160))


def as_png(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


def grainy(seed: int) -> Image.Image:
    """A grey photograph: smooth, with a camera's noise."""
    smooth = Image.open(io.BytesIO(photograph(seed, "PNG"))).convert("L").resize((200, 160))
    noise = Image.frombytes("L", smooth.size, random.Random(seed).randbytes(200 * 160))
    return Image.blend(smooth, noise, 0.1)


@pytest.mark.parametrize("form", ["{i}_mask.png", "masks/{i}.png"])
@pytest.mark.parametrize("make", [instances, coloured, soft, distances])
def test_masks_of_many_values_are_told_by_areas_or_by_having_no_grain(
    take: Take, form: str, make: Callable[[int], Image.Image]
) -> None:
    files = {}
    for name, at in itertools.product("ab", range(6)):
        seed = at + 9 * (name == "b")
        files[f"{name}/{at}.png"] = photograph(seed, "PNG")
        files[f"{name}/{form.format(i=at)}"] = as_png(make(seed)) + name.encode()
    built = take(zipped(files))
    assert len(built.examples) == 12
    assert [one.excluded for one in built.problems if "drawn on others" in one.message] == [True]


@pytest.mark.parametrize("quality", [5, 20, 75])
def test_grey_photographs_with_a_grain_are_examples(take: Take, quality: int) -> None:
    files = {}
    for name, at in itertools.product("ab", range(6)):
        seed, out = at + 9 * (name == "b"), io.BytesIO()
        grainy(seed).save(out, "JPEG", quality=quality)
        files |= {
            f"{name}/{at}.png": photograph(seed, "PNG"),
            f"{name}/{at}_gt.jpg": out.getvalue(),
        }
    assert len(take(zipped(files)).examples) == 24


KNOWN = ["{n}/{i}.jpg", "train/{n}/{i}.jpg", "{n}/test/{i}.jpg"]
ALONE = ["{n}/{i}_mask.png", "{n}/{i}_mask_1.png", "{n}/mask_{i}.png", "{n}/masks/{i}.png"]
IN_FOLDERS = ("{n}/images/{i}.jpg", "{n}/masks/{i}.png")


@pytest.mark.parametrize(("known", "form"), [*itertools.product(KNOWN, ALONE), IN_FOLDERS])
@pytest.mark.parametrize("top", ["", "train/"])
def test_masks_of_what_the_dataset_has_are_none_of_its_examples(
    take: Take, known: str, form: str, top: str
) -> None:
    paths = [known.format(n=n, i=i) for n in "ab" for i in range(4)]
    options = IntakeOptions(minimum_classes=1, known=lambda: paths)
    seen = enumerate(form.format(n=n, i=i) for n in "ab" for i in range(4))
    files = {top + name: drawn(at, "PNG") for at, name in seen}
    files |= {
        f"{top}{n}/new{i}.png": photograph(9 * i, "PNG") + n.encode() for n in "ab" for i in (1, 2)
    }
    built = take(zipped(files), options=options)
    assert len(built.examples) == 4
    assert [one.excluded for one in built.problems if "drawn on others" in one.message] == [True]


@pytest.mark.parametrize("known", [["a/0.jpg", "c/1.jpg"], ["x.csv:2", "a_mask.jpg"], []])
def test_of_pictures_that_the_dataset_has_not_nothing_is_drawn(
    take: Take, known: list[str]
) -> None:
    options = IntakeOptions(minimum_classes=1, known=lambda: known)
    files = {f"b/{at}_mask.png": drawn(at, "PNG") for at in range(4)}
    assert len(take(zipped(files), options=options).examples) == 4


def test_what_is_called_as_nothing_that_was_drawn_asks_for_no_paths(take: Take) -> None:
    def known() -> list[str]:
        raise AssertionError

    options = IntakeOptions(minimum_classes=1, known=known)
    assert len(take(zipped({"a/1.png": png(1)}), options=options).examples) == 1


def test_each_folder_is_looked_at(take: Take) -> None:
    files: dict[str, bytes] = {}
    for at in range(6):
        files |= {f"a/{at}.png": photograph(at, "PNG"), f"a/{at}_mask.png": drawn(at, "PNG")}
        files |= {f"b/{at}.png": photograph(at + 9, "PNG")}
        files |= {f"b/{at}_mask.png": photograph(at + 20, "PNG")}
    built = take(zipped(files))
    assert Counter(one.label for one in built.examples) == {"a": 6, "b": 12}


def test_what_a_metadata_file_names_is_an_example(take: Take) -> None:
    names = [f"{n}/{i}{end}.png" for n in "ab" for i in range(2) for end in ("", "_mask")]
    rows = "\n".join(["path,label", *(f"{name},{name[0]}" for name in names)])
    files = {name: png(at) for at, name in enumerate(names)}
    assert len(take(zipped({**files, "metadata.csv": rows.encode()})).examples) == 8
