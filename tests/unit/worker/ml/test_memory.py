"""What a process has of its own is told by the system."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from worker.ml import memory


def test_what_a_process_takes_is_its_own() -> None:
    before = memory.own()
    taken = np.ones(64 * 2**20, np.uint8)
    assert memory.own() - before > taken.nbytes // 2


def test_what_was_freed_goes_back_to_the_system() -> None:
    many = [np.ones(2**16, np.uint8) for _ in range(2000)]
    last = np.ones(2**16, np.uint8)  # what lies behind it is kept by the allocator
    full = memory.own()
    taken = sum(one.nbytes for one in many)
    many.clear()
    memory.give_back()
    assert full - memory.own() > taken // 2
    assert last.all()


@pytest.mark.parametrize("said", [None, "Name: python\n"])
def test_where_the_system_does_not_say_it_is_nothing(
    said: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if said is not None:
        (tmp_path / "status").write_text(said)
    monkeypatch.setattr(memory, "_STATUS", tmp_path / "status")
    assert memory.own() == 0
