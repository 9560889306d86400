"""Intervals as labels: one each, whatever brackets they have, and lists of numbers stay lists."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.errors import HeadstartError
from app.uploads.intake import IntakeOptions
from app.uploads.intake.labels.intervals import are_of_one_cut, ends, may_be_list
from tests.archives import png, zipped
from tests.unit.app.uploads.intake.conftest import Take

Refused = Callable[..., HeadstartError]
JUDGED = IntakeOptions(label_mode=None)
SINGLE = IntakeOptions()
EDGES = st.lists(
    st.integers(-1000, 1000) | st.floats(-1e6, 1e6).map(lambda edge: round(edge, 3)),
    min_size=3,
    max_size=8,
    unique_by=float,
).map(lambda found: sorted(found, key=float))


def csv(said: Sequence[str]) -> bytes:
    return ("text,label\n" + "\n".join(f'text {n},"{one}"' for n, one in enumerate(said))).encode()


def jsonl(said: Sequence[object]) -> bytes:
    return "\n".join(
        json.dumps({"text": f"text {n}", "label": one}) for n, one in enumerate(said)
    ).encode()


@given(EDGES, st.sampled_from(["[{}, {}]", "({}, {}]", "[{}, {})", "({}, {})", "[{},{}]"]))
def test_the_parts_of_a_range_are_of_one_cut(edges: Sequence[float], form: str) -> None:
    labels = [form.format(low, high) for low, high in pairwise(edges)]
    assert are_of_one_cut(labels)
    assert [ends(label) for label in labels] == [(float(a), float(b)) for a, b in pairwise(edges)]
    assert all(may_be_list(one) == (one[0] + one[-1] in ("[]", "()")) for one in labels)
    assert not are_of_one_cut([*labels, f"[{edges[0] - 1}, {edges[-1] + 1}]"])
    assert not are_of_one_cut([*labels, str(edges[0])])


@pytest.mark.parametrize(
    "said",
    [
        ["[0, 10]", "[10, 20]"],
        ["[0.0, 10.0]", "[10.0, 20.0]", "[20.0, inf]"],
        ["(1, 2)", "(2, 3)"],
        ["[18, 25)", "[25, 35)", "[35, 120]"],
        ["(-0.001, 5.5]", "(5.5, 10.0]"],
        ["[0,10]", "(10,20]"],
    ],
)
@pytest.mark.parametrize("options", [JUDGED, SINGLE], ids=["judged", "single"])
def test_an_interval_is_one_label(take: Take, said: list[str], options: IntakeOptions) -> None:
    for data, name in ((csv(said * 3), "x.csv"), (jsonl(said * 3), "x.jsonl")):
        built = take(data, name, options=options)
        assert [one.label for one in built.examples] == said * 3
        told = [one.message for one in built.problems if one.code == "column_assumed"]
        assert len(told) == any(map(may_be_list, said))
        assert "labels_joined" not in {one.code for one in built.problems}


@pytest.mark.parametrize(
    "said",
    [
        ["[0, 1]", "[1, 2]", "[0, 2]"],
        ["[0, 1]", "[2]", "[0]"],
        ["[0, 1]", "[2, 3]", "2"],
        ["[1, 0]", "[2, 0]", "[1]"],
        ["[0, 1, 2]", "[1, 2]", "[0]"],
    ],
)
def test_lists_of_numbers_are_lists(take: Take, refused: Refused, said: list[str]) -> None:
    assert refused(csv(said * 3), "x.csv", options=SINGLE).code == "several_labels"
    built = take(csv(said * 3), "x.csv", options=JUDGED)
    assert built.label_mode == "multi_label"
    assert all(set("".join(one.names)) <= set("012") | {"3"} for one in built.examples)


def test_lists_are_what_is_asked_for(take: Take) -> None:
    said = ["[0, 10]", "[10, 20]", "[20, 30]"]
    built = take(csv(said * 2), "x.csv", options=IntakeOptions(label_mode="multi_label"))
    assert built.examples[0].names == ("0", "10")
    real = take(jsonl([[0, 10], [10, 20], [20, 30]] * 2), "x.jsonl", options=JUDGED)
    assert real.examples[0].names == ("0", "10")


def test_one_interval_may_be_appended(take: Take) -> None:
    options = IntakeOptions(minimum_classes=1)
    assert {one.label for one in take(csv(["[0, 10]"] * 2), "x.csv", options=options).examples} == {
        "[0, 10]"
    }


def test_folders_are_classes_whatever_they_are_called(take: Take) -> None:
    files = {f"{name}/{n}.png": png(n + 9 * at) for at, name in enumerate(("[0, 1]", "[0, 2]"))
             for n in range(3)}  # fmt: skip
    assert {one.label for one in take(zipped(files), options=JUDGED).examples} == {
        "[0, 1]", "[0, 2]",
    }  # fmt: skip
