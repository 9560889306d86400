"""What is declared of a method, and what is fitted by its name, agree."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.core import exports, hyperparameters
from app.core.errors import HeadstartError
from tests.unit.worker.ml.tasks import clouds, task
from worker.ml.fit import fit
from worker.ml.heads import export, scoring
from worker.ml.methods import METHODS


def test_every_declared_method_is_fitted_for_its_modalities_and_no_other() -> None:
    declared = {
        (modality, name)
        for name, spec in hyperparameters.METHODS.items()
        for modality in spec.modalities
    }
    fitted = {(modality, name) for modality, of in METHODS.items() for name in of}
    assert declared == fitted


@pytest.mark.parametrize(
    "method", [name for name, of in hyperparameters.METHODS.items() if "image" in of.modalities]
)
@pytest.mark.parametrize("to", exports.FORMATS)
def test_the_exports_it_declares_are_those_that_can_be_made(method: str, to: str) -> None:
    head = scoring.load(fit(task(clouds([3, 3]), method)).head)
    declared = exports.unsupported(to, modality="image", method=method) is None
    try:
        export.check(head, to)
    except HeadstartError:
        assert not declared
    else:
        assert declared


def test_a_method_refuses_what_it_does_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = replace(hyperparameters.METHODS["ridge"], modalities=("text",))
    declared = {**hyperparameters.METHODS, "ridge": spec}
    monkeypatch.setattr(hyperparameters, "METHODS", declared)
    with pytest.raises(HeadstartError, match="reads text") as caught:
        fit(task(clouds([3, 3]), "ridge"))
    assert caught.value.code == "modality_mismatch"
