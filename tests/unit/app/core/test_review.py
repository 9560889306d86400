from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.manifest import Example, Split, example_id, usable
from app.core.review import may_be_none, review, says_unlabelled, unlabelled


def example(
    path: str, content: str, label: str = "a", *, split: Split = "train", group: str | None = None
) -> Example:
    return Example(
        id=example_id(sha256=content, path=path),
        sha256=content,
        label=label,
        group=group,
        split=split,
        path=path,
        pack="p",
        offset=0,
        length=1,
    )


def codes(examples: list[Example]) -> list[tuple[str, str | None, bool]]:
    return [(one.code, one.path, one.excluded) for one in review(examples)[1]]


def test_good_examples_pass_untouched() -> None:
    good = [example("1", "x"), example("2", "y", "b", group="g")]
    assert review(good) == (good, [])


def test_copies_are_kept_in_one_group() -> None:
    kept, problems = review([example("1", "x"), example("2", "x"), example("3", "y", "b")])
    assert [(one.code, one.path, one.excluded) for one in problems] == [
        ("duplicate_example", "2", False)
    ]
    assert kept[0].group == kept[1].group == "same:x"
    assert kept[2].group is None


def test_copies_join_their_groups() -> None:
    kept, _ = review(
        [
            example("1", "x", group="q"),
            example("2", "x", group="p"),
            example("3", "y", group="q"),
            example("4", "z", group="r"),
        ]
    )
    assert [one.group for one in kept] == ["p", "p", "p", "r"]


def test_the_held_out_copy_is_excluded() -> None:
    copies = [example("1", "x", split="test"), example("2", "x"), example("3", "x", split="val")]
    rest = [example("4", "y", "b"), example("5", "z", "a", split="test")]
    assert codes(copies + rest) == [
        ("duplicate_across_splits", "3", True),
        ("duplicate_across_splits", "1", True),
    ]


def test_contradicting_labels_exclude_every_copy() -> None:
    found = codes([example("1", "x"), example("2", "x", "b", split="test"), example("3", "y")])
    assert found == [("label_conflict", "1", True), ("label_conflict", "2", True)]


def test_that_nothing_held_out_is_left_is_told_once() -> None:
    train = [example(f"{at}", f"{at}", "ab"[at % 2]) for at in range(4)]
    copies = [example(f"t{at}", f"{at}", "ab"[at % 2], split="test") for at in range(4)]
    told = [one for one in review([*train, *copies])[1] if one.example_id is None]
    assert [one.message for one in told] == [
        "none of the 4 held-out examples is left: their contents are trained on, or contradict "
        "others"
    ]
    fresh = example("new", "new", "a", split="test")
    assert all(one.example_id for one in review([*train, *copies, fresh])[1])


@pytest.mark.parametrize(
    "labels",
    [
        ("neg", "n\u0435g"),
        ("neutral", "neutral."),
        ("\u0440os", "Pos!"),
        ("card_fee", "Card fee"),
        ("card-fee", "card fee"),
        ("-1", "-1.0"),
    ],
)
def test_labels_that_look_alike_in_another_script_or_with_a_mark_are(
    labels: tuple[str, str],
) -> None:
    problems = review([example(str(at), str(at), one) for at, one in enumerate(labels)])[1]
    assert [one.code for one in problems] == ["label_collision"]


def test_a_class_of_one_beside_classes_of_many_is_told() -> None:
    labels = ["pos"] * 20 + ["neg"] * 25 + ["neu"] * 30 + ["positve"]
    (told,) = review([example(str(at), str(at), one) for at, one in enumerate(labels)])[1]
    assert told.code == "labels_doubtful"
    assert told.message.startswith("'positve' has one example, where the other 3 labels have 20")
    few = ["pos"] * 5 + ["neg"] * 25 + ["neu"] * 30 + ["other"]
    assert review([example(str(at), str(at), one) for at, one in enumerate(few)])[1] == []


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        (["neg"] * 6 + ["pos"] * 6 + ["12"], True),
        (["neg"] * 6 + ["pos"] * 6 + ["neutral"], False),
        (["neg"] * 6 + ["pos"] * 2 + ["12"], False),
        (["0"] * 6 + ["1"] * 6 + ["12"], False),
    ],
)
def test_a_number_of_one_example_among_words_is_told(labels: list[str], told: bool) -> None:
    problems = review([example(str(at), str(at), one) for at, one in enumerate(labels)])[1]
    assert [one.message.startswith("'12' has one example") for one in problems] == [True] * told


