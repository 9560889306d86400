from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.errors import HeadstartError
from app.uploads.intake.names import LONGEST, UNSAFE, Names, clean, folded, is_junk, shown


@pytest.mark.parametrize(
    "name",
    ["../x", "a/../b", "a/..", "..", "/etc/passwd", "//host/x", "C:\\x", "C:x", "a\\b", "\\\\h\\x"],
)
def test_paths_that_leave_the_archive(name: str) -> None:
    with pytest.raises(HeadstartError) as caught:
        clean(name)
    assert caught.value.code == "unsafe_path"


@pytest.mark.parametrize("mark", "\0\n\x1b\x7f\x85\u202e\u200f\u2066\u2028\ud800")
def test_names_that_deceive(mark: str) -> None:
    with pytest.raises(HeadstartError) as caught:
        clean(f"a/{mark}.png")
    assert caught.value.code == "unsafe_name"
    assert mark not in str(caught.value)


def test_names_without_end() -> None:
    assert clean("a/" + "x" * (LONGEST - 2)).endswith("x")
    with pytest.raises(HeadstartError) as caught:
        clean("a/" + "x" * (LONGEST - 1))
    assert caught.value.code == "unsafe_name"
    assert len(caught.value.message) < 300


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("./a/b", "a/b"),
        ("a//b", "a/b"),
        ("a/./b", "a/b"),
        ("a/", "a/"),
        ("./", "/"),
        ("a/.", "a/"),
        ("قطة/صورة.png", "قطة/صورة.png"),
        ("猫/👩‍🔬.png", "猫/👩‍🔬.png"),
        ("...", "..."),
    ],
)
def test_paths_are_tidied(name: str, path: str) -> None:
    assert clean(name) == path


@given(st.text(max_size=40))
def test_whatever_passes_is_safe_and_stays_as_it_is(name: str) -> None:
    try:
        path = clean(name)
    except HeadstartError as error:
        assert error.code in {"unsafe_path", "unsafe_name"}  # noqa: PT017 - both ways are right
        return
    assert not {".", ".."} & set(path.split("/"))
    assert not UNSAFE.search(path) or is_junk(path)
    if path != "/":
        assert not path.startswith("/")
        assert clean(path) == path


@given(st.text(max_size=30))
def test_folding_is_blind_to_case_and_composition(name: str) -> None:
    assert folded(unicodedata.normalize("NFD", name)) == folded(unicodedata.normalize("NFC", name))
    assert folded(folded(name)) == folded(name)


@given(st.text(max_size=400))
def test_shown_names_are_short_and_visible(name: str) -> None:
    assert not UNSAFE.search(shown(name))
    assert len(shown(name)) <= 6 * 200 + 1


def test_the_same_name_twice() -> None:
    names = Names()
    for name in ("a/b", "A/b", "é", "e\u0301", "ß", "SS"):
        names.add(name)
    with pytest.raises(HeadstartError) as caught:
        names.add("a/b")
    assert caught.value.code == "duplicate_name"


@pytest.mark.parametrize(
    "path",
    [
        "__MACOSX/a/._1.png",
        "a/.DS_Store",
        "~$train.xlsx",
        "a/~$words.docx",
        "Thumbs.db",
        "a/ehthumbs.db",
        "a/._1.png",
        "a/.hidden",
        "desktop.ini",
        "a/Icon\r",
        ".ipynb_checkpoints/1-checkpoint.png",
        "a/@eaDir/1.png/SYNOPHOTO_THUMB_M.jpg",
        "#recycle/a/1.png",
        "$RECYCLE.BIN/1.png",
        "System Volume Information/x",
        "a/1.png:Zone.Identifier",
        "a/1.png\uf03aZone.Identifier",
        "a/1.png:com.dropbox.attributes",
    ],
)
def test_junk(path: str) -> None:
    assert is_junk(path)
    assert clean(path) == path


@pytest.mark.parametrize(
    "path", ["a/1.png", "MACOSX/1.png", ".../1.png", "a:b/1.png", "icon/1.png", "recycle/1.png"]
)
def test_no_junk(path: str) -> None:
    assert not is_junk(path)
