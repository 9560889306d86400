"""The model of capacity: its laws, that its result follows from the others, and what docs quote."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.figures import capacity
from benchmarks.figures.capacity import Askers, Assumed, Limits, Load, askers, hit_share, key_reads

ROOT = Path(__file__).resolve().parents[3]
RESULT: dict[str, Any] = json.loads((ROOT / "benchmarks/results/capacity.json").read_text())
ROWS: dict[str, Any] = json.loads((ROOT / "benchmarks/results/postgres_costs.json").read_text())
PAGE = (ROOT / "docs/capacity.md").read_text()


def test_the_result_follows_from_its_costs() -> None:
    cost = capacity.Costs(**RESULT["results"]["costs"])
    told = capacity.simulate(cost, Assumed(), Limits())
    told["units"] = capacity.units(cost)
    known = RESULT["results"]
    assert {name: known[name] for name in told} == json.loads(json.dumps(told))


@given(
    tenants=st.integers(1, 3000),
    room=st.integers(1, 3000),
    zipf=st.floats(0.0, 1.5),
)
def test_a_cache_that_holds_more_finds_more(tenants: int, room: int, zipf: float) -> None:
    seen = askers(Load(tenants, 1, 10.0), replace(Assumed(), zipf=zipf))
    assert seen.tenants.sum() == tenants
    assert (seen.tenants * seen.rate).sum() == pytest.approx(10.0)
    share = hit_share(seen, room)
    assert 0.0 <= share <= 1.0
    assert hit_share(seen, room + 1) >= share - 1e-9
    if room >= tenants:
        assert share == 1.0


def test_where_all_ask_alike_a_cache_finds_the_share_that_it_holds() -> None:
    seen = Askers(np.full(1000, 0.1), np.ones(1000))
    assert hit_share(seen, 250) == pytest.approx(0.25, abs=0.01)


def test_caches_are_as_a_simulated_one_of_them_is() -> None:
    """Che's approximation against an LRU cache that is really asked."""
    count, room, draws = 500, 50, 40_000
    seen = askers(Load(count, 1, 1.0), Assumed())
    weight = 1.0 / np.arange(1, count + 1)
    asked = np.random.default_rng(0).choice(count, draws, p=weight / weight.sum())
    cache: dict[int, None] = {}
    hits = 0
    for one in asked.tolist():
        hits += one in cache
        cache.pop(one, None)
        cache[one] = None
        if len(cache) > room:
            del cache[next(iter(cache))]
    assert hit_share(seen, room) == pytest.approx(hits / draws, abs=0.02)


def test_a_key_is_looked_up_once_a_second_at_most() -> None:
    assert key_reads(Askers(np.array([1000.0]), np.array([1.0]))) == pytest.approx(1.0, abs=0.01)
    assert key_reads(Askers(np.array([0.001]), np.array([1000.0]))) == pytest.approx(1.0, abs=0.01)


def test_more_of_everything_asks_more_of_every_part() -> None:
    cost = capacity.costs()
    small, large = (
        capacity.demand(Load(1e5 * times, 1e8 * times, 1e4 * times), cost, Assumed())
        for times in (1, 4)
    )
    grown = {name for name in small if large[name] > small[name]}
    assert grown == set(small) - {"heads_fetched_a_second_by_affinity"}


def test_every_part_that_breaks_is_one_that_is_computed() -> None:
    asked = {found.asks for found in capacity.breaks(Limits())}
    assert asked <= set(RESULT["results"]["at_the_target"])
    first = RESULT["results"]["breaks"][0]
    assert RESULT["results"]["first"] == first["part"]
    assert first["part"] in PAGE
    for found in RESULT["results"]["breaks"]:
        assert found["replaced_by"] in PAGE.replace("\n", " ")


def _numbers(found: Any) -> Iterator[float]:
    if isinstance(found, dict):
        for value in found.values():
            yield from _numbers(value)
    elif isinstance(found, list):
        for value in found:
            yield from _numbers(value)
    elif isinstance(found, (int, float)):
        yield float(found)


def _is(quoted: str, known: float) -> bool:
    """Whether a number is this one, to the digits that are quoted."""
    plain = quoted.replace(",", "")
    places = len(plain.partition(".")[2])
    digits = len(plain.rstrip("0")) if not places else 0
    unit = 10.0**-places if places else 10.0 ** (len(plain) - digits)
    return abs(float(plain) - known) <= unit / 2 + 1e-9


def test_every_figure_of_the_page_is_one_of_the_results() -> None:
    written = ROWS["results"]["rows_written"].values()
    rows = [float(sum(one.values())) for one in written if isinstance(one, dict)]
    known = [*_numbers(RESULT["results"]), *_numbers(ROWS["results"]), *rows]
    tables = "\n".join(line for line in PAGE.splitlines() if line.startswith("|"))
    prose = re.sub(r"`[^`]*`|\]\([^)]*\)", "", tables)
    quoted = re.findall(r"(?<![\w.])\d[\d,]*(?:\.\d+)?", prose)
    assert len(quoted) > 25
    assert [one for one in quoted if not any(_is(one, value) for value in known)] == []


@pytest.mark.parametrize(
    ("quoted", "known", "same"),
    [("1,953", 1953.2, True), ("2,000", 1953.2, True), ("1,940", 1953.2, False),
     ("0.25", 0.2512, True), ("0.26", 0.2512, False), ("73.1", 73.137, True)],
)  # fmt: skip
def test_the_rule_sees(quoted: str, known: float, same: bool) -> None:
    assert _is(quoted, known) == same
