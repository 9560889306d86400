"""What of a file does not fit is told by its tensors, and with what to do."""

from __future__ import annotations

import torch

from worker.ml.backbones.misfit import classes, lacking, listed, misfit

WANTED = {"a.weight": torch.zeros(4, 3), "a.bias": torch.zeros(4), "fc.weight": torch.zeros(9, 4)}


def test_a_prefix_is_found() -> None:
    assert not misfit(WANTED, WANTED)
    for prefix in ("module.", "0.auto_model."):
        told = misfit(WANTED, {f"{prefix}{key}": one for key, one in WANTED.items()})
        assert f"behind the prefix {prefix!r}, such as {prefix}a.weight" in told
    both = {f"{prefix}{key}": key for key in WANTED for prefix in ("student.model.", "teacher.")}
    assert "prefix 'teacher.'" in lacking(list(WANTED), both)


def test_what_is_missing_misshapen_or_too_much_is_named() -> None:
    state = {**WANTED, "b": torch.zeros(1)}
    assert misfit(WANTED, state) == "the file has more than this network: b"
    state = {**WANTED, "a.weight": torch.zeros(4, 1)}
    assert "a.weight is 4x1 in the file and 4x3 in the network" in misfit(WANTED, state)
    del state["a.bias"]
    assert misfit(WANTED, state).startswith("the file has no a.bias: ")
    half = {"module.a.bias": WANTED["a.bias"]}
    assert lacking(["a.bias", "a.weight"], half).startswith("the file has no a.bias, a.weight: ")
    assert listed(list("abcdefg")) == "a, b, c, d, e and 2 more"


def test_only_another_number_of_classes_is_another_number_of_classes() -> None:
    assert classes(WANTED, WANTED) is None
    assert classes(WANTED, {**WANTED, "fc.weight": torch.zeros(5, 4)}) == 5
    assert classes(WANTED, {**WANTED, "fc.weight": torch.zeros(5, 3)}) is None
    other = {"a.weight": torch.zeros(5, 3), "fc.weight": torch.zeros(6, 4)}
    assert classes(WANTED, {**WANTED, **other}) is None
