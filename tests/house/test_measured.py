"""A measured number in prose stands in a section that names the file which holds it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from benchmarks.figures import capacity
from tests.house.reading import ROOT, SUFFIXES, text_of, tracked

PROSE = [path for path in tracked() if path.suffix == ".md"]
MEASURED = re.compile(
    r"\d(\.\d+)? ?(%|\u00d7|ms\b|µs\b|points\b|times as)|\d\.\d+ (s|seconds)\b"
    r"|\b(AUROC|accuracy|error) (of |is )?0\.\d"
)
RESULT = re.compile(r"benchmarks/results/(\w+\.json)")
DEMO = "docs/demo.svg"
"""What `make demo` printed, as it printed it."""
SETTINGS = {
    "docs/adr/0012-celery-rings-the-loop-works.md": "how often it looks",
}


@pytest.mark.parametrize("path", PROSE, ids=str)
def test_measured_numbers_name_their_file(path: Path) -> None:
    if path.as_posix() in SETTINGS:
        return
    unsourced = [
        found.group()
        for section in _sections(path)
        if (found := MEASURED.search(section)) and not (RESULT.search(section) or DEMO in section)
    ]
    assert unsourced == [], "name the file of benchmarks/results that holds these"


def test_every_result_that_is_named_exists() -> None:
    named = {
        (path.as_posix(), name)
        for path in tracked()
        if path.suffix in SUFFIXES
        for name in RESULT.findall(text_of(path))
    }
    gone = [one for one in named if not (ROOT / "benchmarks/results" / one[1]).is_file()]
    assert sorted(gone) == []


def test_capacity_is_computed_from_costs_as_they_are_measured() -> None:
    """To a quarter; else `python -m benchmarks.figures.capacity`, and docs/capacity.md anew."""
    told = json.loads(text_of(Path("benchmarks/results/capacity.json")))["results"]["costs"]
    assert told == pytest.approx(asdict(capacity.costs()), rel=0.25)


def test_the_demos_figures_are_those_of_its_picture() -> None:
    printed = re.findall(r"\d+\.?\d*", re.sub(r"<[^>]*>|&#160;", " ", text_of(Path(DEMO))))
    opening = next(_sections(Path("README.md"))).replace(",", "")
    figures = re.findall(r"(?<!\.)\b(?:\d+\.\d+|\d{3,})\b", opening)
    assert figures
    assert set(figures) <= set(printed)


@pytest.mark.parametrize(
    ("sentence", "measured"),
    [
        ("It is 4.2 points above.", True),
        ("A lone request takes 2 ms.", True),
        ("Its calibration error is 0.04.", True),
        ("Pictures over 16 megapixels are refused.", False),
        ("At most 2,000 examples a chunk, 3 tries.", False),
    ],
)
def test_the_rule_sees(sentence: str, measured: bool) -> None:
    assert bool(MEASURED.search(sentence)) == measured


def _sections(path: Path) -> Iterator[str]:
    """The parts of a document between headings, without its code and the name of an interval."""
    prose = re.sub(r"^```.*?^```$|95% interval", "", text_of(path), flags=re.M | re.S)
    yield from (part for part in re.split(r"^#+ ", prose, flags=re.M) if part.strip())
