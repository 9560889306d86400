"""An object of JSON that says one name twice: no parser's last word is taken in silence."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from app.core.errors import HeadstartError
from app.uploads.intake import IntakeOptions
from tests.archives import zipped
from tests.unit.app.uploads.intake.conftest import Take
from tests.unit.app.uploads.intake.formats import exports
from tests.unit.app.uploads.intake.formats.exports import BOXED, LABELS, WHOLE

Refused = Callable[..., HeadstartError]
JUDGED = IntakeOptions(label_mode=None)
ROWS = [json.dumps({"text": f"text {at}", "label": "ab"[at % 2]}) for at in range(6)]
TWICE = '{"text": "text 6", "label": "a", "label": "b"}'
NESTED = '{"text": "text 6", "label": "a", "meta": {"id": 1, "id": 2}}'
METADATA = [json.dumps({"file_name": name, "label": one}) for name, one in LABELS.items()]


def doubled(told: bytes, first: str, *, again: str) -> bytes:
    """JSON whose first `first` has `again` behind it."""
    assert told.count(first.encode())
    return told.replace(first.encode(), f"{first}, {again}".encode(), 1)


@pytest.mark.parametrize("row", [TWICE, NESTED])
@pytest.mark.parametrize("name", ["x.jsonl", "x.json", "x.ndjson"])
def test_a_row_that_says_a_name_twice_is_refused(refused: Refused, row: str, name: str) -> None:
    error = refused("\n".join([*ROWS, row]).encode(), name)
    assert error.code == "invalid_json"
    assert "row 7" in error.message
    assert "is there twice" in error.message


def test_and_so_is_one_of_a_list(refused: Refused) -> None:
    error = refused(f"[{','.join([*ROWS, TWICE])}]".encode(), "x.json")
    assert error.code == "invalid_json"
    assert 'its element 7: "label" is there twice, as "a" and as "b"' in error.message


def test_what_is_said_twice_and_alike_is_read(take: Take) -> None:
    alike = TWICE.replace('"b"', '"a"')
    assert len(take("\n".join([*ROWS, alike]).encode(), "x.jsonl").examples) == 7
    assert len(take(f"[{','.join([*ROWS, alike])}]".encode(), "x.json").examples) == 7


CASES = {
    "coco": (
        {**exports.pictures(), "x.json": doubled(exports.coco(), '"file_name": "im0.png"',
                                                 again='"file_name": "im1.png"')},
        "file_name",
    ),
    "coco's lists": (
        {**exports.pictures(), "x.json": exports.coco()[:-1] + b', "images": []}'},
        "images",
    ),
    "labelme": (
        {
            **exports.pictures(),
            **exports.stems("", ".json", lambda name, label: doubled(
                exports.labelme(name, label), f'"label": "{label}"', again='"label": "x"')),
        },
        "label",
    ),
    "a file beside each picture": (
        {
            **exports.pictures(),
            **exports.stems("", ".json", lambda _, label: (
                f'{{"label": "{label}", "label": "x"}}'.encode())),
        },
        "label",
    ),
    "metadata": (
        {
            **exports.pictures(),
            "metadata.jsonl": "\n".join(
                [METADATA[0].replace("}", ', "label": "x"}'), *METADATA[1:]]
            ).encode(),
        },
        "label",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("files", "name"), CASES.values(), ids=CASES)
def test_lists_of_pictures_are_held_to_it(
    refused: Refused, files: dict[str, bytes], name: str
) -> None:
    error = refused(zipped(files), options=JUDGED)
    told = " ".join([error.message, *(one["message"] for one in error.extra.get("errors", ()))])
    assert f"{name!r} is there twice" in told.replace('"', "'")


def test_the_exports_of_all_tools_say_each_name_once(take: Take) -> None:
    some = [files for files in (*WHOLE.values(), *BOXED.values())
            if any(path.endswith((".json", ".jsonl")) for path in files)]  # fmt: skip
    for files in some[::4]:
        assert len(take(zipped(files), options=JUDGED).examples) == 6
