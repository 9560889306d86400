"""Documents name only what is there, and the list of decisions names every one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest

from tests.house.reading import ROOT, text_of, tracked

PROSE = [path for path in tracked() if path.suffix == ".md"]
TOPS = {path.parts[0] for path in tracked() if len(path.parts) > 1}
MODULE = re.compile(r"(app|worker|tests|benchmarks|migrations)(\.\w+)+")
DECISIONS = sorted(path for path in tracked() if path.match("docs/adr/[0-9]*.md"))
INDEX = Path("docs/adr/README.md")


@pytest.mark.parametrize("path", PROSE, ids=str)
def test_every_link_leads_somewhere(path: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)", _without_code(path))
    local = [target for target in targets if "://" not in target]
    assert [target for target in local if not (ROOT / path.parent / target).exists()] == []


@pytest.mark.parametrize("path", PROSE, ids=str)
def test_every_anchor_is_a_heading(path: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^):#\s]*)#([^)\s]+)\)", _without_code(path)):
        document = ROOT / path.parent / target if target else ROOT / path
        headings = re.findall(r"^#+ (.+)$", document.read_text("utf-8"), re.M)
        assert anchor in {heading.lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", PROSE, ids=str)
def test_every_path_that_is_named_exists(path: Path) -> None:
    named = {name for quoted in _quoted(path) for name in _paths(quoted)}
    new = set(re.findall(r"^#+ New: `([^`]+)`$", text_of(path), re.M))  # a recipe has them made
    assert sorted(name for name in named - new if not any(ROOT.glob(name))) == []


@pytest.mark.parametrize("path", PROSE, ids=str)
def test_every_module_that_is_named_exists(path: Path) -> None:
    named = [quoted for quoted in _quoted(path) if MODULE.fullmatch(quoted)]
    assert [name for name in named if not _is_module(name)] == []


@pytest.mark.parametrize("path", PROSE, ids=str)
def test_every_make_target_that_is_named_exists(path: Path) -> None:
    targets = set(re.findall(r"^([\w-]+):", text_of(Path("Makefile")), re.M))
    shown = "\n".join(re.findall(r"^```sh$(.*?)^```$", text_of(path), re.M | re.S))
    named = re.findall(r"^make ([\w-]+)", "\n".join([shown, *_quoted(path)]), re.M)
    assert set(named) <= targets


@pytest.mark.parametrize("path", DECISIONS, ids=lambda path: path.stem)
def test_a_decision_is_listed_by_its_title_and_says_what_else_was_considered(path: Path) -> None:
    title = re.match(r"# (\d+)\. (.+)\n", text_of(path))
    assert title is not None
    assert int(title[1]) == int(path.name[:4])
    assert f"| [{int(title[1])}]({path.name}) | {title[2]} |\n" in text_of(INDEX)
    assert "**Alternatives considered.**" in text_of(path)


def test_the_list_of_decisions_has_no_gaps() -> None:
    listed = [int(number) for number in re.findall(r"^\| \[(\d+)\]", text_of(INDEX), re.M)]
    unused = re.search(r"^Never used: ([\d, ]+)\.$", text_of(INDEX), re.M)
    assert unused is not None
    numbers = listed + [int(number) for number in unused[1].split(",")]
    assert len(listed) == len(DECISIONS)
    assert sorted(numbers) == list(range(1, max(numbers) + 1))


def _without_code(path: Path) -> str:
    return re.sub(r"^```.*?^```$", "", text_of(path), flags=re.M | re.S)


def _quoted(path: Path) -> list[str]:
    """What a document sets in code within its sentences."""
    return re.findall(r"`([^`\n]+)`", _without_code(path))


def _paths(quoted: str) -> Iterator[str]:
    """The paths of this repository that `a/{b,c}.py` or `a/b.py::test` means; none where it is
    something else.
    """
    quoted = quoted.partition("::")[0]
    if quoted.split("/", maxsplit=1)[0] not in TOPS or re.search(r"[<>…\s(]", quoted):
        return
    parts = [part.split(",") for part in re.split(r"[{}]", quoted)]
    spelled = [part if place % 2 else [",".join(part)] for place, part in enumerate(parts)]
    yield from ("".join(choice).rstrip("/") for choice in product(*spelled))


def _is_module(name: str) -> bool:
    """Whether this is a module or package, or a name that one of them has."""
    path, _, last = name.rpartition(".")
    if _file(name) is not None:
        return True
    owner = _file(path)
    return owner is not None and re.search(rf"\b{last}\b", owner.read_text()) is not None


def _file(name: str) -> Path | None:
    base = ROOT / name.replace(".", "/")
    candidates = (base.with_suffix(".py"), base / "__init__.py")
    return next((one for one in candidates if one.is_file()), None)
