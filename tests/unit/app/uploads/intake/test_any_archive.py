"""Archives of every layout, put together at random: what is promised of all of them."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.core.errors import HeadstartError
from app.core.manifest import usable
from app.uploads.intake import Built, IntakeOptions, build
from app.uploads.intake.names import is_junk
from app.uploads.intake.splits import SPLITS, read_name
from tests.archives import Raw, png, raw_zip, tarred

WORDS = sorted(SPLITS)
CASES = st.sampled_from([str.lower, str.upper, str.title])
FORMS = st.sampled_from(["{}", "{}", "{}", "x_{}", "seg_{}", "{}_images", "{}2017", "my {} set"])
CLASSES = st.sampled_from(["cat", "dog", "Cat", "good", "crash_test", "станок", "猫", "a b", "é"])
PAGES = st.sampled_from(["utf-8", "gbk", "cp866", "cp437", "cp1251", "cp932"])
WRAPPERS = st.sampled_from(["", "", "data/", "raw/v1/", "set.v2/", "my test data/", "test/"])
FILES = st.sampled_from(["0.png", "1.png", "2.PNG", "x", "x.jpg", "sub/3.png"])
JUNK = st.sampled_from(
    [".DS_Store", "Icon\r", "Thumbs.db", "._0.png", "0.png:Zone.Identifier", "@eaDir/0.png/t.jpg",
     ".ipynb_checkpoints/0-checkpoint.png", "desktop.ini", "ehthumbs.db"]
)  # fmt: skip
SIDECARS = st.sampled_from(["0.xmp", "0.AAE", "0.MOV", "notes.txt", "0.json", "README.md", "0.zzz"])


@st.composite
def split_names(draw: st.DrawFn) -> str:
    return draw(FORMS).format(draw(CASES)(draw(st.sampled_from(WORDS))))


@st.composite
def folder_paths(draw: st.DrawFn) -> str:
    """A folder in one of the places that classes and splits have in people's trees."""
    label, split = draw(CLASSES), draw(split_names())
    places = [
        *("", f"{label}/", f"{split}/", f"{split}/{label}/", f"{label}/{split}/", "docs/"),
        *(f"{split}/{split}/{label}/", f"{label}/{split}/{label}/", "ground_truth/"),
    ]
    return draw(st.sampled_from(places))


@st.composite
def trees(draw: st.DrawFn) -> dict[str, bytes]:
    """Paths with what lies there; now and then a picture has another's content, or is none."""
    wrapper = draw(WRAPPERS)
    members: dict[str, bytes] = {}
    for folder in draw(st.lists(folder_paths(), min_size=1, max_size=6)):
        for name in draw(st.lists(st.one_of(FILES, FILES, FILES, JUNK, SIDECARS), max_size=4)):
            content = st.one_of(st.integers(0, 200).map(png), st.sampled_from([b"", b"text"]))
            members[wrapper + folder + name] = draw(content)
    for name in draw(st.lists(st.one_of(JUNK, SIDECARS), max_size=2)):
        members[name] = b"beside"
    return members


@st.composite
def archives(draw: st.DrawFn) -> bytes:
    members = draw(trees())
    if draw(st.booleans()):
        return tarred(members)
    page, system = draw(PAGES), draw(st.sampled_from([0, 3]))
    slashes = "\\" if system == 0 and draw(st.booleans()) else "/"
    folders = {path.rpartition("/")[0] + "/" for path in members if "/" in path}
    bare = draw(st.lists(st.sampled_from(["empty/", "train/empty/", *sorted(folders)]), max_size=2))
    named = [*members.items(), *((path, b"") for path in dict.fromkeys(bare))]
    return raw_zip(
        Raw(path.replace("/", slashes).encode(page, "replace").replace(b"?", b"_"), data,
            flags=0, system=system)
        for path, data in named
    )  # fmt: skip


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(archives(), st.booleans())
def test_every_archive_is_taken_as_it_was_meant_or_refused(
    tmp_path: Path, data: bytes, labelled: bool
) -> None:
    with tempfile.TemporaryDirectory(dir=tmp_path) as folder:
        upload, staging = Path(folder) / "upload", Path(folder) / "staging"
        upload.write_bytes(data)
        staging.mkdir()
        options = IntakeOptions(labelled=labelled)
        try:
            built = build(upload, filename="x", staging=staging, options=options)
        except HeadstartError as error:
            _check_refusal(error)
            assert list(staging.iterdir()) == []
            return
        assert list(staging.iterdir()) == [built.pack_path]
        if labelled:
            _check_built(built)


def _check_refusal(error: HeadstartError) -> None:
    """It says first what is said as a whole, and of all that is wrong the code and where."""
    told = error.extra["errors"]
    assert 1 <= len(told) <= 100
    assert (told[0]["code"], told[0]["message"], told[0]["param"]) == (
        error.code, error.message, error.param,
    )  # fmt: skip
    assert all(one["message"] for one in told)


def _check_built(built: Built) -> None:
    assert not [one.path for one in built.examples if is_junk(one.path)]
    for one in built.examples:
        said = read_name(one.label)
        assert said is None or not (said.exact or said.certain), one.label
    counted = Counter(one.label for one in usable(built.examples, built.problems))
    assert {str(one["label"]): one["count"] for one in built.classes} == counted
    for one in built.examples:
        top = one.path.partition("/")[0].lower()
        assert one.split == SPLITS.get(top, one.split), one.path


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("case", [str.lower, str.upper, str.title])
def test_no_word_of_splits_is_ever_a_class_by_its_folder(
    tmp_path: Path, word: str, case: object
) -> None:
    assert callable(case)
    upload, staging = tmp_path / "upload", tmp_path / "staging"
    upload.write_bytes(tarred({f"{case(word)}/1.png": png(1), "cat/2.png": png(2)}))
    staging.mkdir()
    with pytest.raises(HeadstartError) as caught:
        build(upload, filename="x", staging=staging)
    assert caught.value.code == "ambiguous_layout"
    assert list(staging.iterdir()) == []
