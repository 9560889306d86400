"""Layouts and lists that look like others: what they say is not taken for classes."""

from __future__ import annotations

from collections.abc import Callable

from app.core.errors import HeadstartError
from app.uploads.intake import IntakeOptions
from tests.archives import png, zipped
from tests.unit.app.uploads.intake.conftest import Take
from tests.unit.app.uploads.intake.formats import exports

Refused = Callable[..., HeadstartError]
TRAINED = {f"train/{name}/{at}.png": png(at) for at, name in enumerate(["cat", "dog"] * 3)}
VIA = (
    "filename,file_size,file_attributes,region_count,region_id,region_shape_attributes,"
    "region_attributes\n"
)


def test_a_held_out_folder_without_a_class_is_left_out(take: Take) -> None:
    held = {f"test/images/{at}.png": png(at) for at in range(6, 9)}
    built = take(zipped({**TRAINED, **held}))
    assert {one.label for one in built.examples} == {"cat", "dog"}
    assert {one.split for one in built.examples} == {"train"}
    told = next(one for one in built.problems if "none of the folders in test/" in one.message)
    assert told.excluded
    assert "its 3 file(s)" in told.message


def test_one_of_several_held_out_folders_is_left_out(take: Take) -> None:
    held = {f"val/{name}/{at}.png": png(at) for at, name in enumerate(["Cat", "dog"], 6)}
    built = take(zipped({**TRAINED, **held, "test/unlabelled/9.png": png(9)}))
    assert {one.split for one in built.examples} == {"train", "val"}
    assert "unlabelled" not in {one.label for one in built.examples}


def test_a_class_that_is_never_held_out_is_doubted(take: Take) -> None:
    held = {f"test/{name}/{at}.png": png(at) for at, name in enumerate(["cat", "dog"], 6)}
    built = take(zipped({**TRAINED, **held, "train/unsup/9.png": png(9)}))
    assert [one for one in built.problems if one.code == "labels_doubtful"]
    sure = take(zipped({**TRAINED, **held}))
    assert not [one for one in sure.problems if one.code == "labels_doubtful"]


def test_blanks_around_a_folder_are_no_part_of_its_label(take: Take) -> None:
    held = {f"test/{name}/{at}.png": png(at) for at, name in enumerate([" cat", "dog "], 6)}
    built = take(zipped({**TRAINED, **held}))
    assert {one.label for one in built.examples} == {"cat", "dog"}
    flat = take(zipped({"cat /1.png": png(1), "dog/2.png": png(2)}))
    assert {one.label for one in flat.examples} == {"cat", "dog"}


def test_via_is_told_in_its_csv(refused: Refused) -> None:
    cells = '"{{""type"":""{label}""}}"'
    made = exports.table(f'{{name}},1,"{{{{}}}}",1,0,"{{{{}}}}",{cells}')
    archive = zipped({**exports.pictures("images/"), "via.csv": VIA.encode() + made})
    for columns in ({}, {"label": "region_attributes"}):
        error = refused(archive, options=IntakeOptions(label_mode=None, columns=columns))
        assert "it is VIA's CSV, which is not read: export COCO" in error.message


def test_monai_is_told(refused: Refused) -> None:
    listed = exports.each(lambda at, name, _: {"image": f"imagesTr/{name}", "label": at % 2})
    told = {"labels": {"0": "cat", "1": "dog"}, "training": listed}
    files = {**exports.pictures("imagesTr/"), "dataset.json": exports.as_json(told)}
    error = refused(zipped(files), options=IntakeOptions(label_mode=None))
    assert "MONAI's or nnU-Net's dataset.json, which is not read" in error.message


def test_what_is_in_class_folders_and_not_read_is_said_first(refused: Refused) -> None:
    error = refused(zipped({f"d/{name}/{at}.wav": b"RIFF" for name in "ab" for at in range(3)}))
    assert error.code == "empty_dataset"
    assert error.message.startswith("6 .wav file(s) ignored")


def test_a_flag_that_holds_out_nothing_leaves_splits_to_be_drawn(take: Take) -> None:
    table = exports.table("{name},{label},False", "path,label,is_valid")
    built = take(zipped({**exports.pictures("images/"), "labels.csv": table}))
    assert not built.names_splits
    assert any("yes in `is_valid` is val" in one.message for one in built.problems)
