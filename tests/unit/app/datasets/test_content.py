"""How the content of one version follows from another's."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core import manifest
from app.core.errors import HeadstartError
from app.core.manifest import Example, Problem
from app.core.review import review
from app.datasets.content import Content, Revision, appended, corrected, dropped, relabelled


def example(path: str, label: str, *, content: str | None = None, pack: str = "p") -> Example:
    sha256 = hashlib.sha256((content or path).encode()).hexdigest()
    name = manifest.example_id(sha256=sha256, path=path)
    return Example(id=name, sha256=sha256, label=label, path=path, pack=pack, offset=0, length=1)


BASE = [example(f"{label}/{number}", label) for label in "ab" for number in range(2)]


def undecodable(one: Example) -> Problem:
    return Problem(
        code="image_truncated", message="cut", path=one.path, example_id=one.id, excluded=True
    )


def test_an_append_keeps_what_was_and_adds_what_is_new() -> None:
    new = example("c/9", "c", pack="q")
    told = Problem(code="unsupported_member", message="1 .md file ignored", excluded=True)
    found = appended([new], [told]).of(Content(BASE, []))
    assert found.examples == [*BASE, new]
    assert found.problems[0] == told
    version = found.version(manifest_sha256="m", backbone="x")
    assert (version.packs, version.entries, version.num_examples) == (["p", "q"], 5, 5)


def test_what_could_not_be_decoded_goes_but_its_problem_stays() -> None:
    problem = undecodable(BASE[0])
    found = appended([example("c/9", "b")], []).of(Content(BASE, [problem]))
    assert BASE[0].id not in [one.id for one in found.examples]
    assert found.problems == [problem]
    again = appended([BASE[0]], []).of(found)
    assert len(again.examples) == len(found.examples)


def test_doubts_are_found_anew_and_facts_carried() -> None:
    twin = example("b/twin", "b", content="a/0")
    doubtful = Content([*BASE, twin], [])
    first = appended([example("c/9", "a")], []).of(doubtful)
    assert [problem.code for problem in first.problems] == ["label_conflict"] * 2
    assert first.version(manifest_sha256="m", backbone="x").num_examples == 4
    settled = relabelled({twin.id: {"label": "a"}}).of(first)
    assert [problem.code for problem in settled.problems] == ["duplicate_example"]


def test_the_newer_label_holds_and_ends_a_conflict() -> None:
    twin = example("b/twin", "b", content="a/0")
    found = appended([example("x", "b", content="a/0")], []).of(Content([*BASE, twin], []))
    assert [one.label for one in found.examples] == ["b", "a", "b", "b", "b"]
    assert [one.code for one in found.problems] == [
        "label_corrected",
        "duplicate_example",
        "duplicate_example",
    ]
    again = appended([example("n", "a")], []).of(found)
    assert "label_corrected" not in [one.code for one in again.problems]


def test_what_contradicts_itself_corrects_nothing() -> None:
    pair = [example("x", "a", content="a/0"), example("y", "b", content="a/0")]
    _, doubts = review(pair)
    found = appended(pair, doubts).of(Content(BASE, []))
    assert found.examples == BASE
    assert [one.code for one in found.problems] == ["label_conflict"]


def test_what_is_held_out_stays_so_unless_the_upload_says_otherwise() -> None:
    held = BASE[0].model_copy(update={"split": "test"})
    base = Content([held, *BASE[1:], example("a/9", "a")], [])
    sent = [example("other.csv:2", "b", content="a/0")]
    kept = appended(sent, [], splits=False).of(base)
    assert (kept.examples[0].label, kept.examples[0].split) == ("b", "test")
    assert appended(sent, []).of(base).examples[0].split == "train"


@given(st.lists(st.tuples(st.sampled_from("pqrs"), st.sampled_from("ab")), max_size=12))
def test_no_content_is_lost_or_doubled_by_an_append(told: list[tuple[str, str]]) -> None:
    sent, doubts = review(
        example(f"new.csv:{at}", label, content=content) for at, (content, label) in enumerate(told)
    )
    base = [*BASE, example("p", "a"), example("q", "b")]
    after = appended(sent, doubts, minimum_classes=1).of(Content(base, [])).examples
    assert [one.id for one in after[: len(base)]] == [one.id for one in base]
    known = {one.content for one in base}
    assert after[len(base) :] == [one for one in sent if one.content not in known]


def test_a_dropped_example_takes_its_problem_along() -> None:
    five = [*BASE, example("a/5", "a")]
    problems = [undecodable(BASE[0]), undecodable(BASE[1])]
    found = dropped(BASE[0].id).of(Content(five, problems))
    assert found.problems == [undecodable(BASE[1])]


@pytest.mark.parametrize("change", [dropped("ex_none"), relabelled({"ex_none": {"label": "b"}})])
def test_an_unknown_example_is_not_found(change: Revision) -> None:
    with pytest.raises(HeadstartError) as caught:
        change.of(Content(BASE, []))
    assert caught.value.code == "not_found"


def test_the_last_of_two_classes_stays() -> None:
    few = [BASE[0], BASE[2]]
    with pytest.raises(HeadstartError) as caught:
        dropped(few[0].id).of(Content(few, []))
    assert caught.value.code == "insufficient_classes"


def test_the_manifest_is_named_by_what_it_says(tmp_path: Path) -> None:
    path = Content(BASE, []).write(tmp_path)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name
    assert list(manifest.load(path.read_bytes())) == BASE


def test_how_an_upload_was_read_is_told_once() -> None:
    read = Problem(code="column_assumed", message="`kind` is taken for the label", path="a.csv")
    left_out = Problem(code="unlabelled", message="3 rows", path="a.csv", excluded=True)
    frames = Problem(code="further_frames", message="2 more", example_id=BASE[0].id)
    said = Problem(code="column_assumed", message="`sort` is taken for the label", path="b.csv")
    people = Problem(code="label_conflict", message="several people", path="b.csv")
    base = Content(BASE, [read, left_out, frames])
    found = appended([example("c/9", "b")], [said, people]).of(base)
    assert found.problems == [left_out, frames, said, people]
    corrected = relabelled({BASE[0].id: {"label": "b"}}).of(base)
    assert corrected.problems == [read, left_out, frames]


OBJECT = '{"label": "neg"}'


@pytest.mark.parametrize(
    ("said", "label"),
    [("np.int64(0)", "0"), ("['b']", "b"), ("True", "True"), ("[0, 10]", "[0, 10]"), ("b", "b")],
)
def test_a_corrected_label_is_read_as_an_uploads_is(said: str, label: str) -> None:
    found = corrected({BASE[0].id: {"label": said}}).of(Content(BASE, []))
    assert found.examples[0].label == label


def test_a_label_that_the_dataset_has_stays_as_it_is() -> None:
    base = [*BASE, example("c/0", OBJECT), example("d/0", "True")]
    wanted: dict[str, dict[str, object]] = {
        BASE[0].id: {"label": OBJECT},
        BASE[1].id: {"label": "True"},
    }
    found = corrected(wanted).of(Content(base, []))
    assert [one.label for one in found.examples[:2]] == [OBJECT, "True"]


@pytest.mark.parametrize("name", ["Unlabeled", "TRUE", "-1"])
def test_a_label_that_is_declared_is_a_class(name: str) -> None:
    revision = corrected({BASE[0].id: {"label": name}}, declared=[name])
    assert revision.of(Content(BASE, [], [name])).examples[0].label == name


def test_what_says_true_is_spelled_as_the_dataset_does() -> None:
    wanted: dict[str, dict[str, object]] = {BASE[0].id: {"label": "true"}}
    found = corrected(wanted).of(Content([*BASE, example("d/0", "True")], []))
    assert found.examples[0].label == "True"


@pytest.mark.parametrize("said", [OBJECT, "['a', 'b']", "Unlabeled", "not_labelled"])
def test_what_an_upload_would_not_take_for_a_label_is_refused(said: str) -> None:
    with pytest.raises(HeadstartError) as caught:
        corrected({BASE[0].id: {"label": said}}).of(Content(BASE, []))
    assert caught.value.code == "invalid_value"