def test_of_very_many_labels_of_one_example_each_is_looked_at_once() -> None:
    """Were each compared with all others, this took minutes."""
    many = [example(str(at), str(at), f"class{at}") for at in range(20_000)]
    (told,) = review(many)[1]
    assert "20000 examples have 20000 labels" in told.message


def test_labels_that_look_alike_are_named_together() -> None:
    labels = ["Cat", "cat ", "dog", "c at", "é", "e\u0301"]
    problems = review([example(str(at), str(at), label) for at, label in enumerate(labels)])[1]
    assert [one.code for one in problems] == ["label_collision"] * 2
    assert all(not one.excluded for one in problems)
    assert "'Cat', 'c at', 'cat '" in problems[0].message


def test_labels_that_differ_in_what_cannot_be_seen_are_named_with_it() -> None:
    labels = ["pos", "pos\u200b", "po\u00ads", "neg", "neg\ufe0f", "other"]
    problems = review([example(str(at), str(at), label) for at, label in enumerate(labels)])[1]
    assert [one.code for one in problems] == ["label_collision"] * 2
    assert "'neg', 'neg\\ufe0f'" in problems[0].message
    assert "'pos', 'pos\\u200b', 'po\\u00ads'" in problems[1].message


def collisions(labels: list[str]) -> list[str]:
    """What is told of labels that collide."""
    problems = review([example(str(at), str(at), label) for at, label in enumerate(labels)])[1]
    return [one.message for one in problems if one.code == "label_collision"]


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        (["true", "yes", "1", "false", "no", "0"], ["'1', 'true', 'yes'", "'0', 'false', 'no'"]),
        (["Yes", "y", "No"], ["'Yes', 'y'"]),
        (["0", "f", "true"], ["'0', 'f'"]),
        (["true", "yes", "false", "unknown"], ["'true', 'yes'"]),
    ],
)
def test_one_truth_in_several_ways_is_told(labels: list[str], told: list[str]) -> None:
    found = collisions(labels)
    assert [one.rpartition(": ")[2] for one in found] == told
    assert "these labels all say " in found[0]


@pytest.mark.parametrize(
    "labels",
    [
        *(["Home & Garden", "Home &amp; Garden"], ["ok", "<p>ok</p>"], ["ok", '"ok"']),
        *(
            ["caf\u00e9", "caf\u00c3\u00a9"],
            ["\u00fcber", "\u201c\u00fcber\u201d"],
            ["it's", "it&#39;s"],
        ),
        *(["\u0625\u064a\u062c\u0627\u0628\u064a", "\u0627\u064a\u062c\u0627\u0628\u064a"],),
        *(["it's", "it\u2019s", "it\u02bcs", "it\u00b4s"], ["\u0130yi", "iyi", "I\u0307Y\u0130"]),
        *(["Home & Garden", "Home &amp;amp; Garden", "Home &amp;amp;amp; Garden"],),
        *(["caf\u00e9", "caf\u00c3\u0192\u00c2\u00a9"], ["caf\u00e9", r"caf\u00e9", "caf_x00E9_"]),
        *(["Home Garden", "Home%20Garden", "Home+Garden", "Home%2520Garden"],),
        *(["caf\u00e9", "caf%C3%A9", r"caf\xc3\xa9", "caf=C3=A9", r"b'caf\xc3\xa9'"],),
        *(["ok", r"\"ok\"", "__label__ok", "b'ok'", '"__label__ok"', "&quot;ok&quot;"],),
        *(["na\ufffdve", "na?ve"], ["class \u0661", "class 1", "class \u0967"], ["\u0661", "1"]),
    ],
)
def test_labels_that_a_tool_wrote_otherwise_are_told(labels: list[str]) -> None:
    assert len(collisions([*labels, "other"])) == 1


