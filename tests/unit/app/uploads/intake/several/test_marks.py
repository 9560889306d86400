"""Tables of 0 and 1 with other columns beside, and several labels that stand in one text."""

from __future__ import annotations

import io
from collections.abc import Callable

import openpyxl
import pytest

from app.core.errors import HeadstartError
from app.uploads.form import UploadForm
from app.uploads.intake import Built, IntakeOptions
from app.uploads.intake.labels.rules import chosen, joined
from tests.archives import zipped
from tests.unit.app.uploads.intake.conftest import Take

Refused = Callable[..., HeadstartError]
JUDGED = IntakeOptions(label_mode=None)


def names(built: Built) -> list[list[str]]:
    return [list(one.names) for one in built.examples]


def messages(built: Built, code: str) -> list[str]:
    return [one.message for one in built.problems if one.code == code]


class TestOnesAndMinusOnes:
    def table(self, absent: str, columns: int = 3) -> bytes:
        header = ",".join(["text", "toxic", "rude", "spam"][: columns + 1])
        rows = [
            ",".join([f"say {n}", *(("1", absent)[(n >> one) & 1] for one in range(columns))])
            for n in range(16)
        ]
        return "\n".join([header, *rows]).encode()

    @pytest.mark.parametrize("absent", ["-1", "0"])
    def test_they_are_marks(self, take: Take, absent: str) -> None:
        built = take(self.table(absent), "x.csv", options=JUDGED)
        assert names(built) == [
            sorted(one for at, one in enumerate(("toxic", "rude", "spam")) if not (n >> at) & 1)
            for n in range(16)
        ]

    def test_beside_a_zero_minus_one_is_neither(self, refused: Refused) -> None:
        data = self.table("0").replace(b"say 3,0", b"say 3,-1")
        error = refused(data, "x.csv", options=JUDGED)
        assert error.code == "invalid_value"
        assert "'-1', and neither 0 nor 1" in error.message

    def test_two_columns_of_them_are_rather_answers(self, refused: Refused) -> None:
        assert refused(self.table("-1", 2), "x.csv", options=JUDGED).code == "schema_mismatch"


class TestZerosAndOnes:
    @pytest.mark.parametrize("number", ["id", "Unnamed: 0", "index", "tweet_id", ""])
    @pytest.mark.parametrize("marks", [("0", "1"), ("0.0", "1.0"), ("False", "True")])
    def test_a_column_of_numbers_beside_is_no_label(
        self, take: Take, number: str, marks: tuple[str, str]
    ) -> None:
        rows = [f"{n},say {n},{marks[n % 2]},{marks[n % 3 == 0]}" for n in range(12)]
        data = "\n".join([f"{number},comment_text,toxic,rude", *rows]).encode()
        built = take(data, "train.csv", options=JUDGED)
        expected = [["rude"] * (n % 3 == 0) + ["toxic"] * (n % 2) for n in range(12)]
        assert names(built) == expected
        assert any("`toxic`, `rude`" in said for said in messages(built, "column_assumed"))

    def test_a_column_that_counts_under_another_name_is_no_label(self, take: Take) -> None:
        rows = [f"{n},say {n},{n % 2},{n % 3 == 0:d}" for n in range(12)]
        data = "\n".join(["serial,text,toxic,rude", *rows]).encode()
        assert names(take(data, "train.csv", options=JUDGED))[0] == ["rude"]

    def test_a_mark_that_is_none_says_what_to_do(self, refused: Refused) -> None:
        rows = [f"{n},say {n},{[-1, 0, 1][n % 3]},{n % 2}" for n in range(12)]
        data = "\n".join(["id,comment_text,toxic,rude", *rows]).encode()
        error = refused(data, "train.csv", options=JUDGED)
        assert error.code == "invalid_value"
        assert "'-1'" in error.message
        assert "label_columns" in error.message

    @pytest.mark.parametrize("kind", ["csv", "jsonl", "xlsx"])
    def test_the_caller_says_which(self, take: Take, kind: str) -> None:
        options = IntakeOptions(label_mode="multi_label", marks=("toxic", "Rude"))
        header = ["text", "toxic", "rude", "verified"]
        rows = [[f"say {n}", n % 2, int(n % 3 == 0), 1] for n in range(6)]
        built = take(_table(kind, header, rows), f"x.{kind}", options=options)
        assert names(built)[3] == ["rude", "toxic"]
        assert {one["label"] for one in built.classes} == {"rude", "toxic"}

    @pytest.mark.parametrize("kind", ["csv", "jsonl", "xlsx"])
    def test_a_column_without_a_one_is_told(self, take: Take, kind: str) -> None:
        rows = [[f"say {n}", n % 2, int(n % 3 == 0), 0] for n in range(12)]
        header = ["text", "toxic", "rude", "threat"]
        built = take(_table(kind, header, rows), f"x.{kind}", options=JUDGED)
        assert [one.path for one in built.problems if one.code == "empty_class"] == ["threat"]
        assert {one["label"] for one in built.classes} == {"rude", "toxic"}

    def test_a_class_of_another_table_is_one(self, take: Take) -> None:
        train = b"text,a,b\nu,1,0\nv,0,1\nw,1,0\n"
        archive = zipped({"train.csv": train, "test.csv": b"text,a,b\nx,1,0\ny,0,0\n"})
        built = take(archive, options=JUDGED)
        assert messages(built, "empty_class") == []

    def test_a_column_that_is_not_there_is_named(self, refused: Refused) -> None:
        options = IntakeOptions(label_mode="multi_label", marks=("toxik",))
        error = refused(b"text,toxic\na,1\nb,0\n", "x.csv", options=options)
        assert (error.code, error.param) == ("schema_mismatch", "label_columns")
        assert "toxik" in error.message


