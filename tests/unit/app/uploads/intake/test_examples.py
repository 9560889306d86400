"""Images on their way in: layouts, metadata, headers, labels, doubles and splits."""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from app.core.errors import HeadstartError
from app.core.manifest import example_id
from app.uploads.intake import IntakeOptions, Limits
from app.uploads.intake.built import Built
from tests.archives import folders, gif, picture, png, png_header, zipped
from tests.unit.app.uploads.intake.conftest import Take


def picture_of_pages(kind: str, pages: int) -> bytes:
    out = io.BytesIO()
    first, *rest = (Image.new("RGB", (9, 7), (at, 0, 0)) for at in range(pages))
    first.save(out, kind, save_all=True, append_images=rest)
    return out.getvalue()


Refused = Callable[..., HeadstartError]


def rows(built: Built) -> dict[str, tuple[str, str]]:
    return {one.path: (one.label, one.split) for one in built.examples}


def problems(built: Built) -> list[tuple[str, str | None, bool]]:
    return [(one.code, one.path, one.excluded) for one in built.problems]


def test_examples_name_their_bytes(take: Take) -> None:
    members = folders({"b": 2, "a": 2})
    built = take(zipped(members))
    packed = built.pack_path.read_bytes()
    named = b"".join(bytes.fromhex(one.sha256) for one in built.examples) + packed[-16:]
    assert built.pack_sha256 == hashlib.sha256(named).hexdigest()
    assert built.modality == "image"
    for one in built.examples:
        content = packed[one.offset : one.offset + one.length]
        assert content == members[one.path]
        assert one.sha256 == hashlib.sha256(content).hexdigest()
        assert one.pack == built.pack_sha256
        assert one.id == example_id(sha256=one.sha256, path=one.path)


def test_no_two_packs_have_one_name(take: Take) -> None:
    first, second = take(zipped(folders({"a": 1, "b": 1}))), take(zipped(folders({"a": 1, "b": 1})))
    assert first.pack_sha256 != second.pack_sha256
    assert first.pack_path.read_bytes()[:-16] == second.pack_path.read_bytes()[:-16]


@pytest.mark.parametrize("wrapper", ["", "data/", "train set/"])
def test_a_wrapper_folder_is_looked_through(take: Take, wrapper: str) -> None:
    built = take(zipped({wrapper + name: data for name, data in folders({"a": 1, "b": 1}).items()}))
    assert rows(built) == {"a/0000.png": ("a", "train"), "b/0001.png": ("b", "train")}


def test_top_level_splits(take: Take) -> None:
    names = ["train/a/1", "train/b/2", "VAL/a/3", "test/b/sub/4"]
    built = take(zipped({f"w/{name}.png": png(at) for at, name in enumerate(names)}))
    assert list(rows(built).values()) == [
        ("a", "train"),
        ("b", "train"),
        ("a", "val"),
        ("b", "test"),
    ]


def test_only_one_class_is_no_wrapper(refused: Refused) -> None:
    error = refused(zipped(folders({"cats": 3})))
    assert (error.code, "found: cats" in error.message) == ("insufficient_classes", True)


def test_one_class_is_enough_for_appending(take: Take) -> None:
    assert take(zipped(folders({"cats": 3})), options=IntakeOptions(minimum_classes=1)).classes == [
        {"label": "cats", "count": 3}
    ]


def test_held_out_examples_may_be_appended(take: Take) -> None:
    built = take(zipped({"test/cats/1.png": png(1)}), options=IntakeOptions(minimum_classes=1))
    assert [(one.label, one.split) for one in built.examples] == [("cats", "test")]


def test_classes_must_have_something_to_train_on(refused: Refused) -> None:
    held = {f"test/{name}": data for name, data in folders({"a": 1, "b": 1}).items()}
    assert refused(zipped(held)).code == "insufficient_classes"


