"""What nobody has labelled, under the names that people and their tools give it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pytest

from app.uploads.intake import Built, IntakeOptions
from tests.archives import png, zipped
from tests.unit.app.uploads.intake.conftest import Take


def folders(labels: Sequence[str]) -> tuple[bytes, str]:
    return zipped({f"{label}/{at}.png": png(at) for at, label in enumerate(labels)}), "x.zip"


def table(labels: Sequence[str]) -> tuple[bytes, str]:
    rows = [f"the text {at},{label}" for at, label in enumerate(labels)]
    return "\n".join(["text,label", *rows]).encode(), "x.csv"


def one_hot(labels: Sequence[str]) -> tuple[bytes, str]:
    names = sorted(set(labels))
    rows = [",".join([f"{at}.png", *(str(int(one == name)) for name in names)])
            for at, one in enumerate(labels)]  # fmt: skip
    files: Mapping[str, bytes] = {f"{at}.png": png(at) for at in range(len(labels))}
    listed = "\n".join([",".join(["filename", *names]), *rows]).encode()
    return zipped({**files, "_classes.csv": listed}), "x.zip"


def told(built: Built, code: str) -> list[str]:
    return [one.message for one in built.problems if one.code == code]


@pytest.mark.parametrize("form", [folders, table, one_hot])
@pytest.mark.parametrize("mode", ["single_label", "multi_label"])
class TestForms:
    def test_unlabeled_is_left_out_and_counted(
        self, take: Take, form: Callable[..., tuple[bytes, str]], mode: str
    ) -> None:
        data, name = form(["cat", "dog", "Unlabeled", "dog", "Unlabeled"])
        built = take(data, name, options=IntakeOptions(label_mode=mode))
        assert sorted(one.names for one in built.examples) == [("cat",), ("dog",), ("dog",)]
        assert ["2 example(s)" in one for one in told(built, "unlabelled")] == [True]
        assert told(built, "labels_doubtful") == []

    def test_beside_one_class_it_is_another_and_told(
        self, take: Take, form: Callable[..., tuple[bytes, str]], mode: str
    ) -> None:
        data, name = form(["cat", "Unlabeled", "cat", "Unlabeled"])
        built = take(data, name, options=IntakeOptions(label_mode=mode))
        assert len(built.examples) == 4
        assert ["'Unlabeled'" in one for one in told(built, "labels_doubtful")] == [True]

    @pytest.mark.parametrize("doubtful", ["New folder", "_unsorted", "unknown"])
    def test_what_may_be_a_class_is_told(
        self, take: Take, form: Callable[..., tuple[bytes, str]], mode: str, doubtful: str
    ) -> None:
        data, name = form(["cat", "dog", doubtful, "dog"])
        built = take(data, name, options=IntakeOptions(label_mode=mode))
        assert len(built.examples) == 4
        assert [repr(doubtful) in one for one in told(built, "labels_doubtful")] == [True]