@pytest.mark.parametrize(
    "labels",
    [
        *(
            ["<5 mm", ">5 mm", "5 mm"],
            ["a<b", "a>b"],
            ["<p>", "<q>"],
            ["'", '"'],
            ["\u00c3", "\u00a9"],
        ),
        *(["q&a", "qa"], ["caf\u00e9", "cafe"]),
        *(["C", "C++", "C#", "C+"], ["A", "A+"], ["it's", "its"], ["k\u0131l", "kil"], ["b", "b'"]),
        *(["50%", "50%20 off", "50"], ["a+b", "ab"], ["x=ab", "xab"], ["\\", "/"], ["%", "%%"]),
        *(["class \u0661", "class 2"], ["10", "1"], ["%ff", "\u00ff"]),
    ],
)
def test_labels_that_say_something_else_are_not(labels: list[str]) -> None:
    assert collisions([*labels, "other"]) == []


@pytest.mark.parametrize(
    "labels",
    [
        *(["true", "false"], ["true", "no"], ["1", "0", "2", "y"], ["n", "no", "v"]),
        *(["yes", "no", "on", "off"], ["t", "f", "true story"]),
        *(["-1", "1", "0"], ["A", "A-", "A+"], ["1-2", "12"]),
    ],
)
def test_other_labels_say_no_truth_twice(labels: list[str]) -> None:
    assert collisions(labels) == []


def test_contents_of_one_identity_are_copies() -> None:
    nfd = example("2", "y", split="test").model_copy(update={"identity": "x"})
    assert codes([example("1", "x"), nfd]) == [("duplicate_across_splits", "2", True)]
    other = nfd.model_copy(update={"label": "b"})
    assert codes([example("1", "x"), other])[0] == ("label_conflict", "1", True)


def test_groups_that_the_upload_splits_are_named() -> None:
    found = review([example("1", "x", group="g"), example("2", "y", group="g", split="test")])[1]
    assert [(one.code, one.excluded) for one in found] == [("duplicate_across_splits", False)]
    assert "'g' is in test and train" in found[0].message


def test_labels_that_are_only_held_out_are_named() -> None:
    found = codes([example("1", "x"), example("2", "y", "b", split="test")])
    assert found == [("insufficient_classes", None, False)]


def test_the_later_of_two_with_one_id_counts() -> None:
    kept, problems = review([example("1", "x", "a"), example("1", "x", "b")])
    assert [one.label for one in kept] == ["b"]
    assert problems == []


@given(
    st.lists(
        st.builds(
            example,
            st.integers(0, 99).map(str),
            st.sampled_from("uvwxyz"),
            st.sampled_from("ab"),
            split=st.sampled_from(["train", "val", "test"]),
            group=st.one_of(st.none(), st.sampled_from("pqr")),
        ),
        max_size=25,
    )
)
def test_nothing_leaks_and_reviewing_again_changes_nothing(examples: list[Example]) -> None:
    kept, problems = review(examples)
    fit = usable(kept, problems)
    places: dict[str, set[str]] = {}
    labels: dict[str, set[str]] = {}
    for one in fit:
        places.setdefault(one.sha256, set()).add(one.split)
        labels.setdefault(one.sha256, set()).add(one.label)
    assert all(len(found) == 1 for found in [*places.values(), *labels.values()])
    assert review(kept) == (kept, problems)