def test_what_is_ignored_is_said(take: Take) -> None:
    extra = {
        "README.md": b"x",
        "a/notes.txt": b"x",
        "b/notes.txt": b"x",
        "1.png": png(99),
        "__MACOSX/a/._0.png": b"x",
        "a/.DS_Store": b"x",
    }
    built = take(zipped({**folders({"a": 1, "b": 1}), **extra}))
    assert sorted(problems(built), key=str) == [
        ("invalid_value", "1.png", True),
        ("unsupported_member", "README.md", True),
        ("unsupported_member", "__MACOSX/a/._0.png", True),
        ("unsupported_member", "a/notes.txt", True),
    ]
    assert "2 .txt file(s) ignored" in str(built.problems)


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        ("a/x.png", png_header(12_000, 12_000), "image_too_large"),
        ("a/x.png", png_header(20_000, 20_000), "image_too_large"),
        ("a/x.png", png_header(1, 60_000), "image_dimensions"),
        ("a/x.gif", gif(10_000), "too_many_frames"),
        ("a/x.png", b"", "image_invalid"),
        ("a/x.png", bytes(2000), "image_invalid"),
        ("a/x.jpg", picture("JPEG")[:40], "image_truncated"),
        ("a/x.png", b"%!PS-Adobe-3.0 EPSF-3.0\n", "unsupported_image_format"),
        ("a/x.png", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "unsupported_image_format"),
        ("a/x.png", picture("TIFF"), "unsupported_image_format"),
    ],
)
def test_bad_images(refused: Refused, name: str, data: bytes, expected: str) -> None:
    error = refused(zipped({**folders({"a": 1, "b": 1}), name: data}))
    assert (error.code, error.param) == (expected, name)


def test_what_is_not_read_and_says_so_is_left_out(take: Take) -> None:
    beside = {"a/x.svg": b"<svg/>", "a/y.ico": png(1), "b/z.jxl": b"\xff\x0a", "b/r.nef": b"MM\0*"}
    built = take(zipped({**folders({"a": 1, "b": 1}), **beside}))
    assert len(built.examples) == 2
    assert sorted(problems(built)) == [
        ("unsupported_image_format", name, True) for name in sorted(beside)
    ]


def test_nothing_but_what_is_not_read_is_refused_and_listed(refused: Refused) -> None:
    error = refused(zipped({"a/x.svg": b"<svg/>", "b/y.svg": b"<svg/>"}))
    assert [(one["code"], one["param"]) for one in error.extra["errors"]] == [
        ("empty_dataset", None),
        ("unsupported_image_format", "a/x.svg"),
        ("unsupported_image_format", "b/y.svg"),
    ]


def test_all_bad_images_are_listed(refused: Refused) -> None:
    bad = {"a/x.png": b"", "b/y.jpg": picture("JPEG")[:40], "b/z.png": b"<svg/>"}
    error = refused(zipped({**folders({"a": 1, "b": 1}), **bad}))
    assert [(one["code"], one["param"]) for one in error.extra["errors"]] == [
        ("image_invalid", "a/x.png"),
        ("image_truncated", "b/y.jpg"),
        ("unsupported_image_format", "b/z.png"),
    ]


def test_what_left_too_little_is_listed(refused: Refused) -> None:
    error = refused(zipped({"cats/1.png": png(1), "2.png": png(2), "notes.md": b"x"}))
    assert [(one["code"], one["param"]) for one in error.extra["errors"]] == [
        ("insufficient_classes", None),
        ("invalid_value", "2.png"),
        ("unsupported_member", "notes.md"),
    ]


@pytest.mark.parametrize(
    ("data", "name", "what"),
    [
        (picture_of_pages("TIFF", 5), "a/stack.tif", "has 5 pages"),
        (gif(3), "a/moving.gif", "has 3 frames"),
    ],
)
def test_further_pages_are_a_problem(take: Take, data: bytes, name: str, what: str) -> None:
    built = take(zipped({**folders({"a": 1, "b": 1}), name: data}))
    (problem,) = built.problems
    assert (problem.code, problem.path, problem.excluded) == ("further_frames", name, False)
    assert problem.message == f"{name} {what}, the first is used"
    assert problem.example_id in {one.id for one in built.examples}


def test_a_member_too_large_to_hold(refused: Refused) -> None:
    small = IntakeOptions(limits=Limits(member_bytes=1000))
    error = refused(zipped({"a/1.png": png(1), "b/1.png": bytes(2000)}), options=small)
    assert (error.code, error.param) == ("image_too_large", "b/1.png")


def test_every_format_and_mode_is_taken(take: Take) -> None:
    members = {"a/plain.png": png(1), "b/jpeg.png": picture("JPEG"), "b/none": picture("WEBP")}
    for kind, mode, end in (
        ("JPEG", "CMYK", "jpg"),
        ("PNG", "I;16", "png"),
        ("PNG", "P", "PNG"),
        ("PNG", "RGBA", "png"),
        ("TIFF", "CMYK", "tif"),
        ("BMP", "RGB", "bmp"),
        ("GIF", "P", "gif"),
    ):
        members[f"a/{kind}-{mode}.{end}"] = picture(kind, mode=mode)
    built = take(zipped(members))
    assert len(built.examples) == len(members)
    assert built.problems == []


