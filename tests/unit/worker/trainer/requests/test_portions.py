"""What is asked at once: everything once, in order, and no more than takes seconds."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from app.core.messages import Input
from worker.trainer.requests.portions import is_long, parts, portions, weight

inputs = st.lists(
    st.builds(Input, kind=st.sampled_from(["text", "image"]), data=st.binary(max_size=9_000)),
    max_size=60,
)


@given(inputs)
def test_parts_are_all_of_a_request_and_none_is_long(given_inputs: list[Input]) -> None:
    found = list(parts(given_inputs))
    assert [one for some in found for one in some] == given_inputs
    assert not any(is_long(some) for some in found)


def test_long_texts_are_few_and_short_ones_and_pictures_many() -> None:
    short, long = Input("text", b"a few words"), Input("text", b"x" * 2500)
    picture = Input("image", b"x" * 10**6)
    sizes = {one.data[:1]: [len(some) for some in parts([one] * 64)] for one in (short, long)}
    assert sizes[short.data[:1]] == [32, 32]
    assert sizes[long.data[:1]] == [3] * 21 + [1]
    assert [len(some) for some in parts([picture] * 33)] == [32, 1]
    assert weight([short, long, picture]) == 12


def test_one_that_is_more_than_may_be_asked_at_once_is_alone() -> None:
    assert list(portions([1, 40, 1, 1], float)) == [[1], [40], [1, 1]]
    assert not is_long([Input("text", b"x" * 10**6)])
