"""Masks that lie beside their pictures are no examples of the class."""

from __future__ import annotations

import io
import itertools
import random
from collections import Counter
from collections.abc import Callable

import pytest
from PIL import Image, ImageDraw

from tests.archives import png, zipped
from tests.unit.app.uploads.intake.conftest import Take

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
