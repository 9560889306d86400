"""No accepted set of examples is too degenerate for a fit."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.worker.ml.degenerate import (
    KINDS,
    TEXTS,
    assert_sound,
    image_task,
    support_of,
    text_task,
    texts_of,
)
from tests.unit.worker.ml.tasks import VIEWS, clouds, task
from worker.ml import fit, folds
from worker.ml.fitting import text_kernel
from worker.ml.heads import scoring
from worker.ml.methods import METHODS, auto

pytestmark = pytest.mark.slow

SIZES = st.integers(2, 60).flatmap(
    lambda classes: st.tuples(st.integers(classes, max(classes, 70)), st.just(classes))
)
VIEW_SETS = st.sampled_from([("squish",), ("squish", "mirror"), ("squish", "rot90"), VIEWS])


@pytest.mark.parametrize("method", METHODS["image"])
@settings(max_examples=6, deadline=None)
@given(st.sampled_from(sorted(KINDS)), SIZES, VIEW_SETS)
def test_images_of_every_kind(
    method: str, kind: str, size: tuple[int, int], views: tuple[str, ...]
) -> None:
    asked = image_task(support_of(KINDS[kind], *size, views=views), KINDS[kind], method)
    assert_sound(fit.fit(asked), asked.support)


@pytest.mark.parametrize("method", METHODS["text"])
@settings(max_examples=4, deadline=None)
@given(st.sampled_from(sorted(KINDS)), st.sampled_from(sorted(TEXTS)), SIZES)
def test_texts_of_every_kind(method: str, kind: str, text: str, size: tuple[int, int]) -> None:
    support = texts_of(KINDS[kind], TEXTS[text], *size)
    assert_sound(fit.fit(text_task(support, method)), support)


@pytest.mark.parametrize("method", METHODS["image"])
@pytest.mark.parametrize("kind", ["frames of fixed cameras", "all equal", "one feature differs"])
def test_many_images_are_spanned_by_landmarks(
    monkeypatch: pytest.MonkeyPatch, method: str, kind: str
) -> None:
    monkeypatch.setattr(folds, "MOST_DUAL", 60)
    support = support_of(KINDS[kind], 130, 2, views=("squish", "mirror"))
    asked = image_task(support, KINDS[kind], method)
    assert_sound(fit.fit(asked), asked.support)


@pytest.mark.parametrize("text", ["a template", "numbered words"])
def test_many_texts_are_folded(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(text_kernel, "MOST_DUAL", 60)
    monkeypatch.setattr(text_kernel, "FOLDED", 64)
    support = texts_of(KINDS["near-constant"], TEXTS[text], 130, 2)
    assert_sound(fit.fit(text_task(support)), support)


def test_texts_that_share_a_template() -> None:
    support = texts_of(KINDS["near-constant"], TEXTS["a template"], 450, 3)
    found = fit.fit(text_task(support))
    assert_sound(found, support)
    assert found.evaluation["accuracy"]["value"] > 0.95


def test_thousands_of_frames() -> None:
    support = support_of(KINDS["frames of fixed cameras"], 3000, 2)
    found = fit.fit(task(support, "prototypical", space="last"))
    assert_sound(found, support)
    assert found.evaluation["accuracy"]["value"] == 1


@pytest.mark.parametrize("given_", [{"l2": 1e-6}, {"l2": 1e6}])
@pytest.mark.parametrize("method", ["logistic", "ridge"])
def test_the_ends_of_the_schema_on_near_copies(method: str, given_: dict[str, float]) -> None:
    support = support_of(KINDS["frames of fixed cameras"], 80, 2, views=("squish", "mirror"))
    assert_sound(fit.fit(task(support, method, **given_)), support)


def test_weights_too_large_for_half_precision_are_divided_with_the_temperature(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    support = clouds([6, 6, 6], noise=1.5)
    plain = fit.fit(task(support, "ridge"))
    standard = auto.HeadFit.standard
    monkeypatch.setattr(auto.HeadFit, "standard", lambda self: standard(self).scaled(1e6))
    monkeypatch.setattr("worker.ml.assess.calibration.LOWEST", 1e-9)
    monkeypatch.setattr("worker.ml.assess.calibration.HIGHEST", 1e9)
    monkeypatch.setattr("worker.ml.assess.calibration.SPREAD", 1e3)
    large = fit.fit(task(support, "ridge"))
    assert float(large.head.tensors["weight"].abs().max()) <= torch.finfo(torch.half).max
    assert_sound(large, support)
    said = [
        scoring.probabilities(one.head, support.features, layout=task(support).layout).argmax(1)
        for one in (plain, large)
    ]
    assert torch.equal(*said)
