"""When a job with `depth` "auto" tunes: what it may take is known before it is spent."""

from __future__ import annotations

from worker.trainer.depth_auto import TryingClock


class Hands:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def clock(*, seconds: float, trainings: float) -> tuple[TryingClock, Hands]:
    hands = Hands()
    made = TryingClock(seconds, hands)
    made.trainings = trainings
    return made, hands


def test_trainings_that_take_longer_than_there_is_are_not_begun() -> None:
    short, _ = clock(seconds=50, trainings=51)
    assert not short.goes_on(100)
    enough, _ = clock(seconds=50, trainings=49)
    assert enough.goes_on(100)


def test_what_the_first_chunk_took_says_nothing_of_the_others() -> None:
    made, hands = clock(seconds=100, trainings=10)
    assert made.goes_on(1016)
    hands.now += 20
    assert made.goes_on(1000)
    hands.now += 1.6
    assert made.goes_on(968), "48 s of passes at that pace"


def test_passes_that_will_take_too_long_are_left_after_a_few() -> None:
    made, hands = clock(seconds=100, trainings=10)
    assert made.goes_on(1016)
    hands.now += 20
    assert made.goes_on(1000)
    hands.now += 3.2
    assert not made.goes_on(968), "97 s of passes at that pace"
    assert 125 < made.expected(968) < 135


def test_it_stops_when_the_time_is_over_whatever_was_expected() -> None:
    made, hands = clock(seconds=5, trainings=0)
    assert made.goes_on(10)
    hands.now += 6
    assert not made.goes_on(5)