def _table(kind: str, header: list[str], rows: list[list[object]]) -> bytes:
    if kind == "csv":
        lines = [",".join(map(str, row)) for row in [header, *rows]]
        return "\n".join(lines).encode()
    if kind == "jsonl":
        import json

        return "\n".join(json.dumps(dict(zip(header, row, strict=True))) for row in rows).encode()
    book = openpyxl.Workbook()
    for row in [header, *rows]:
        book.worksheets[0].append(row)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


class TestChoicesInACell:
    CELLS = ("neg", '"{""choices"": [""pos"", ""late""]}"', "pos", "\"{'choices': ['late']}\"")

    def table(self) -> bytes:
        rows = [f"{n},say {n},{cell}" for n, cell in enumerate(self.CELLS * 2)]
        return "\n".join(["id,text,sentiment", *rows]).encode()

    def test_label_studios_choices_are_labels(self, take: Take) -> None:
        built = take(self.table(), "p.csv", options=JUDGED)
        assert names(built)[:4] == [["neg"], ["late", "pos"], ["pos"], ["late"]]

    def test_one_label_is_held_to(self, refused: Refused) -> None:
        error = refused(self.table(), "p.csv", options=IntakeOptions(label_mode="single_label"))
        assert error.code == "several_labels"

    @pytest.mark.parametrize("cell", ['{"choices": 1}', '{"choices": ["a"], "x": 1}', "choices"])
    def test_what_is_no_choice_is_a_label(self, cell: str) -> None:
        assert chosen(cell) is None


class TestTheForm:
    @pytest.mark.parametrize("sent", ["a,b c", ' a , "b c" ', '["a", "b c"]'])
    def test_label_columns_are_listed(self, sent: str) -> None:
        form = UploadForm(label_columns=sent)
        assert form.marks == ("a", "b c")
        assert form.asked_mode == "multi_label"

    @pytest.mark.parametrize("sent", ["a,,b", "a,a", '["a", 1]', "[a"])
    def test_what_is_no_list_is_refused(self, sent: str) -> None:
        with pytest.raises(ValueError, match=r"label_columns|JSON|expected"):
            UploadForm(label_columns=sent)

    def test_one_way_of_saying_labels(self) -> None:
        with pytest.raises(ValueError, match="not both"):
            UploadForm(label_columns="a", label_column="b")

    def test_a_blank_separates(self) -> None:
        assert UploadForm(label_separator=" ").label_separator == " "


class TestJoined:
    @pytest.mark.parametrize("mark", ["|", ", ", ";", " / "])
    def test_labels_made_of_others_are_told(self, take: Take, mark: str) -> None:
        cells = [f"a{mark}b", "a", "b", "c"]
        data = "text,labels\n" + "".join(f'say {n},"{cell}"\n' for n, cell in enumerate(cells))
        built = take(data.encode(), "x.csv", options=JUDGED)
        (said,) = messages(built, "labels_joined")
        assert "label_separator" in said
        assert len(built.classes) == 4

    def test_what_is_parted_is_not_told(self, take: Take) -> None:
        options = IntakeOptions(label_mode="multi_label", label_separator="|")
        built = take(b"text,labels\nw,a|b\nx,a\ny,b\n", "x.csv", options=options)
        assert messages(built, "labels_joined") == []

    @pytest.mark.parametrize(
        "labels",
        [
            {"London, UK", "Paris, FR", "Austin, US"},
            {"card arrival", "card delivery", "lost card", "new card please"},
            {"n/a", "yes", "no"},
            {"C++", "C", "C#"},
            {"New York", "New Jersey", "Ohio"},
        ],
    )
    def test_names_with_marks_in_them_are_names(self, labels: set[str]) -> None:
        assert joined(labels) is None

    def test_parts_of_which_one_is_a_label_are_told_where_no_blank_parts_them(self) -> None:
        assert joined({"bubble", "normal", "bubble,melded wax"}) == (",", ["bubble,melded wax"])
        assert joined({"1", "2", "1,000"}) is None
        assert joined({"London", "Paris", "London, UK"}) is None

    def test_parts_that_come_again_and_again_are_told(self) -> None:
        tags = {f"{a} {b}" for a in ("haze", "clear", "cloudy") for b in "opqrstuvwxyz"}
        assert joined(tags) is not None
        assert joined({f"{a}|{b}" for a in "uvw" for b in "xyz"}) is not None
