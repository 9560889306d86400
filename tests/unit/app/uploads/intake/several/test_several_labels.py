"""Several labels an example, or none, as tables and labelling tools say them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from app.core.errors import HeadstartError
from app.uploads.intake import Built, IntakeOptions
from tests.archives import png, zipped
from tests.unit.app.uploads.intake.conftest import Take

Refused = Callable[..., HeadstartError]
JUDGED = IntakeOptions(label_mode=None)
SEVERAL = IntakeOptions(label_mode="multi_label")


def lines(*rows: Any) -> bytes:
    return b"\n".join(json.dumps(row).encode() for row in rows)


def names(built: Built) -> list[list[str]]:
    return [list(one.names) for one in built.examples]


class TestTables:
    def test_lists_make_a_multi_label_dataset(self, take: Take) -> None:
        rows = [{"text": "a", "labels": ["y", "x", "y"]}, {"text": "b", "labels": []}]
        built = take(lines(*rows, {"text": "c", "labels": ["x"]}), "x.jsonl", options=JUDGED)
        assert built.label_mode == "multi_label"
        assert names(built) == [["x", "y"], [], ["x"]]
        assert built.classes == [{"label": "x", "count": 2}, {"label": "y", "count": 1}]

    def test_one_label_each_stays_single(self, take: Take) -> None:
        rows = [{"text": "a", "label": ["x"]}, {"text": "b", "label": ["y"]}]
        built = take(lines(*rows, {"text": "c", "label": []}), "x.jsonl", options=JUDGED)
        assert built.label_mode == "single_label"
        assert [one.model_dump_json().count("labels") for one in built.examples] == [0, 0]
        assert [(one.code, one.excluded) for one in built.problems] == [("unlabelled", True)]

    def test_what_is_said_to_be_single_is_refused(self, refused: Refused) -> None:
        rows = [{"text": "a", "label": ["x", "y"]}, {"text": "b", "label": ["y"]}]
        single = IntakeOptions(label_mode="single_label")
        assert refused(lines(*rows), "x.jsonl", options=single).code == "several_labels"

    def test_nobody_having_labelled_is_not_belonging_to_none(self, take: Take) -> None:
        rows = [{"text": "a", "labels": ["x"]}, {"text": "b", "labels": None}]
        built = take(lines(*rows, {"text": "c", "labels": []}), "x.jsonl", options=SEVERAL)
        assert names(built) == [["x"], []]
        assert [(one.code, one.excluded) for one in built.problems] == [("unlabelled", True)]

    @pytest.mark.parametrize(
        ("cells", "options"),
        [
            (('"[""x"", ""y""]"', "[]", '"[""y""]"'), JUDGED),
            (("\"['x', 'y']\"", "[]", "['y']"), JUDGED),
            (("x|y", "", "y"), IntakeOptions(label_mode="multi_label", label_separator="|")),
            (
                ("x | y | ", " | ", "y"),
                IntakeOptions(label_mode="multi_label", label_separator="|"),
            ),
        ],
    )
    def test_cells_say_lists(self, take: Take, cells: list[str], options: IntakeOptions) -> None:
        data = "text,labels\n" + "".join(f"t{n},{cell}\n" for n, cell in enumerate(cells))
        assert names(take(data.encode(), "x.csv", options=options)) == [["x", "y"], [], ["y"]]

    def test_a_column_a_class(self, take: Take, refused: Refused) -> None:
        data = b"id,comment,toxic,rude\n7,a,1,1\n8,b,0,1\n9,c,0,0\n"
        odd = refused(data.replace(b"0,1\n", b"2,1\n"), "x.csv", options=JUDGED)
        assert (odd.code, odd.param) == ("invalid_value", "x.csv:3")
        built = take(data, "x.csv", options=JUDGED)
        assert names(built) == [["rude", "toxic"], ["rude"], []]
        assert "column_assumed" in {one.code for one in built.problems}

    def test_passages_and_empty_names_are_refused(self, refused: Refused) -> None:
        for label, code in (([[0, 1, "P"]], "invalid_value"), (["x", ""], "invalid_value")):
            rows = [{"text": "a", "labels": ["x", "y"]}, {"text": "b", "labels": label}]
            assert refused(lines(*rows), "x.jsonl", options=SEVERAL).code == code

    def test_a_label_that_all_have_is_told_and_nothing_else_refused(
        self, take: Take, refused: Refused
    ) -> None:
        alike = [{"text": text, "labels": ["x", "y"]} for text in "ab"]
        error = refused(lines(*alike), "x.jsonl", options=JUDGED)
        assert error.code == "insufficient_classes"
        rows = [{"text": "a", "labels": ["all", "x"]}, {"text": "b", "labels": ["all"]}]
        built = take(lines(*rows), "x.jsonl", options=JUDGED)
        assert ["'all' is on every example" in one.message for one in built.problems] == [True]


class TestPictures:
    def test_roboflow_and_coco(self, take: Take) -> None:
        files = {f"{n}.png": png(n) for n in (1, 2, 3)}
        table = b"filename, cat, dog\n1.png, 1, 1\n2.png, 0, 1\n3.png, 0, 0\n"
        built = take(zipped({**files, "_classes.csv": table}), options=JUDGED)
        assert names(built) == [["cat", "dog"], ["dog"], []]
        boxes = [(0, 0), (0, 1), (1, 1)]
        coco = {
            "images": [{"id": at, "file_name": f"{at + 1}.png"} for at in range(3)],
            "categories": [{"id": 0, "name": "cat"}, {"id": 1, "name": "dog"}],
            "annotations": [
                {"id": n, "image_id": i, "category_id": c} for n, (i, c) in enumerate(boxes)
            ],
        }
        listed = {**files, "_annotations.coco.json": json.dumps(coco).encode()}
        assert names(take(zipped(listed), options=JUDGED)) == [["cat", "dog"], ["dog"], []]

    def test_a_picture_in_several_folders_has_all_their_labels(self, take: Take) -> None:
        files = {"cat/1.png": png(1), "dog/1.png": png(1), "dog/2.png": png(2)}
        built = take(
            zipped({**files, "Negative/3.png": png(3)}),
            options=IntakeOptions(label_mode="multi_label", negative_label="Negative"),
        )
        assert {one.path: list(one.names) for one in built.examples} == {
            "cat/1.png": ["cat", "dog"],
            "dog/2.png": ["dog"],
            "Negative/3.png": [],
        }
        assert any("several class folders" in note for note in built.notes)

    def test_a_negative_has_no_other_label(self, refused: Refused) -> None:
        rows = [{"text": "a", "labels": ["Negative", "x"]}, {"text": "b", "labels": ["x"]}]
        options = IntakeOptions(label_mode="multi_label", negative_label="Negative")
        assert refused(lines(*rows), "x.jsonl", options=options).code == "invalid_value"

    def test_every_label_is_held_out_alike(self, take: Take) -> None:
        rows = [
            {"text": f"t{n}", "labels": ["x"] * (n % 2) + ["y"] * (n % 3 == 0)} for n in range(60)
        ]
        options = IntakeOptions(label_mode="multi_label", test_fraction=0.5)
        built = take(lines(*rows), "x.jsonl", options=options)
        for label in "xy":
            own = [one.split for one in built.examples if label in one.names]
            assert abs(own.count("test") - len(own) / 2) <= 3


def test_choices_of_label_studio(take: Take) -> None:
    def task(text: str, *choices: str) -> dict[str, Any]:
        part = {"from_name": "q", "type": "choices", "value": {"choices": list(choices)}}
        return {"data": {"text": text}, "annotations": [{"result": [part] if choices else []}]}

    data = [
        task("a", "x", "y"),
        task("b", "y"),
        task("c"),
        {"data": {"text": "d"}, "annotations": []},
    ]
    built = take(json.dumps(data).encode(), "p.json", options=JUDGED)
    assert names(built) == [["x", "y"], ["y"], []]
    assert sum(one.excluded for one in built.problems) == 1