def test_labels_too_long(refused: Refused) -> None:
    error = refused(zipped({"a/1.png": png(1), "b" * 10_000 + "/1.png": png(2)}))
    assert error.code == "label_too_long"
    assert len(error.message) < 200


def test_labels_of_spaces_only(refused: Refused) -> None:
    assert refused(zipped({"a/1.png": png(1), " /1.png": png(2)})).code == "invalid_value"


def test_labels_that_look_alike_are_a_warning(take: Take) -> None:
    names = ["Cat/1", "cat/2", "c at/3", "dog/4"]
    built = take(zipped({f"{name}.png": png(at) for at, name in enumerate(names)}))
    assert problems(built) == [("label_collision", None, False)]
    assert all(name in built.problems[0].message for name in ("'Cat'", "'cat'", "'c at'"))
    assert len(built.classes) == 4


def test_doubles(take: Take) -> None:
    members = {
        "train/a/1.png": png(1),
        "train/a/2.png": png(1),
        "train/b/3.png": png(3),
        "train/b/4.png": png(4),
        "train/a/5.png": png(4),
        "test/a/6.png": png(1),
        "test/b/7.png": png(7),
    }
    built = take(zipped(members))
    assert sorted(problems(built)) == [
        ("duplicate_across_splits", "test/a/6.png", True),
        ("duplicate_example", "train/a/2.png", False),
        ("label_conflict", "train/a/5.png", True),
        ("label_conflict", "train/b/4.png", True),
    ]
    assert built.classes == [{"label": "a", "count": 2}, {"label": "b", "count": 2}]
    assert built.pack_path.stat().st_size == sum(len(png(at)) for at in (1, 3, 4, 7)) + 16
    named = {one.id: one.path for one in built.examples}
    assert all(named[one.example_id] == one.path for one in built.problems if one.example_id)


def test_nothing_left_after_contradictions(refused: Refused) -> None:
    assert refused(zipped({"a/1.png": png(1), "b/1.png": png(1)})).code == "empty_dataset"


def test_drawn_splits_keep_copies_together(take: Take) -> None:
    members = folders({"a": 20, "b": 20}) | {f"a/copy{at}.png": png(1) for at in range(3)}
    options = IntakeOptions(val_fraction=0.2, test_fraction=0.2, seed=3)
    built = take(zipped(members), options=options)
    first = {one.path: one.split for one in built.examples}
    assert len({first[path] for path in ("a/0000.png", "a/copy0.png", "a/copy2.png")}) == 1
    counts = [sum(split == name for split in first.values()) for name in ("train", "val", "test")]
    assert counts[0] + counts[1] + counts[2] == 43
    assert all(7 <= count <= 11 for count in counts[1:])
    again = take(zipped(dict(reversed(members.items()))), options=options)
    assert {one.path: one.split for one in again.examples} == first


def test_asking_for_the_other_modality(refused: Refused) -> None:
    assert refused(zipped(folders({"a": 1, "b": 1})), modality="text").code == "modality_mismatch"
    assert refused(b"text,label\nx,y\n", "x.csv", modality="image").code == "modality_mismatch"
    assert refused(b"text,label\nx,y\n", "x.csv", modality="sound").code == "invalid_value"


FULL_DISK = """
import resource, sys
from pathlib import Path
from app.core.errors import HeadstartError
from app.uploads.intake import build
upload, staging = map(Path, sys.argv[1:])
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
try:
    build(upload, filename="x.zip", staging=staging)
except HeadstartError as error:
    print(error.code)
"""


def test_no_space_left(tmp_path: Path, staging: Path) -> None:
    upload = tmp_path / "x.zip"
    upload.write_bytes(zipped(folders({"a": 9, "b": 9})))
    command = [sys.executable, "-c", FULL_DISK, str(upload), str(staging)]
    said = subprocess.run(command, capture_output=True, text=True, check=True)
    assert said.stdout == "storage_full\n"
    assert list(staging.iterdir()) == []


def test_importing_the_intake_loads_no_heavy_library() -> None:
    code = "import app.uploads.intake, sys; print(*sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "numpy", "PIL", "pyarrow"} & set(said.stdout.split())


def test_real_folders(take: Take, shared_data: Path) -> None:
    members = {}
    for split in ("train", "test"):
        for path in sorted((shared_data / "clothing" / split).glob("*/*"))[::20]:
            members[f"clothing/{split}/{path.parent.name}/{path.name}"] = path.read_bytes()
    built = take(zipped(members, method=0))
    assert len(built.examples) == len(members)
    assert built.modality == "image"