DATES = [
    ["2023-01-02", "2023-03-04"],
    ["2023-01-02 00:00:00", "2023-03-04T00:00:00Z"],
    ["2.1.2023", "12.10.2023"],
    ["1/2/23", "12/31/2024"],
    ["2-Jan", "4-Mar"],
    ["Mar 1", "Sept 30, 2023"],
    ["2. Mai 2023", "3. June 2023"],
    ["Jan-23", "Dec-2024"],
    ["2023-01", "2023/12"],
]
NO_DATES = [
    ["1-2", "3-4"],
    ["2023", "2024"],
    ["1.2.3", "10.11.12"],
    ["march", "april"],
    ["2023-13-01", "32.1.2023"],
    ["may 4 sale", "jan"],
    ["3 marbles", "12 decks"],
    ["v1.2.2023x", "10:30"],
]


@pytest.mark.parametrize("labels", DATES)
def test_labels_that_are_dates_are_doubtful(labels: list[str]) -> None:
    every = [*labels, "13-25"]
    examples = [example(f"{at}", f"c{at}", every[at % 3]) for at in range(9)]
    (found,) = review(examples)[1]
    assert found.code == "labels_doubtful"
    assert found.message.startswith(f"2 of 3 labels are dates, as {labels[0]}, {labels[1]}: ")


@pytest.mark.parametrize("labels", NO_DATES)
def test_labels_that_only_look_like_dates_are_not(labels: list[str]) -> None:
    examples = [example(f"{at}", f"c{at}", labels[at % 2]) for at in range(8)]
    assert review(examples)[1] == []


def test_labels_that_say_that_a_value_is_missing_are_doubtful() -> None:
    labels = ["a", "b", "nan", "N/A", "none"]
    found = review([example(str(at), f"c{at}", label) for at, label in enumerate(labels)])[1]
    assert [one.code for one in found] == ["labels_doubtful"]
    assert found[0].message.startswith("2 examples are labelled 'nan', 'N/A', as tables write")


@pytest.mark.parametrize("label", [r"\N", "(null)", "[NULL]", "<null>", "NaT", "#NUM!", "."])
def test_what_databases_and_spreadsheets_write_for_a_missing_value_is(label: str) -> None:
    found = review([example(str(at), f"c{at}", told) for at, told in enumerate(["a", "b", label])])
    assert [one.code for one in found[1]] == ["labels_doubtful"]


@pytest.mark.parametrize("name", ["Unlabeled", "_unlabelled", "Not Labeled", "no_label"])
def test_what_says_so_is_found_beside_several_classes(name: str) -> None:
    assert unlabelled(["cat", "dog", name]) == {name}
    assert unlabelled(["positive", name]) == set()
    assert unlabelled([name]) == set()


class _Unread(set[str]):
    """Labels that nobody is to look through."""

    def __iter__(self) -> Iterator[str]:
        raise AssertionError


def test_only_a_label_that_may_say_so_is_compared_with_the_others() -> None:
    assert not says_unlabelled("bird", _Unread(["cat", "dog"]))
    assert says_unlabelled("Unlabeled", ["cat", "dog"])
    assert not says_unlabelled("Unlabeled", ["cat"])


def test_all_ways_of_saying_it_are_one() -> None:
    assert unlabelled(["cat", "Unlabeled", "unlabelled"]) == set()
    assert unlabelled(["cat", "dog", "Unlabeled", "unlabelled"]) == {"Unlabeled", "unlabelled"}


@pytest.mark.parametrize(
    ("name", "doubtful"),
    [
        *[("New folder", True), ("New folder (2)", True), ("Neuer Ordner", True)],
        *[("_unsorted", True), ("To-Label", True), ("unknown", True), ("Unlabeled", True)],
        *[("none", False), ("other", False), ("newfoundland", False), ("pending", False)],
        *[("background", False), ("neutral", False), ("unknown soldier", False), ("", False)],
    ],
)
def test_what_may_be_none(name: str, doubtful: bool) -> None:
    assert may_be_none(name) is doubtful
