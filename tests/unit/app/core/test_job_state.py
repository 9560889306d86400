"""The laws of a job's states, for every sequence of moves."""

from __future__ import annotations

from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.errors import HeadstartError
from app.core.job_state import STATUSES, TERMINAL, JobStatus, advance

ANY = st.sampled_from(STATUSES)


def walk(moves: list[JobStatus]) -> list[JobStatus]:
    """The states a job goes through; moves that are not allowed leave it where it is."""
    seen: list[JobStatus] = ["validating_files"]
    for move in moves:
        with suppress(HeadstartError):
            seen.append(advance(seen[-1], move))
    return seen


@given(st.lists(ANY, max_size=30))
def test_a_job_ends_at_most_once_and_stays_so(moves: list[JobStatus]) -> None:
    seen = walk(moves)
    ends = [state for state in seen if state in TERMINAL]
    assert len(ends) <= 1
    if ends:
        assert seen[-1] == ends[0]


@given(st.lists(ANY, max_size=30))
def test_success_comes_only_from_running_and_running_only_from_queued(
    moves: list[JobStatus],
) -> None:
    seen = walk(moves)
    for before, after in pairwise(seen):
        assert after != "succeeded" or before == "running"
        assert after != "running" or before == "queued"


@given(st.lists(ANY, max_size=30))
def test_validation_is_gone_back_to_by_resuming_alone(moves: list[JobStatus]) -> None:
    for before, after in pairwise(walk(moves)):
        assert after != "validating_files" or before == "paused"


@given(st.lists(ANY, max_size=30))
def test_every_job_that_has_not_ended_can_be_cancelled(moves: list[JobStatus]) -> None:
    state = walk(moves)[-1]
    if state in TERMINAL:
        with pytest.raises(HeadstartError) as caught:
            advance(state, "cancelled")
        assert (caught.value.code, caught.value.param) == ("invalid_transition", "status")
    else:
        assert advance(state, "cancelled") == "cancelled"


@pytest.mark.parametrize("state", STATUSES)
def test_no_state_leads_to_itself(state: JobStatus) -> None:
    with pytest.raises(HeadstartError):
        advance(state, state)
