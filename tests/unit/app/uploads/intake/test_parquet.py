"""Parquet as Hugging Face's `datasets` writes it: classes by number, pictures in cells."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from app.core.errors import HeadstartError
from app.uploads.intake import Built, IntakeOptions
from tests.archives import png, zipped
from tests.unit.app.uploads.intake.conftest import Take

pytestmark = pytest.mark.slow

Refused = Callable[..., HeadstartError]


def parquet(
    columns: dict[str, Any], classes: dict[str, list[str]] | None = None, *, listed: bool = False
) -> bytes:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet as writer

    table = pyarrow.table(columns)
    if classes:
        features: dict[str, Any] = {
            name: {"names": names, "_type": "ClassLabel"} for name, names in classes.items()
        }
        if listed:
            features = {
                name: {"feature": one, "_type": "Sequence"} for name, one in features.items()
            }
        told = json.dumps({"info": {"features": features}})
        table = table.replace_schema_metadata({"huggingface": told})
    file = io.BytesIO()
    writer.write_table(table, file)
    return file.getvalue()


def pictures(count: int) -> list[dict[str, Any]]:
    return [{"bytes": png(at), "path": f"{at}.png"} for at in range(count)]


def labels(built: Built) -> list[str]:
    return [one.label for one in built.examples]


def codes(built: Built) -> list[tuple[str, bool]]:
    return [(one.code, one.excluded) for one in built.problems]


def test_classes_have_their_names(take: Take) -> None:
    columns = {"text": ["a", "b", "c"], "label": [0, 1, 1]}
    built = take(parquet(columns, {"label": ["lost", "rate"]}), "x.parquet")
    assert labels(built) == ["lost", "rate", "rate"]
    assert codes(built) == []


def test_a_row_of_no_class_is_left_out_and_one_of_an_unknown_refused(
    take: Take, refused: Refused
) -> None:
    wrong = parquet({"text": ["a", "b"], "label": [0, 2]}, {"label": ["x", "y"]})
    error = refused(wrong, "x.parquet")
    assert (error.code, error.param) == ("invalid_value", "x.parquet:2")
    columns = {"text": ["a", "b", "c", "d"], "label": [0, 1, -1, None]}
    built = take(parquet(columns, {"label": ["x", "y"]}), "x.parquet")
    assert labels(built) == ["x", "y"]
    assert codes(built) == [("unlabelled", True)]


def test_a_list_of_marks_has_the_names_of_the_classes(take: Take) -> None:
    columns = {"text": ["a", "b", "c"], "labels": [[0, 1, 1], [1, 0, 0], [0, 0, 0]]}
    data = parquet(columns, {"labels": ["x", "y", "z"]}, listed=True)
    built = take(data, "x.parquet", options=IntakeOptions(label_mode=None))
    assert [list(one.names) for one in built.examples] == [["y", "z"], ["x"], []]


def test_a_column_that_is_declared_to_be_classes_is_the_label(take: Take, refused: Refused) -> None:
    columns = {"text": ["a", "b"], "fine": [0, 1], "coarse": [1, 0]}
    several = parquet(columns, {"fine": ["x", "y"], "coarse": ["k", "l"]})
    assert "`fine`, `coarse`" in refused(several, "x.parquet").message
    chosen = IntakeOptions(columns={"label": "coarse"})
    assert labels(take(several, "x.parquet", options=chosen)) == ["l", "k"]
    built = take(parquet(columns, {"fine": ["x", "y"]}), "x.parquet")
    assert labels(built) == ["x", "y"]
    assert codes(built) == [("column_assumed", False)]


def test_pictures_are_examples(take: Take) -> None:
    data = parquet({"image": pictures(4), "label": [0, 0, 1, 1]}, {"label": ["cat", "dog"]})
    for name in ("x.parquet", "x"):
        built = take(data, name)
        assert (built.modality, labels(built)) == ("image", ["cat", "cat", "dog", "dog"])
        packed = built.pack_path.read_bytes()
        second = built.examples[1]
        assert packed[second.offset : second.offset + second.length] == png(1)
    assert take(data, "x.parquet", modality="image").modality == "image"


def test_shards_of_pictures_in_an_archive(take: Take) -> None:
    one = parquet({"image": pictures(2), "label": ["cat", "dog"]})
    two = parquet({"image": [{"bytes": png(9), "path": None}], "label": ["cat"]})
    built = take(
        zipped({"data/train-00000-of-00001.parquet": one, "data/test-00000-of-00001.parquet": two})
    )
    assert (built.modality, len(built.examples)) == ("image", 3)


@pytest.mark.parametrize(
    ("cell", "code"),
    [
        ({"bytes": b"no picture", "path": None}, "image_invalid"),
        ({"bytes": None, "path": "elsewhere.png"}, "schema_mismatch"),
        ({"bytes": b"", "path": None}, "image_invalid"),
    ],
)
def test_cells_without_a_picture_are_refused(
    refused: Refused, cell: dict[str, Any], code: str
) -> None:
    data = parquet({"image": [*pictures(1), cell], "label": ["cat", "dog"]})
    error = refused(data, "x.parquet")
    assert (error.code, error.param) == (code, "x.parquet:2")


def test_pictures_are_not_texts(refused: Refused) -> None:
    data = parquet({"image": pictures(2), "label": ["cat", "dog"]})
    assert refused(data, "x.parquet", modality="text").code == "modality_mismatch"


def test_other_columns_may_hold_anything(take: Take) -> None:
    columns = {"text": ["a", "b"], "label": ["x", "y"], "post": [b"1", b"2"], "tags": [[1], []]}
    assert labels(take(parquet(columns), "x.parquet")) == ["x", "y"]


def test_bytes_in_a_column_that_is_called_image_are_pictures(take: Take) -> None:
    data = parquet({"img": [png(1), png(2)], "label": ["cat", "dog"]})
    assert take(data, "x.parquet").modality == "image"


def test_of_several_pictures_the_one_called_so_is_read(take: Take, refused: Refused) -> None:
    columns = {"mask": pictures(2), "depth": pictures(2), "label": ["cat", "dog"]}
    assert "`mask`, `depth`" in refused(parquet(columns), "x.parquet").message
    built = take(parquet({**columns, "Image": pictures(2)}), "x.parquet")
    assert labels(built) == ["cat", "dog"]


def test_lists_of_one_class_have_its_name(take: Take, refused: Refused) -> None:
    columns = {"text": ["a", "b", "c"], "labels": [[0], [1], []]}
    named = {"labels": ["calm", "fear"]}
    several = parquet({**columns, "labels": [[0], [0, 1], [1]]}, named, listed=True)
    error = refused(several, "x.parquet")
    assert (error.code, error.param) == ("several_labels", "x.parquet:2")
    assert "calm, fear" in error.message
    built = take(parquet(columns, named, listed=True), "x.parquet")
    assert labels(built) == ["calm", "fear"]
    assert ("unlabelled", True) in codes(built)


def test_whole_numbers_stay_whole(take: Take) -> None:
    built = take(parquet({"text": ["a", "b"], "label": [1.0, 2.0]}), "x.parquet")
    assert labels(built) == ["1", "2"]


def test_numbers_of_32_bits_are_read_as_they_are_written(take: Take) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    stars = pyarrow.array([0.1, 2.5, 1e-7, 16777216.0, None, 0.0], pyarrow.float32())
    built = take(parquet({"text": list("abcdef"), "label": stars}), "x.parquet")
    assert labels(built) == ["0.1", "2.5", "1e-07", "16777216", "0"]


def cells(values: list[Any], kind: str, zone: str | None = None, *, unit: str = "us") -> Any:
    pyarrow = pytest.importorskip("pyarrow")
    kinds = {
        "timestamp": lambda: pyarrow.timestamp(unit, zone),
        "time": lambda: pyarrow.time64(unit),
        "duration": lambda: pyarrow.duration(unit),
        "date": pyarrow.date32,
    }
    return pyarrow.array(values, kinds[kind]())


SECOND = 10**9


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (("timestamp", None, 60 * SECOND + 1), "1970-01-01T00:01:00.000000001"),
        (("timestamp", None, -1), "1969-12-31T23:59:59.999999999"),
        (("timestamp", None, 60 * SECOND), "1970-01-01T00:01:00"),
        (("timestamp", "UTC", 1001), "1970-01-01T00:00:00.000001001+00:00"),
        (("timestamp", "+02:00", 1), "1970-01-01T02:00:00.000000001+02:00"),
        (("time", None, 60 * SECOND + 7), "00:01:00.000000007"),
    ],
)
def test_nanoseconds_are_read_as_they_are(
    take: Take, values: tuple[str, str | None, int], said: str
) -> None:
    kind, zone, number = values
    column = cells([number, 0, None], kind, zone, unit="ns")
    columns = {"text": ["a", "b", "c"], "label": ["x", "y", "x"], "group": column}
    for encoded in [column] if zone else [column, column.dictionary_encode()]:
        built = take(parquet({**columns, "group": encoded}), "x.parquet")
        assert built.examples[0].group == said
        assert built.examples[2].group is None


UNHELD: list[tuple[tuple[Any, ...], str]] = [
    (("timestamp", None, 2**62), "years 1 to 9999"),
    (("timestamp", None, -(2**62)), "years 1 to 9999"),
    (("timestamp", "Mars/Base", 1), "time zone that is not known"),
    (("timestamp", "+25:00", 1), "time zone that is not known"),
    (("date", None, 2**31 - 1), "years 1 to 9999"),
    (("date", None, -(2**31)), "years 1 to 9999"),
    (("duration", None, 2**62), "a duration"),
]


@pytest.mark.parametrize(("values", "said"), UNHELD)
@pytest.mark.parametrize("role", ["group", "text", "label", "split"])
def test_what_python_cannot_hold_is_refused_where_it_is_needed(
    take: Take, refused: Refused, values: tuple[Any, ...], said: str, role: str
) -> None:
    kind, zone, number = values
    columns: dict[str, Any] = {"text": ["a", "b"], "label": ["x", "y"]}
    wrong = cells([None, number], kind, zone)
    labelled = {**columns, role: wrong}
    if role in columns:
        labelled[role] = cells([number, number], kind, zone)
    error = refused(parquet(labelled), "x.parquet")
    where = "x.parquet:1" if role in columns else "x.parquet:2"
    assert (error.code, error.param) == ("invalid_value", where)
    assert f"`{role}` is " in error.message
    assert said in error.message
    assert "write it as a text" in error.message
    built = take(parquet({**columns, "created_at": wrong, "title": wrong}), "x.parquet")
    assert labels(built) == ["x", "y"]


def test_decimals_keep_all_of_their_digits(take: Take) -> None:
    long = "0.1234567890123456789012345678901234"
    numbers = [Decimal(long + "1"), Decimal(long + "2"), Decimal("1.50")]
    columns = {"text": ["a", "b", "c"], "label": ["x", "y", "x"], "group": numbers}
    built = take(parquet(columns), "x.parquet")
    assert [one.group for one in built.examples] == [long + "1", long + "2", "1.5"]


def test_nested_cells_that_python_cannot_hold_are_refused(refused: Refused) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    far = pyarrow.array([[2**62], []], pyarrow.list_(pyarrow.timestamp("us")))
    data = parquet({"text": ["a", "b"], "label": ["x", "y"], "group": far})
    assert (refused(data, "x.parquet").code) == "invalid_value"


def test_what_nobody_has_foreseen_is_a_refusal(refused: Refused) -> None:
    columns = {"text": ["a", "b"], "label": [0, 1]}
    no_names: Any = {"label": 7}
    error = refused(parquet(columns, no_names), "x.parquet")
    assert (error.code, error.param) == ("archive_corrupt", "x.parquet")
    assert "write it anew, or save it as CSV UTF-8" in error.message
