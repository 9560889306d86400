"""A head's metadata is written anew, and its tensors stay."""

from __future__ import annotations

import numpy as np
import pytest
from safetensors.numpy import load, save

from app.core.calibration import head_files

TENSORS = {"weight": np.arange(6, dtype=np.float16), "bias": np.ones(3, np.float32)}


@pytest.mark.parametrize("told", [None, {"config_sha256": "0" * 64}, {"other": "é"}])
def test_tensors_stay_and_metadata_is_what_was_said(told: dict[str, str] | None) -> None:
    data = save(TENSORS, metadata=told)
    assert head_files.metadata(data) == (told or {})
    new = head_files.with_metadata(data, {"config_sha256": "1" * 61})
    assert head_files.metadata(new) == {"config_sha256": "1" * 61}
    found = load(new)
    assert sorted(found) == sorted(TENSORS)
    for name, value in TENSORS.items():
        np.testing.assert_array_equal(found[name], value)


def test_a_config_is_hashed_as_it_is_read_back() -> None:
    one, other = ({"config": {"b": pair, "a": 1}} for pair in ((1, 2), [1, 2]))
    assert head_files.config_sha256(one) == head_files.config_sha256(other)
    assert head_files.config_sha256(one) != head_files.config_sha256({"config": {"a": 1}})


def test_rows_are_dropped_of_some_tensors_alone() -> None:
    tensors = {
        "weight": np.arange(12, dtype=np.float16).reshape(3, 4),
        "exemplars": np.arange(20, dtype=np.int8).reshape(5, 4),
        "exemplar_labels": np.arange(5, dtype=np.int32),
        "bias": np.arange(3, dtype=np.float32),
    }
    data = save(tensors, metadata={"a": "b"})
    made = head_files.without_rows(data, ["exemplars", "exemplar_labels"], [1, 4])
    found = load(made)
    assert head_files.metadata(made) == {"a": "b"}
    assert head_files.shapes(made)["exemplars"] == [3, 4]
    for name, value in tensors.items():
        wanted = value[[0, 2, 3]] if name.startswith("exemplar") else value
        np.testing.assert_array_equal(found[name], wanted)
        assert found[name].dtype == value.dtype
    assert tensors["exemplars"][1].tobytes() not in made
    none = load(head_files.without_rows(data, ["exemplars"], range(5)))
    assert none["exemplars"].shape == (0, 4)
