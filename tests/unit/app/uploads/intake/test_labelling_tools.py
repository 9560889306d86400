"""What the tools that people label with export."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from app.core.errors import HeadstartError
from app.uploads.intake import Built, IntakeOptions
from tests.archives import png, zipped
from tests.unit.app.uploads.intake.conftest import Take

Refused = Callable[..., HeadstartError]


def found(built: Built) -> dict[str, tuple[str, str]]:
    return {one.path: (one.label, one.split) for one in built.examples}


def labels(built: Built) -> list[str]:
    return [one.label for one in built.examples]


def codes(built: Built) -> list[tuple[str, bool]]:
    return [(one.code, one.excluded) for one in built.problems]


def as_json(value: object) -> bytes:
    return json.dumps(value).encode()


class TestArrays:
    @pytest.mark.parametrize("name", ["x.json", "x"])
    def test_an_array_is_as_good_as_lines(self, take: Take, name: str) -> None:
        data = [{"text": 'a [b] "}', "label": "x"}, {"text": "c", "label": "y"}]
        built = take(json.dumps(data, indent=2).encode("utf-8-sig"), name)
        assert labels(built) == ["x", "y"]
        assert built.examples[1].path == f"{name}:2"

    def test_lines_in_a_json_are_read(self, take: Take) -> None:
        assert labels(take(b'{"text":"a","label":"x"}\n{"text":"b","label":"y"}', "x.json")) == [
            "x",
            "y",
        ]

    def test_archives_of_nothing_but_json_are_read(self, take: Take) -> None:
        rows = [{"text": "a", "label": "x"}, {"text": "b", "label": "y"}]
        test = [{"text": "c", "label": "x"}]
        built = take(zipped({"d/train.json": as_json(rows), "d/test.json": as_json(test)}))
        assert [(one.label, one.split) for one in built.examples] == [
            ("x", "train"),
            ("y", "train"),
            ("x", "test"),
        ]

    @pytest.mark.parametrize(
        ("data", "code", "word"),
        [
            (b'{"data": [{"text": "a", "label": "x"}]}', "schema_mismatch", "nested"),
            (b'{\n "train": [{"text": "a"}]\n}', "schema_mismatch", "nested"),
            (b"[[1, 2], [3, 4]]", "schema_mismatch", "object"),
            (b'[{"text": "a", "label": "x"}', "invalid_json", "x.json"),
            (b'[{"text": "a", "label": "x"}] more', "invalid_json", "follows"),
            (b'[{"text": "a", "label": NaN}]', "invalid_json", "NaN"),
            (b'[{"text": "\\ud800", "label": "x"}]', "invalid_json", "x.json"),
            (b"[" * 100_000, "invalid_json", "x.json"),
            (b'[{"text": "a\xff", "label": "x"}]', "encoding", "UTF-8"),
            (b'[{"text": "' + b"a" * 3_000_000 + b'"}]', "row_too_large", "element 1"),
            (b'"just a text"', "schema_mismatch", "objects"),
        ],
    )
    def test_what_is_not_read_is_said(
        self, refused: Refused, data: bytes, code: str, word: str
    ) -> None:
        error = refused(data, "x.json")
        assert error.code == code
        assert word in error.message
        assert len(error.message) < 300


def task(text: str, *annotations: Mapping[str, Any], **data: str) -> dict[str, Any]:
    return {"id": 1, "data": {"text": text, **data}, "annotations": list(annotations)}


def chosen(*choices: str, name: str = "sentiment", **more: Any) -> dict[str, Any]:
    value = {"from_name": name, "to_name": "text", "type": "choices"}
    result = [{**value, "value": {"choices": list(choices)}}] if choices else []
    return {"was_cancelled": False, "ground_truth": False, "result": result, **more}


class TestLabelStudio:
    def test_choices_are_labels(self, take: Take) -> None:
        data = [task("a", chosen("x")), task("b", chosen("y"), group="g", split="test")]
        data += [task("c", chosen("y"))]
        built = take(as_json(data), "project.json")
        assert labels(built) == ["x", "y", "y"]
        assert (built.examples[1].group, built.examples[1].split) == ("g", "test")
        assert codes(built) == []

    @pytest.mark.parametrize("where", ["data", "meta"])
    @pytest.mark.parametrize("names", [("Group", "SPLIT"), ("patient_id", "subset")])
    def test_groups_and_splits_are_carried_wherever_they_are_noted(
        self, take: Take, where: str, names: tuple[str, str]
    ) -> None:
        splits = ("train", "train", "test")
        for made in ("texts", "pictures"):
            tasks = [task(f"say {at}", chosen("ab"[at % 2])) for at in range(3)]
            for at, one in enumerate(tasks):
                if made == "pictures":
                    one["data"] = {"image": f"/data/upload/{at}.png"}
                one.setdefault(where, {}).update({names[0]: f"g{at // 2}", names[1]: splits[at]})
            pictures = {f"images/{at}.png": png(at) for at in range(3)}
            data = as_json(tasks)
            asked = {} if names[0] == "Group" else {"group": names[0], "split": names[1]}
            upload = (data, "x.json") if made == "texts" else (
                zipped({**pictures, "tasks.json": data}), "x.zip"
            )  # fmt: skip
            built = take(*upload, options=IntakeOptions(columns=asked))
            assert [(one.group, one.split) for one in built.examples] == [
                ("g0", "train"), ("g0", "train"), ("g1", "test"),
            ]  # fmt: skip
            if asked:
                unasked = take(*upload)
                assert not unasked.names_splits
                told = [one.message for one in unasked.problems if one.code == "column_unread"]
                assert any("group_column=patient_id" in one for one in told)
                assert any("`subset`; split_column" in one for one in told)

    def test_what_was_cancelled_or_left_open_is_told(self, take: Take) -> None:
        data = [task("a", chosen("x")), task("b", chosen("y")), task("c"), task("d", chosen())]
        data += [task("e", chosen("y", was_cancelled=True))]
        built = take(as_json(data), "project.json")
        assert labels(built) == ["x", "y"]
        assert codes(built) == [("unlabelled", True)]
        assert "3 task(s)" in built.problems[0].message

    @pytest.mark.parametrize(
        ("more", "counts"),
        [
            ({"reviews": [{"accepted": False}]}, False),
            ({"reviews": [{"accepted": False, "created_at": "1"}, {"accepted": True}]}, False),
            ({"reviews": [{"accepted": False, "id": 1}, {"accepted": True, "id": 2}]}, True),
            ({"last_action": "rejected"}, False),
            ({"last_action": "skipped"}, False),
            ({"skipped": True}, False),
            ({"last_action": "fixed_and_accepted", "reviews": [{"accepted": False}]}, True),
            ({"last_action": None, "reviews": None}, True),
        ],
    )
    def test_what_a_reviewer_rejected_does_not_count(
        self, take: Take, more: dict[str, Any], counts: bool
    ) -> None:
        data = [task("a", chosen("x")), task("b", chosen("y")), task("c", chosen("y", **more))]
        built = take(as_json(data), "project.json")
        assert labels(built) == ["x", "y", "y"][: 2 + counts]
        assert codes(built) == ([] if counts else [("unlabelled", True)])
        again = take(as_json([*data[:2], task("c", chosen("y", **more), chosen("x"))]), "p.json")
        assert labels(again)[2:] == ([] if counts else ["x"])

    @pytest.mark.parametrize("mode", [None, "multi_label"])
    def test_choices_of_passages_are_no_text_s(self, take: Take, mode: Any) -> None:
        marked = chosen("x")
        marked["result"] += [
            {"id": at, "type": "choices", "from_name": "s", "value": {"start": 0, "choices": [at]}}
            for at in ("x", "y")
        ]
        alone = {**marked, "result": marked["result"][1:]}
        data = [task("a", marked), task("b", chosen("y")), task("c", alone)]
        built = take(as_json(data), "p.json", options=IntakeOptions(label_mode=mode))
        assert [one.names for one in built.examples] == [("x",), ("y",)]
        assert [one.message for one in built.problems if "choices of a part" in one.message]

    def test_the_truth_counts_before_the_latest(self, take: Take) -> None:
        first = chosen("x", updated_at="2024-01-01T00:00:00Z")
        then = chosen("y", updated_at="2024-02-01T00:00:00Z")
        true = chosen("z", updated_at="2023-02-01T00:00:00Z", ground_truth=True)
        data = [task("a", first, first), task("b", then, first), task("c", first, true, then)]
        built = take(as_json(data), "project.json")
        assert labels(built) == ["x", "y", "z"]
        assert codes(built) == [("label_conflict", False)] * 2
        assert "1 example(s)" in built.problems[0].message

    def test_several_questions_or_choices_are_asked_about(
        self, take: Take, refused: Refused
    ) -> None:
        both = chosen("x")
        both["result"] += chosen("k", name="topic")["result"]
        data = [task("a", both), task("b", chosen("y"))]
        error = refused(as_json(data), "p.json")
        assert "`sentiment`, `topic`" in error.message
        several = refused(as_json([task("a", chosen("x", "y"))]), "p.json")
        assert (several.code, several.param) == ("several_labels", "p.json:1")
        assert refused(as_json([task("a", chosen("x"), title="t2")] * 2), "p.json").code == (
            "insufficient_classes"
        )
        one = IntakeOptions(columns={"label": "sentiment"})
        assert labels(take(as_json(data), "p.json", options=one)) == ["x", "y"]

    def test_pictures_are_found_by_their_names(self, take: Take, refused: Refused) -> None:
        data = [
            {"data": {"image": "/data/upload/1/ab-cat.png"}, "annotations": [chosen("cat")]},
            {
                "data": {"image": "/data/local-files/?d=x/dog%201.png"},
                "annotations": [chosen("dog")],
            },
        ]
        error = refused(as_json(data), "project.json")
        assert "zip" in error.message
        files = {"images/ab-cat.png": png(1), "images/dog 1.png": png(2)}
        built = take(zipped({**files, "project-1-annotations.json": as_json(data)}))
        assert found(built) == {
            "images/ab-cat.png": ("cat", "train"),
            "images/dog 1.png": ("dog", "train"),
        }


class TestDoccano:
    @pytest.mark.parametrize("key", ["label", "labels"])
    def test_lists_of_one_are_labels(self, take: Take, key: str) -> None:
        lines = [{"id": 1, "text": "a", key: ["x"]}, {"id": 2, "text": "b", key: ["y"]}]
        lines += [{"id": 3, "text": "c", key: []}]
        built = take(b"\n".join(map(as_json, lines)), "all.jsonl")
        assert labels(built) == ["x", "y"]
        assert ("unlabelled", True) in codes(built)

    def test_several_and_passages_are_refused(self, refused: Refused) -> None:
        for label, code in ((["x", "y"], "several_labels"), ([[0, 3, "PER"]], "invalid_value")):
            lines = [{"text": "a", "label": ["x"]}, {"text": "b", "label": label}]
            error = refused(b"\n".join(map(as_json, lines)), "all.jsonl")
            assert (error.code, error.param) == (code, "all.jsonl:2")


def test_what_prodigy_rejected_is_not_learned(take: Take) -> None:
    said = [("a", "x", "accept"), ("b", "y", "reject"), ("c", "y", "accept"), ("d", "x", "ignore")]
    rows = [{"text": text, "label": label, "answer": told} for text, label, told in said]
    built = take(b"\n".join(map(as_json, rows)), "annotations.jsonl")
    assert labels(built) == ["x", "y"]
    assert codes(built) == [("unlabelled", True)]
    assert "2 row(s)" in built.problems[0].message


def test_another_answer_is_a_column_like_any(take: Take) -> None:
    rows = [{"text": "a", "label": "x", "answer": "accepted"}, {"text": "b", "label": "y"}]
    assert labels(take(b"\n".join(map(as_json, rows)), "qa.jsonl")) == ["x", "y"]


def coco(images: dict[str, list[str]], **more: Any) -> bytes:
    names = sorted({name for some in images.values() for name in some})
    listed = [{"id": at, "file_name": name, **more} for at, name in enumerate(images)]
    boxes = [
        {"id": 100 * at + n, "image_id": at, "category_id": names.index(name), "bbox": [0, 0, 1, 1]}
        for at, some in enumerate(images.values())
        for n, name in enumerate(some)
    ]
    categories = [{"id": at, "name": name} for at, name in enumerate(names)]
    return as_json({"info": {}, "images": listed, "annotations": boxes, "categories": categories})


class TestPictureLists:
    def test_coco_beside_its_pictures(self, take: Take) -> None:
        listed = coco({"1.png": ["cat", "cat"], "2.png": ["dog"], "3.png": []})
        files = {f"train/{n}.png": png(n) for n in (1, 2, 3)}
        test = {"valid/9.png": png(9), "valid/_annotations.coco.json": coco({"9.png": ["dog"]})}
        built = take(zipped({**files, "train/_annotations.coco.json": listed, **test}))
        assert found(built) == {
            "train/1.png": ("cat", "train"),
            "train/2.png": ("dog", "train"),
            "valid/9.png": ("dog", "val"),
        }
        assert ("unlabelled", True) in codes(built)

    def test_coco_in_a_folder_of_its_own(self, take: Take) -> None:
        files = {f"train2017/{n}.png": png(n) for n in (1, 2)} | {"val2017/3.png": png(3)}
        lists = {
            "annotations/instances_train2017.json": coco({"1.png": ["cat"], "2.png": ["dog"]}),
            "annotations/instances_val2017.json": coco({"3.png": ["dog"]}),
        }
        assert found(take(zipped({**files, **lists}))) == {
            "train2017/1.png": ("cat", "train"),
            "train2017/2.png": ("dog", "train"),
            "val2017/3.png": ("dog", "val"),
        }

    def test_several_categories_are_refused_by_name(self, refused: Refused) -> None:
        listed = coco({"1.png": ["cat", "dog"], "2.png": ["dog"], "3.png": ["cat", "dog"]})
        files = {f"{n}.png": png(n) for n in (1, 2, 3)}
        error = refused(zipped({**files, "annotations.json": listed}))
        assert error.code == "several_labels"
        assert "1.png (cat, dog); 3.png (cat, dog)" in error.message

    @pytest.mark.parametrize(
        ("listed", "code"),
        [
            (b'{"images": [], "annotations": 5}', "schema_mismatch"),
            (b'{"images": [{"id": 1}], "annotations": []}', "schema_mismatch"),
            (b'{"images": [1], "annotations": []}', "schema_mismatch"),
            (b'{"categories": []}', "schema_mismatch"),
            (b'{"images": [', "invalid_json"),
            (coco({"4.png": ["cat"]}), "schema_mismatch"),
            (
                coco({"1.png": ["cat"]}).replace(b'"category_id": 0', b'"category_id": 7'),
                "schema_mismatch",
            ),
        ],
    )
    def test_bad_coco(self, refused: Refused, listed: bytes, code: str) -> None:
        assert refused(zipped({"1.png": png(1), "annotations.json": listed})).code == code

    def test_one_column_a_class(self, take: Take, refused: Refused) -> None:
        files = {f"train/{n}.png": png(n) for n in (1, 2, 3)}
        table = b"filename, cat, dog\n1.png, 1, 0\n2.png, 0, 1\n3.png, 0, 0\n"
        built = take(zipped({**files, "train/_classes.csv": table}))
        assert found(built) == {"train/1.png": ("cat", "train"), "train/2.png": ("dog", "train")}
        assert ("unlabelled", True) in codes(built)

    def test_several_classes_name_their_rows(self, refused: Refused) -> None:
        files = {f"train/{n}.png": png(n) for n in (1, 2, 3)}
        table = b"filename, cat, dog\n1.png, 1, 1\n2.png, 0, 1\n3.png, 1, 1\n"
        error = refused(zipped({**files, "train/_classes.csv": table}))
        assert error.code == "several_labels"
        assert "2 (cat, dog); 4 (cat, dog)" in error.message
        odd = table.replace(b"2.png, 0, 1", b"2.png, 0, 2")
        assert refused(zipped({**files, "train/_classes.csv": odd})).code == "invalid_value"


def test_label_studios_export_is_known_by_the_name_that_it_gives(take: Take) -> None:
    tasks = [
        {
            "id": at,
            "data": {"image": f"/data/upload/1/{at:08x}-im{at}.png"},
            "annotations": [
                {
                    "was_cancelled": at == 3,
                    "result": [
                        {"type": "choices", "value": {"choices": ["cat" if at % 2 else "dog"]}}
                    ],
                }
            ],
        }
        for at in range(5)
    ]
    pictures = {f"images/{at:08x}-im{at}.png": png(at) for at in range(5)}
    name = "project-1-at-2024-03-05-12-00-1f2e3d4c.json"
    built = take(zipped({name: as_json(tasks), **pictures}))
    assert labels(built) == ["dog", "cat", "dog", "dog"]
    assert ("unlabelled", True) in codes(built)
