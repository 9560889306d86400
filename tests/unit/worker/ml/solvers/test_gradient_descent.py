"""The textbook head: its objective, its optimum, its epochs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from app.core.errors import HeadstartError
from worker.ml.solvers import gradient_descent
from worker.ml.solvers.gradient_descent import DescentSettings, Split

CLASSES = 3


def blobs(n: int = 60, *, noise: float = 1.0, seed: int = 0) -> Split:
    """Three classes around their own centres in eight dimensions."""
    random = torch.Generator().manual_seed(seed)
    centres = torch.randn(CLASSES, 8, generator=torch.Generator().manual_seed(7))
    labels = torch.arange(n) % CLASSES
    return Split(
        features=centres[labels] + noise * torch.randn(n, 8, generator=random), labels=labels
    )


class TestObjective:
    def test_its_gradient_is_that_of_finite_differences(self) -> None:
        data = blobs(12)
        batch = Split(features=data.features.double(), labels=data.labels)
        weight = torch.randn(CLASSES, 8, dtype=torch.double, requires_grad=True)
        bias = torch.randn(CLASSES, dtype=torch.double, requires_grad=True)
        assert torch.autograd.gradcheck(
            lambda w, b: gradient_descent.objective(w, b, batch, l2=0.3), (weight, bias)
        )

    def test_its_gradient_is_the_closed_form(self) -> None:
        data = blobs(12)
        weight = torch.randn(CLASSES, 8, requires_grad=True)
        bias = torch.randn(CLASSES, requires_grad=True)
        gradient_descent.objective(weight, bias, data, l2=0.3).backward()
        p = (data.features @ weight.T + bias).softmax(1)
        residual = p - torch.nn.functional.one_hot(data.labels, CLASSES)
        expected = residual.T @ data.features / 12 + 0.6 * weight
        torch.testing.assert_close(weight.grad, expected.detach())
        torch.testing.assert_close(bias.grad, residual.mean(0).detach())

    def test_the_bias_is_free(self) -> None:
        data = blobs(12)
        zero = torch.zeros(CLASSES, 8)
        bias = torch.tensor([5.0, 0.0, -5.0])
        loose = gradient_descent.objective(zero, bias, data, l2=0.0)
        assert gradient_descent.objective(zero, bias, data, l2=9.0) == loose


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_full_batches_reach_scikit_learns_optimum(optimizer: Any) -> None:
    data, l2 = blobs(60), 0.01
    wanted = LogisticRegression(C=1 / (2 * l2 * 60), max_iter=10_000, tol=1e-10)
    wanted.fit(data.features.numpy(), data.labels.numpy())
    rate = 0.3 if optimizer == "sgd" else 0.05
    chosen = DescentSettings(
        optimizer=optimizer, learning_rate=rate, epochs=300, batch_size=60, l2=l2, momentum=0.9
    )
    found = gradient_descent.fit(data, classes=CLASSES, settings=chosen)
    np.testing.assert_allclose(found.weight, wanted.coef_, atol=0.02)


class TestEpochs:
    def test_each_is_reported_with_train_and_validation(self) -> None:
        heard: list[dict[str, Any]] = []
        found = gradient_descent.fit(
            blobs(),
            classes=CLASSES,
            validation=blobs(seed=1),
            settings=DescentSettings(epochs=4),
            report=heard.append,
        )
        assert [event["step"] for event in heard] == [1, 2, 3, 4]
        names = {"train_loss", "train_accuracy", "valid_loss", "valid_accuracy"}
        assert all(event["type"] == "metrics" and set(event["data"]) == names for event in heard)
        assert [point.metrics for point in found.checkpoints] == [event["data"] for event in heard]

    def test_reported_metrics_are_those_of_the_checkpoints_head(self) -> None:
        held = blobs(seed=1)
        found = gradient_descent.fit(
            blobs(), classes=CLASSES, validation=held, settings=DescentSettings(learning_rate=0.01)
        )
        for point in found.checkpoints:
            assert point.tensors is not None
            loss, accuracy = gradient_descent.measure(
                point.tensors["weight"], point.tensors["bias"], held
            )
            assert point.metrics["valid_loss"] == pytest.approx(loss)
            assert point.metrics["valid_accuracy"] == pytest.approx(accuracy)

    def test_the_best_epoch_is_kept_and_patience_stops(self) -> None:
        wrong = Split(features=blobs(seed=1).features, labels=(blobs().labels + 1) % CLASSES)
        chosen = DescentSettings(learning_rate=0.05, epochs=50, patience=3)
        found = gradient_descent.fit(blobs(), classes=CLASSES, validation=wrong, settings=chosen)
        losses = [point.metrics["valid_loss"] for point in found.checkpoints]
        assert found.stopped_early
        assert found.best_epoch == 1 + losses.index(min(losses))
        assert len(losses) == found.best_epoch + 3
        best = found.checkpoints[found.best_epoch - 1].tensors
        assert best is not None
        assert torch.equal(best["weight"], found.weight)

    def test_without_validation_the_penalised_training_loss_decides(self) -> None:
        found = gradient_descent.fit(
            blobs(), classes=CLASSES, settings=DescentSettings(learning_rate=0.01)
        )
        assert found.best_epoch == 10
        assert "valid_loss" not in found.checkpoints[0].metrics

    def test_heads_of_checkpoints_stay_below_their_bound(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        size = 4 * (CLASSES * 8 + CLASSES)
        monkeypatch.setattr(gradient_descent, "CHECKPOINT_BYTES", 5 * size)
        chosen = DescentSettings(learning_rate=0.01, epochs=20)
        found = gradient_descent.fit(blobs(), classes=CLASSES, settings=chosen)
        kept = [point.step for point in found.checkpoints if point.tensors is not None]
        assert kept == [4, 8, 12, 16, 20]
        assert len(found.checkpoints) == 20


class TestReproducibility:
    def test_a_seed_gives_the_same_head_whatever_the_global_state(self) -> None:
        torch.manual_seed(1)
        first = gradient_descent.fit(blobs(), classes=CLASSES, seed=3)
        torch.manual_seed(2)
        state = torch.random.get_rng_state()
        second = gradient_descent.fit(blobs(), classes=CLASSES, seed=3)
        assert torch.equal(first.weight, second.weight)
        assert torch.equal(torch.random.get_rng_state(), state)

    def test_seeds_differ(self) -> None:
        first, second = (
            gradient_descent.fit(blobs(), classes=CLASSES, seed=seed) for seed in (0, 1)
        )
        assert not torch.equal(first.weight, second.weight)

    def test_half_precision_embeddings_train_in_single(self) -> None:
        data = blobs()
        half = Split(features=data.features.half(), labels=data.labels)
        assert gradient_descent.fit(half, classes=CLASSES).weight.dtype == torch.float32


class TestDivergence:
    @pytest.mark.parametrize("rate", [1e30, 1e4])
    def test_is_refused(self, rate: float) -> None:
        chosen = DescentSettings(optimizer="sgd", learning_rate=rate)
        with pytest.raises(HeadstartError) as caught:
            gradient_descent.fit(blobs(), classes=CLASSES, settings=chosen)
        assert caught.value.code == "diverged"
        assert caught.value.param == "learning_rate"

    def test_of_the_validation_loss_alone_too(self) -> None:
        held = blobs(seed=1)
        broken = Split(features=held.features * 1e30, labels=held.labels)
        with pytest.raises(HeadstartError, match="finite"):
            gradient_descent.fit(
                blobs(),
                classes=CLASSES,
                validation=broken,
                settings=DescentSettings(learning_rate=1e10),
            )

    def test_a_bumpy_start_is_no_divergence(self) -> None:
        chosen = DescentSettings(optimizer="sgd", learning_rate=2.0, epochs=20)
        found = gradient_descent.fit(blobs(noise=0.3), classes=CLASSES, settings=chosen)
        assert found.checkpoints[found.best_epoch - 1].metrics["train_accuracy"] == 1.0


@settings(max_examples=4, deadline=None)
@given(st.permutations(range(CLASSES)))
def test_renaming_classes_permutes_the_optimum(order: list[int]) -> None:
    data = blobs(30)
    chosen = DescentSettings(optimizer="sgd", learning_rate=0.3, epochs=200, batch_size=30, l2=0.05)
    place = torch.tensor(order)
    renamed = Split(features=data.features, labels=place[data.labels])
    plain = gradient_descent.fit(data, classes=CLASSES, settings=chosen)
    other = gradient_descent.fit(renamed, classes=CLASSES, settings=chosen)
    torch.testing.assert_close(other.weight[place], plain.weight, atol=2e-3, rtol=0)


def test_more_steps_than_a_worker_has_time_for_are_refused_before_the_first() -> None:
    told: list[object] = []
    with pytest.raises(HeadstartError, match="steps") as caught:
        gradient_descent.fit(
            blobs(),
            classes=CLASSES,
            settings=DescentSettings(epochs=10_000_000, batch_size=1),
            report=told.append,
        )
    assert (caught.value.code, caught.value.param, told) == ("invalid_hyperparameter", "epochs", [])
