"""What a library in Rust raises is no Exception, and ends no thread of a network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.unit.worker.predictor.test_batching import Desk, batcher, call, prepare
from worker.predictor.calls import PendingInput


class PanicException(BaseException):
    """No Exception."""


def test_a_librarys_panic_ends_no_thread() -> None:
    def decoding(item: PendingInput) -> int:
        if item.index == 0 and item.input.data == b"0":
            raise PanicException
        return prepare(item)

    def panicking(batch: list[Any]) -> Sequence[Any]:
        if 1 in batch:
            raise PanicException
        return batch

    desk = Desk()
    with batcher(panicking, desk, work=decoding) as made:
        for count, told in enumerate(("0", "1", "0", "1", "0", "1", "2"), 1):
            made.submit(*call(told))
            desk.wait(count)
    errors = [one.error and one.error.code for one in desk.outcomes]
    assert errors == ["internal"] * 6 + [None]
