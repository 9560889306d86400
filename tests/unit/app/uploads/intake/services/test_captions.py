"""Lists of sentences beside pictures: told, whatever their form, and never classes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.errors import HeadstartError
from app.uploads.intake import IntakeOptions
from app.uploads.intake.lists.captions import are_captions
from tests.archives import png, zipped
from tests.unit.app.uploads.intake.conftest import Take

Refused = Callable[..., HeadstartError]
JUDGED = IntakeOptions(label_mode=None)
PICTURES = {f"images/p{at}.png": png(at) for at in range(12)}
IN_FOLDERS = {f"{name}/p{at}.png": png(at) for name, at in zip("ab" * 6, range(12), strict=True)}
SAID = [f"A dog runs over the field number {at}" for at in range(12)]
FORMS = {
    "tabs": "p{}.png\t{}",
    "commas": "p{}.png,{}",
    "blanks": "p{}.png {}",
    "bars": "p{}.png|{}",
    "several": "p{}.png#0\t{}",
}


def captions(form: str) -> bytes:
    return "\n".join(FORMS[form].format(at, one) for at, one in enumerate(SAID)).encode()


@pytest.mark.parametrize("name", ["captions.txt", "list.txt", "train_captions.lst"])
@pytest.mark.parametrize("form", FORMS)
def test_they_are_told_and_no_classes(refused: Refused, name: str, form: str) -> None:
    error = refused(zipped({**PICTURES, name: captions(form)}), options=JUDGED)
    assert error.code == "ambiguous_layout"
    assert name in error.message


@pytest.mark.parametrize("form", FORMS)
def test_beside_class_folders_the_folders_are_the_classes(take: Take, form: str) -> None:
    built = take(zipped({**IN_FOLDERS, "captions.txt": captions(form)}), options=JUDGED)
    assert {one.label for one in built.examples} == {"a", "b"}
    assert any(one.path == "captions.txt" or "1 .txt" in one.message for one in built.problems)


def test_a_table_of_sentences_is_told(refused: Refused) -> None:
    rows = "\n".join(["path,label", *(f"images/p{n}.png,{one}" for n, one in enumerate(SAID))])
    error = refused(zipped({**PICTURES, "all.csv": rows.encode()}), options=JUDGED)
    assert "captions" in error.message


@given(st.lists(st.sampled_from(["cat", "dog", "tabby cat", "in", "0", "1 0 1 1"]), min_size=9))
def test_labels_are_no_captions(labels: Sequence[str]) -> None:
    assert not are_captions("train.txt", labels)


def test_several_labels_a_line_are_no_captions() -> None:
    words = "beach sunset people tree car sky sea boat".split()
    lines = [" ".join(words[at % 5 : at % 5 + 3]) for at in range(20)]
    assert not are_captions("labels.txt", lines)
