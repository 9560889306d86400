"""What people bring from other tools is read as it is meant, or told by name: never left aside."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
from PIL import Image

from app.core.errors import HeadstartError
from app.uploads.intake import Built, IntakeOptions
from tests.archives import png, tarred, zipped
from tests.unit.app.uploads.intake.conftest import Take
from tests.unit.app.uploads.intake.formats import exports
from tests.unit.app.uploads.intake.formats.exports import BOXED, LABELS, SIDES, WHOLE, Files
from tests.unit.app.uploads.intake.formats.unread import UNREAD

pytestmark = pytest.mark.slow

Refused = Callable[..., HeadstartError]
JUDGED = IntakeOptions(label_mode=None)


def labels(built: Built) -> dict[str, str]:
    return {one.path.rpartition("/")[2].rpartition("-")[2]: one.label for one in built.examples}


@pytest.mark.parametrize("files", WHOLE.values(), ids=WHOLE)
@pytest.mark.parametrize("wrapper", ["", "my project/"])
def test_one_class_a_picture_is_read(take: Take, files: Files, wrapper: str) -> None:
    built = take(zipped({f"{wrapper}{path}": data for path, data in files.items()}), options=JUDGED)
    assert labels(built) == LABELS
    assert built.label_mode == "single_label"
    assert {one.split for one in built.examples} == {"train"}


@pytest.mark.parametrize("files", BOXED.values(), ids=BOXED)
def test_a_box_names_the_class_of_its_picture(take: Take, files: Files) -> None:
    assert labels(take(zipped(files), options=JUDGED)) == LABELS


@pytest.mark.parametrize("files", BOXED.values(), ids=BOXED)
def test_boxes_are_cut_out(take: Take, files: Files) -> None:
    built = take(zipped(files), options=IntakeOptions(label_mode=None, crops=True))
    assert [one.label for one in built.examples] == list(LABELS.values())
    packed = built.pack_path.read_bytes()
    for one in built.examples:
        cut = Image.open(io.BytesIO(packed[one.offset : one.offset + one.length]))
        assert cut.size == (10, 8)
        assert one.group is not None
        assert "#" in one.path


@pytest.mark.parametrize(("files", "word"), UNREAD.values(), ids=UNREAD)
def test_what_is_not_read_is_told_by_name(refused: Refused, files: Files, word: str) -> None:
    error = refused(zipped(files), options=JUDGED)
    assert error.code in ("ambiguous_layout", "schema_mismatch")
    assert word in error.message


BESIDE = {name: files for name, files in (WHOLE | BOXED).items() if "imagefolder" not in name}


@pytest.mark.parametrize("files", BESIDE.values(), ids=BESIDE)
def test_folders_that_say_the_same_are_read(take: Take, files: Files) -> None:
    """Whatever lies beside them: the lists agree with the folders, or are not asked."""
    moved = {
        (f"{LABELS[name]}/{name}" if (name := path.rpartition("/")[2]) in LABELS else path): data
        for path, data in files.items()
        if "8fa61730" not in path
    }
    built = take(zipped(moved), options=JUDGED) if len(moved) > 5 else None
    assert built is None or labels(built) == LABELS


def test_shards_are_tars(take: Take) -> None:
    assert labels(take(tarred(dict(WHOLE["webdataset"])), "shard-000.tar")) == LABELS


def test_several_boxes_are_several_labels(take: Take, refused: Refused) -> None:
    both = exports.cvat('<tag label="{label}"/><tag label="cat"/>')
    archive = zipped({**exports.pictures("images/"), "annotations.xml": both})
    built = take(archive, options=JUDGED)
    assert built.label_mode == "multi_label"
    assert {one.names for one in built.examples} == {("cat",), ("cat", "dog")}


def test_one_label_a_picture_is_held_to(refused: Refused) -> None:
    both = exports.cvat('<tag label="{label}"/><tag label="cat"/>')
    archive = zipped({**exports.pictures("images/"), "annotations.xml": both})
    error = refused(archive, options=IntakeOptions(label_mode="single_label"))
    assert error.code == "several_labels"
    assert "im1.png (cat, dog)" in error.message


def test_splits_of_folders_and_subsets_count(take: Take) -> None:
    files = {**BOXED["yolo"], "val/images/im9.png": exports.picture("im9.png")}
    files["val/labels/im9.txt"] = exports.yolo("cat")
    built = take(zipped(files), options=JUDGED)
    assert {one.path: one.split for one in built.examples}["val/images/im9.png"] == "val"
    tagged = exports.cvat('<tag label="{label}"/>', subset='subset="Test"')
    image = b'<image id="9" name="im9.png" subset="Train"><tag label="cat"/></image>'
    image += image.replace(b"im9", b"im8").replace(b"cat", b"dog")
    listed = tagged.replace(b"</annotations>", image + b"</annotations>")
    more = {f"images/im{n}.png": exports.picture(f"im{n}.png") for n in (8, 9)}
    archive = zipped({**exports.pictures("images/"), **more, "annotations.xml": listed})
    splits = {one.path: one.split for one in take(archive, options=JUDGED).examples}
    assert splits["images/im0.png"] == "test"
    assert splits["images/im9.png"] == "train"


def test_boxes_that_folders_know_nothing_of_are_told(take: Take) -> None:
    files = {f"{n % 2}_kind/im{n}.png": exports.picture(f"im{n}.png") for n in range(6)}
    boxes = exports.stems("labels/", ".txt", lambda _, label: exports.yolo("cat"))
    archive = zipped({**files, **boxes, "classes.txt": b"cat\ndog\n"})
    built = take(archive, options=JUDGED)
    assert {one.label for one in built.examples} == {"0_kind", "1_kind"}
    assert any("boxes=crops" in one.message for one in built.problems)


def test_numbers_without_names_are_told(take: Take) -> None:
    files = {path: data for path, data in BOXED["yolo"].items() if path != "data.yaml"}
    built = take(zipped(files), options=JUDGED)
    assert {one.label for one in built.examples} == {"0", "1"}
    assert any(
        one.code == "labels_doubtful" and "data.yaml" in one.message for one in built.problems
    )


def test_a_picture_without_a_label_is_counted(take: Take) -> None:
    listed = exports.cvat('<tag label="{label}"/>').replace(
        b"</annotations>", b'<image id="9" name="im9.png"></image></annotations>'
    )
    files = {**exports.pictures("images/"), "images/im9.png": exports.picture("im9.png")}
    built = take(zipped({**files, "annotations.xml": listed}), options=JUDGED)
    assert len(built.examples) == 6
    assert ("unlabelled", True) in [(one.code, one.excluded) for one in built.problems]


def test_pictures_that_are_missing_are_named(refused: Refused) -> None:
    files = {path: data for path, data in WHOLE["cvat, tags"].items() if "im3" not in path}
    error = refused(zipped(files), options=JUDGED)
    assert error.code == "schema_mismatch"
    assert "im3.png is not in the archive" in error.message


@pytest.mark.parametrize("side", SIDES)
def test_the_pictures_have_their_sides(side: int) -> None:
    assert side in Image.open(io.BytesIO(exports.picture("im1.png"))).size


@pytest.mark.parametrize("kind", ["HEIF", "AVIF", "JPEG"])
def test_boxes_are_cut_out_of_what_telephones_take(take: Take, kind: str) -> None:
    if kind == "HEIF":
        pytest.importorskip("pillow_heif").register_heif_opener()
    suffix = {"HEIF": "heic"}.get(kind, kind.lower())
    out = {}
    for name in LABELS:
        picture, file = Image.new("RGB", (80, 40), (int(name[2]) * 20, 0, 0)), io.BytesIO()
        picture.save(file, kind)
        out[f"images/{name[:3]}.{suffix}"] = file.getvalue()
    rows = [f"{path},{LABELS[path[7:10] + '.png']},8,4,48,36" for path in out]
    listed = "\n".join(["filename,class,xmin,ymin,xmax,ymax", *rows]).encode()
    built = take(zipped({**out, "boxes.csv": listed}), options=IntakeOptions(crops=True))
    assert [one.label for one in built.examples] == list(LABELS.values())
    packed = built.pack_path.read_bytes()
    one = built.examples[0]
    assert Image.open(io.BytesIO(packed[one.offset : one.offset + one.length])).size == (40, 32)


def test_numbers_of_categories_may_be_texts(take: Take) -> None:
    listed = BOXED["coco"]["result.json"]
    for at in range(2):
        listed = listed.replace(f'"category_id": {at}'.encode(), f'"category_id": "{at}"'.encode())
    assert labels(take(zipped({**BOXED["coco"], "result.json": listed}))) == LABELS


HOSTILE = {
    "sides without end": exports.cvat('<tag label="{label}"/>').replace(
        b'width="20"', b'width="' + b"9" * 400 + b'"'
    ),
    "places that are no numbers": exports.cvat(exports.BOX.replace('xtl="2"', 'xtl="nan"')),
    "places far away": exports.cvat(exports.BOX.replace('xtl="2"', 'xtl="-1e308"')),
    "no places": exports.cvat('<box label="{label}"/>'),
    "no XML": b"<annotations><image",
    "no end": exports.cvat('<tag label="{label}"/>')[:-20],
    "utf-16": exports.cvat('<tag label="{label}"/>').decode().encode("utf-16"),
}


def labels_or_code(take: Take, archive: bytes, *, crops: bool = False) -> set[str] | str:
    """The labels that are read, or the code of the refusal."""
    try:
        built = take(archive, options=IntakeOptions(label_mode=None, crops=crops))
    except HeadstartError as error:
        return error.code
    return set(labels(built).values())


TOLD = ("schema_mismatch", "ambiguous_layout", "insufficient_classes", "encoding", "invalid_value")


@pytest.mark.parametrize("listed", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("crops", [False, True])
def test_hostile_xml_is_refused_or_read(take: Take, listed: bytes, crops: bool) -> None:
    archive = zipped({**exports.pictures("images/"), "annotations.xml": listed})
    assert labels_or_code(take, archive, crops=crops) in ({"cat", "dog"}, *TOLD)


ODD = (
    b"im0.png,cat\rim1.png,dog\r",
    b'"im0.png,cat\n',
    b"\xff\xfe\x00im0.png",
    b"im0.png\0,cat\n",
    b"filename,class,xmin,ymin,xmax,ymax\nim0.png,cat,1e999,nan,x,\n",
    b"names: [" * 5000,
)


@pytest.mark.parametrize("name", ["labels.csv", "train.txt", "boxes.csv", "train.lst", "data.yaml"])
@pytest.mark.parametrize("data", ODD)
def test_odd_lists_are_refused_or_read(take: Take, name: str, data: bytes) -> None:
    archive = zipped({**exports.pictures("images/"), name: data})
    assert labels_or_code(take, archive) in ({"cat", "dog"}, *TOLD)


def test_many_pictures_of_one_name_are_told_apart_by_their_folders(take: Take) -> None:
    files = {f"scan_{n}/image.png": png(n) for n in range(1200)}
    rows = "".join(f"s3://b/scan_{n}/image.png,{'ab'[n % 2]}\n" for n in range(1200))
    built = take(zipped({**files, "import.csv": rows.encode()}), options=JUDGED)
    assert {one.label for one in built.examples if one.path == "scan_7/image.png"} == {"b"}
    assert len(built.examples) == 1200
