"""The gate of promotions: how often it lets worse candidates pass, and better ones."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from random import Random
from typing import Any

from app.core.promotion.gate import PromotionGate, decide
from app.core.promotion.paired_tests import non_inferiority
from app.core.promotion.pairs import Pair, Verdicted, discordance
from app.core.promotion.spending import Budget, ask, budget
from benchmarks.record import record, shared_data

HELD_OUT, LOOKS, ALIASES, RETRAINS = 500, 500, 200, 50
WORKERS, PORTION = 6, 50
DRAWS = 100
"""Of the bootstrap behind the guard of rare classes, which can only refuse."""
GATE = PromotionGate()
SETS = ("bccd_cells", "clothing", "omniglot", "sign_digits", "grocery")
Rates = tuple[float, float]
"""Of what the incumbent has wrong the share that the candidate gains, of the right what it loses,
both of all examples."""
WORSE: dict[str, Rates] = {
    "by the margin, alike": (0.01, 0.03),
    "by the margin, unlike": (0.06, 0.08),
    "by the margin and a point": (0.03, 0.06),
}
BETTER: dict[str, Rates] = {
    "by 3 points, alike": (0.05, 0.02),
    "by 3 points, errors independent": (0.093, 0.063),
}


def main() -> None:
    """Simulate, measure, write down."""
    ArgumentParser(description=__doc__).parse_args()
    with ProcessPoolExecutor(WORKERS, mp_context=get_context("fork")) as pool:
        alike = WORSE["by the margin, alike"]
        single = {name: pool.submit(_single, rates, 1) for name, rates in WORSE.items()}
        grouped = pool.submit(_single, alike, 7, 5)
        better = {name: pool.submit(_single, rates, 20) for name, rates in BETTER.items()}
        lives = {
            name: [pool.submit(_lives, rates, seed) for seed in range(0, ALIASES, PORTION)]
            for name, rates in list(WORSE.items())[:2]
        }
        results: dict[str, Any] = {
            "worse_promoted_in_single_looks": {k: one.result() for k, one in single.items()},
            "worse_promoted_in_single_looks_in_groups_of_five": grouped.result(),
            "aliases_that_ever_promoted_one_worse_by_the_margin": {
                name: sum(one.result() for one in some) / ALIASES for name, some in lives.items()
            },
            "better_promoted_in_single_looks": {k: one.result() for k, one in better.items()},
        }
    results["near_copies_among_different_pictures"] = _near_copies()
    record(
        "promotion_gate",
        figure="shares of candidates, and of aliases, that the gate promotes",
        method=f"{LOOKS} drawn comparisons of {HELD_OUT} held-out examples at the first look; "
        f"{ALIASES} aliases with {RETRAINS} candidates each on the same held-out examples, half of "
        "whose differences from the incumbent all candidates share; default gate (non-inferior, "
        "margin 0.02, alpha 0.05). Near copies: the share of 300 test pictures with a cosine in "
        "the last layer to one of 400 training pictures from which the gate calls it a copy.",
        results=results,
    )


def _single(rates: Rates, seed: int, group: int = 1) -> float:
    """The share of candidates that are promoted at their first look."""
    random = Random(seed)
    looks = (_promoted(_pairs(random, rates, group), Budget(GATE.alpha)) for _ in range(LOOKS))
    return sum(looks) / LOOKS


def _promoted(pairs: Sequence[Pair], left: Budget) -> bool:
    """The gate's verdict; what does not pass by its p is not resampled."""
    p = non_inferiority(discordance(pairs), GATE.margin, left.level)
    return p <= left.level and decide(pairs, GATE, left, draws=DRAWS).verdict == "promoted"


def _lives(rates: Rates, first: int) -> int:
    """How many of so many aliases ever promoted a worse candidate."""
    return sum(_life(rates, 1000 + seed) for seed in range(first, first + PORTION))


def _pairs(random: Random, rates: Rates, group: int) -> list[Pair]:
    """New examples, `group` in a row answered alike."""
    kinds = [_kind(random, rates) for _ in range(HELD_OUT // group)]
    return [
        _pair(place, kinds[place // group], str(place // group))
        for place in range(len(kinds) * group)
    ]


def _kind(random: Random, rates: Rates) -> tuple[bool, bool]:
    """Whether the candidate, and the incumbent, are right: nine times in ten both, else none."""
    at = random.random()
    if at < rates[0]:
        return True, False
    if at < sum(rates):
        return False, True
    both = random.random() < 0.9
    return both, both


def _pair(place: int, kind: tuple[bool, bool], group: str) -> Pair:
    label = "ab"[place % 2]
    answers = [
        Verdicted(label if right else "ba"[place % 2], 0.9 if right else 0.1) for right in kind
    ]
    return Pair(label, group, answers[0], answers[1])


def _life(rates: Rates, seed: int) -> bool:
    """Whether any of an alias's worse candidates was promoted, on one held-out set."""
    random = Random(seed)
    marks, asked = [str(place) for place in range(HELD_OUT)], dict[str, int]()
    incumbent = [random.random() < 0.9 for _ in marks]
    shared = [random.random() for _ in marks]
    for _ in range(RETRAINS):
        left = budget([[one] for one in marks], asked, alpha=GATE.alpha)
        asked = ask(marks, asked)
        pairs = [
            _pair(place, (_answer(random, right, rates, shared[place]), right), str(place))
            for place, right in enumerate(incumbent)
        ]
        if _promoted(pairs, left):
            return True
    return False


def _answer(random: Random, right: bool, rates: Rates, shared: float) -> bool:
    """A candidate's answer: half of the time the one that all candidates share differs or not."""
    at = shared if random.random() < 0.5 else random.random()
    return at >= rates[1] / 0.9 if right else at < rates[0] / 0.1


def _near_copies() -> dict[str, float]:
    import torch
    from torch import Tensor

    from worker.ml.engines import load_engine
    from worker.ml.engines.stream import embed_stream
    from worker.tensors.likeness import likeness

    root = shared_data()
    engine = load_engine("efficientnet_lite0", None)

    def rows(folder: Path, most: int) -> Tensor:
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        Random(0).shuffle(files)
        stream = embed_stream(
            engine, (path.read_bytes() for path in files[:most]), view="squish", threads=2
        )
        found = dict(stream)
        return torch.stack([torch.as_tensor(found[place]) for place in sorted(found)])

    shares = {}
    for name in SETS:
        told = likeness(
            rows(root / name / "test", 300), rows(root / name / "train", 400), last=engine.spec.last
        )
        least = max(0.97, 1 - 0.25 * told["apart"])
        shares[name] = sum(one >= least for one in told["cosines"]) / len(told["cosines"])
    return shares


if __name__ == "__main__":
    main()
