"""What a try keeps can be read by the next one, and by no other fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from worker.tensors import tuning


def kept(folder: Path, state: dict[str, torch.Tensor]) -> str:
    told: list[tuple[str, dict[str, Any]]] = []
    keeper = tuning.Keeper(folder, "this fit", lambda *said: told.append(said), seconds=0.0)
    keeper(state)
    ((kind, data),) = told
    assert (kind, data["number"]) == ("kept", 1)
    return str(data["file"])


def test_tensors_of_any_layout_are_kept(tmp_path: Path) -> None:
    whole = torch.arange(24.0).reshape(2, 3, 2, 2)
    state = {
        "turned": whole.to(memory_format=torch.channels_last),
        "whole": whole,
        "part": whole[1],
    }
    file = kept(tmp_path, state)
    found = tuning._kept(file, "this fit", lambda *_: None)
    assert found is not None
    assert all(torch.equal(found[name], value) for name, value in state.items())


def test_what_another_fit_kept_is_not_taken(tmp_path: Path) -> None:
    file = kept(tmp_path, {"x": torch.zeros(2)})
    assert tuning._kept(file, "another fit", lambda *_: None) is None


def test_a_damaged_state_is_told_and_left(tmp_path: Path) -> None:
    (tmp_path / "state").write_bytes(b"\x00" * 5)
    told: list[dict[str, Any]] = []
    found = tuning._kept(str(tmp_path / "state"), "", lambda _kind, data: told.append(data))
    assert found is None
    assert told[0]["level"] == "warn"


def test_states_are_kept_now_and_then(tmp_path: Path) -> None:
    told: list[str] = []
    keeper = tuning.Keeper(tmp_path, "", lambda kind, _data: told.append(kind), seconds=60.0)
    keeper({"x": torch.zeros(2)})
    assert not told


def test_who_is_to_stop_keeps_what_it_has_and_stops(tmp_path: Path) -> None:
    told: list[str] = []
    keeper = tuning.Keeper(
        tmp_path, "", lambda kind, _data: told.append(kind), seconds=60.0, stopped=lambda: True
    )
    with pytest.raises(tuning.StoppedError):
        keeper({"x": torch.zeros(2)})
    assert told == ["kept"]
