"""Tables and lists beside class folders: what they say that the folders do not is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from app.core.errors import HeadstartError
from app.uploads.intake import IntakeOptions
from app.uploads.intake.built import Built
from tests.archives import png, zipped
from tests.unit.app.uploads.intake.conftest import Take

Refused = Callable[..., HeadstartError]
NAMES = [f"{label}/{label}{at}.png" for label in ("hat", "shirt") for at in range(4)]
PICTURES = {name: png(at) for at, name in enumerate(NAMES)}
HELD = [name for name in NAMES if name[-5] == "3"]
TRAINED = [name for name in NAMES if name not in HELD]


def label(name: str) -> str:
    return name.partition("/")[0]


def split(name: str) -> str:
    return "test" if name in HELD else "train"


def rows(header: str, row: str, names: list[str] = NAMES) -> bytes:
    made = [row.format(n=n, l=label(n), s=split(n), p=f"p{NAMES.index(n) // 2}") for n in names]
    return "\n".join([header, *made] if header else made).encode()


def splits(built: Built) -> dict[str, str | None]:
    return {one.path: one.split for one in built.examples}


SAID: Mapping[str, Mapping[str, bytes]] = {
    "a column": {"labels.csv": rows("path,label,split", "{n},{l},{s}")},
    "a column that is taken for it": {"labels.csv": rows("path,label,subset", "{n},{l},{s}")},
    "a column, and numbers of the classes": {
        "labels.csv": rows("path,label,split", "{n},{l},{s}")
        .replace(b",hat,", b",0,")
        .replace(b",shirt,", b",1,")
    },
    "a column without labels": {"splits.csv": rows("path,split", "{n},{s}")},
    "names of tables": {
        "train.csv": rows("path,label", "{n},{l}", TRAINED),
        "test.csv": rows("path,label", "{n},{l}", HELD),
    },
    "the name of one table": {"test.csv": rows("path,label", "{n},{l}", HELD)},
    "a table of all and one that is held out": {
        "labels.csv": rows("path,label", "{n},{l}"),
        "test.csv": rows("path,label", "{n},{l}", HELD),
    },
    "names of lists": {"train.txt": rows("", "{n}", TRAINED), "test.txt": rows("", "{n}", HELD)},
    "the name of one list": {"test.txt": rows("", "{n}", HELD)},
    "names of lists with numbers": {
        name: rows("", "{n} {l}", some).replace(b" hat", b" 0").replace(b" shirt", b" 1")
        for name, some in (("train.txt", TRAINED), ("test.txt", HELD))
    },
}


@pytest.mark.parametrize("lists", SAID.values(), ids=SAID)
def test_splits_are_read(take: Take, lists: Mapping[str, bytes]) -> None:
    built = take(zipped({**PICTURES, **lists}))
    assert {name for name, said in splits(built).items() if said == "test"} == set(HELD)
    assert {one.path: one.label for one in built.examples} == {n: label(n) for n in NAMES}
    assert any("split of" in one.message for one in built.problems)
    assert not any("ignored" in one.message for one in built.problems)


@pytest.mark.parametrize("header", ["path,label,group", "path,label,patient_id", "path,patient_id"])
def test_groups_are_read(take: Take, header: str) -> None:
    row = "{n},{l},{p}" if "label" in header else "{n},{p}"
    asked = {} if "group" in header else {"group": "patient_id"}
    archive = zipped({**PICTURES, "patients.csv": rows(header, row)})
    built = take(archive, options=IntakeOptions(columns=asked))
    groups = {one.path: one.group for one in built.examples}
    assert groups == {name: f"p{at // 2}" for at, name in enumerate(NAMES)}


def test_what_may_be_a_group_is_told(take: Take) -> None:
    table = rows("path,label,patient_id", "{n},{l},{p}")
    built = take(zipped({**PICTURES, "patients.csv": table}))
    assert any(one.code == "column_unread" for one in built.problems)


@pytest.mark.parametrize("role", ["group", "split"])
@pytest.mark.parametrize("lists", [{}, {"labels.csv": rows("path,label", "{n},{l}")}])
def test_a_column_that_no_table_has_is_refused(
    refused: Refused, role: str, lists: Mapping[str, bytes]
) -> None:
    options = IntakeOptions(columns={role: "nowhere"})
    error = refused(zipped({**PICTURES, **lists}), options=options)
    assert (error.code, error.param) == ("schema_mismatch", f"{role}_column")


def test_another_split_than_the_folders_is_refused(refused: Refused) -> None:
    files = {f"{split(name)}/{name}": data for name, data in PICTURES.items()}
    table = rows("path,label,split", "{n},{l},train")
    error = refused(zipped({**files, "labels.csv": table}))
    assert error.code == "ambiguous_layout"
    assert "the split 'train'" in error.message


@pytest.mark.parametrize("names", [("train.csv",), ("test.csv",), ("train.txt",), ("test.txt",)])
def test_names_that_leave_one_side_empty_say_nothing(take: Take, names: tuple[str]) -> None:
    line = ("path,label", "{n},{l}") if names[0].endswith(".csv") else ("", "{n}")
    built = take(zipped({**PICTURES, names[0]: rows(*line)}))
    assert not built.names_splits


def test_pictures_of_two_lists_are_told(take: Take) -> None:
    lists = {"train.txt": rows("", "{n}"), "test.txt": rows("", "{n}", HELD[:1])}
    built = take(zipped({**PICTURES, **lists, "val.txt": rows("", "{n}", HELD[1:2])}))
    assert set(splits(built).values()) == {"train"}
    assert any("2 are named by several, such as hat/" in one.message for one in built.problems)
