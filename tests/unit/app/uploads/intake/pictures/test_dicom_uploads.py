"""DICOM uploads: a patient's pictures are one group, and nothing says whose they are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from app.core.errors import HeadstartError
from app.uploads.intake import Built, IntakeOptions
from app.uploads.intake.limits import Limits
from tests.archives import png, zipped
from tests.unit.dicoms import CANARY, RLE, dicom, grey

Take = Callable[..., Built]
KEY = "0" * 64


def files(*, patients: int = 2, **told: Any) -> dict[str, bytes]:
    """Two classes of three pictures, of so many patients in turn; names without an extension."""
    return {
        f"{label}/IM{at:04}": dicom(
            grey(top=3000 + 100 * at + len(label)), PatientID=f"{CANARY}-{at % patients}", **told
        )
        for label in ("ok", "ill")
        for at in range(3)
    }


def keyed(**more: Any) -> IntakeOptions:
    return IntakeOptions(pseudonym_key=lambda: KEY, **more)


def test_patients_are_groups_that_name_nobody(take: Take) -> None:
    built = take(zipped(files()), options=keyed())
    groups = {one.path: one.group for one in built.examples}
    assert len(built.examples) == 6
    assert groups["ok/IM0000"] == groups["ill/IM0002"] != groups["ok/IM0001"]
    assert "2 patients" in str([one.message for one in built.problems])
    assert CANARY not in str(built.examples) + str(built.problems)


def test_the_pack_holds_pixels_and_no_patient(take: Take) -> None:
    for told in ({}, {"syntax": RLE}):
        built = take(zipped(files(**told)), options=keyed())
        assert CANARY.encode() not in Path(built.pack_path).read_bytes()


def test_inputs_that_are_only_predicted_hold_no_patient_either(take: Take) -> None:
    built = take(zipped(files()), options=keyed(labelled=False))
    assert CANARY.encode() not in Path(built.pack_path).read_bytes()
    assert not built.problems


def test_a_patient_has_one_name_in_all_uploads_of_an_organisation(take: Take) -> None:
    first, second = (take(zipped(files()), options=keyed()) for _ in range(2))
    assert [one.group for one in first.examples] == [one.group for one in second.examples]
    other = take(zipped(files()), options=IntakeOptions())
    assert {one.group for one in other.examples}.isdisjoint(one.group for one in first.examples)


def test_a_group_that_is_said_counts(take: Take) -> None:
    rows = "".join(f"{path},{path[:2]},mine\n" for path in files())
    built = take(zipped({"metadata.csv": f"path,label,group\n{rows}".encode(), **files()}))
    assert {one.group for one in built.examples} == {"mine"}


def test_one_patient_alone_makes_no_group_of_a_dataset(take: Take) -> None:
    built = take(zipped(files(patients=1)), options=keyed())
    assert {one.group for one in built.examples} == {None}
    appended = take(zipped(files(patients=1)), options=keyed(minimum_classes=1))
    assert len({one.group for one in appended.examples}) == 1
    assert None not in {one.group for one in appended.examples}


def test_ids_that_were_taken_out_are_nobodys(take: Take) -> None:
    named = {f"a/{at}.dcm": dicom(grey(top=900 + at), PatientID="ANONYMIZED") for at in range(2)}
    named |= {f"b/{at}.dcm": dicom(grey(top=990 + at), PatientID=f"p{at}") for at in range(2)}
    built = take(zipped(named))
    assert [one.group is None for one in built.examples] == [True, True, False, False]


def test_a_directory_beside_the_pictures_is_left_out(take: Take) -> None:
    directory = bytes(128) + b"DICM" + dicom(grey())[132:330]
    built = take(zipped({**files(), "ok/DICOMDIR": directory[:300]}))
    (left_out,) = [one for one in built.problems if one.excluded]
    assert left_out.path == "ok/DICOMDIR"


def test_a_picture_cut_short_is_told(refused: Callable[..., HeadstartError]) -> None:
    error = refused(zipped({**files(), "ok/cut.dcm": dicom(grey())[:-200]}))
    assert (error.code, error.param) == ("image_truncated", "ok/cut.dcm")


def test_a_picture_among_others_may_be_a_dicom(take: Take) -> None:
    built = take(zipped({"a/1.png": png(1), "b/2.dcm": dicom(grey())}))
    assert len(built.examples) == 2
    assert Limits().member_bytes > built.examples[1].length
