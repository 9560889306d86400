"""`auto` on texts: one kernel of embedding and n-grams, its laws, and what it serves."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from app.core.backbones import BACKBONES, E5
from app.core.errors import HeadstartError
from app.infra import weights
from worker.ml.artifact import HeadArtifact, HeadConfig
from worker.ml.assess import new_sources
from worker.ml.features import ngrams, spaces, whitening
from worker.ml.fit import fit
from worker.ml.fitting import text_kernel, text_mix
from worker.ml.fitting.text_kernel import Kernel, Mix
from worker.ml.folds import assigned
from worker.ml.heads import scoring, scoring_text
from worker.ml.methods import text
from worker.ml.methods.finish import finish
from worker.ml.methods.setting import Setting
from worker.ml.tasks import Support, Task

pytestmark = pytest.mark.slow

WORDS = {
    "card": ["card", "plastic", "chip", "delivery", "arrive", "post"],
    "password": ["password", "login", "reset", "code", "forgot", "account"],
    "refund": ["refund", "money", "return", "charge", "back", "paid"],
}
CLASSES = list(WORDS)
LAYOUT = BACKBONES["all-MiniLM-L6-v2"].layout
WIDTH = 384


def sentence(label: str, random: np.random.Generator) -> str:
    """A few words of the class among words of none."""
    filler = ["please", "my", "the", "still", "why", "help", "not", "today", "again"]
    said = [*random.choice(WORDS[label], 2), *random.choice(filler, 4)]
    return " ".join(random.permutation(said))


def embedded(labels: Sequence[str], random: np.random.Generator, noise: float) -> Tensor:
    """Embeddings around a centre for each class; with much noise they say nothing."""
    centres = np.random.default_rng(5).normal(size=(len(CLASSES), WIDTH))
    places = [CLASSES.index(label) for label in labels]
    rows = centres[places] + noise * random.normal(size=(len(labels), WIDTH))
    return torch.nn.functional.normalize(torch.from_numpy(rows).float(), dim=1)


def drawn(per_class: int, *, seed: int = 0, noise: float = 3.0) -> Support:
    random = np.random.default_rng(seed)
    labels = [label for label in CLASSES for _ in range(per_class)]
    return Support(
        features={"text": embedded(labels, random, noise)},
        labels=torch.tensor([CLASSES.index(label) for label in labels]),
        groups=torch.arange(len(labels)),
        ids=[f"ex_{seed}_{row}" for row in range(len(labels))],
        classes=CLASSES,
        texts=[sentence(label, random) for label in labels],
    )


def task(support: Support, **changes: object) -> Task:
    plain = Task(
        method="auto", hyperparameters={}, support=support, layout=LAYOUT, backbone="minilm"
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def logits_of(support: Support, test: Support, **changes: object) -> Tensor:
    return logits_by(fit(task(support, **changes)).head, test)


def logits_by(head: HeadArtifact, test: Support) -> Tensor:
    """Before the temperature."""
    assert test.texts is not None
    unit = spaces.unit(test.features["text"].float())
    known = scoring_text._known(head, ngrams.rows(test.texts))
    return scoring_text._logits(head, unit, known)


class TestFit:
    def test_where_each_class_is_one_group_nothing_is_estimated(self) -> None:
        support = drawn(6)
        found = fit(task(replace(support, groups=support.labels)))
        assert not found.evaluation["estimable"]
        assert found.evaluation["accuracy"]["value"] is None

    def test_a_class_in_one_group_judges_nothing(self) -> None:
        support = drawn(8, noise=0.3)
        groups = torch.where(support.labels == 1, 100, support.groups)
        found = fit(task(replace(support, groups=groups)))
        supports = {row["label"]: row["support"] for row in found.evaluation["per_class"]}
        assert supports[CLASSES[1]] == 0
        assert CLASSES[1] not in str(found.advice["confused"])

    def test_training_frequencies_are_put_back_where_balance_is_off(self) -> None:
        support, new = drawn(20), drawn(20, seed=9)
        rows = torch.nonzero((support.labels != 0) | (torch.arange(len(support)) % 5 == 0))[:, 0]
        uneven = support.take(rows)
        assert new.texts is not None
        shares = []
        for chosen in ("auto", "none"):
            found = fit(task(uneven, hyperparameters={"class_balance": chosen}))
            answered = scoring_text.answer(found.head, new.features["text"], new.texts)
            shares.append(float(answered.probabilities[:, 0].mean()))
            assert found.hyperparameters["class_balance"] in ("balanced", chosen)
            assert found.evaluation["class_balance"]["imbalance"] == 5
        assert shares[1] < shares[0]

    def test_it_learns_and_says_how_well(self) -> None:
        found = fit(task(drawn(10)))
        test = drawn(50, seed=1)
        assert test.texts is not None
        answer = scoring_text.answer(found.head, test.features["text"], test.texts)
        accuracy = float((answer.probabilities.argmax(1) == test.labels).float().mean())
        stated = found.evaluation["accuracy"]
        assert accuracy > 0.9
        assert stated["low"] <= accuracy <= stated["high"]
        assert found.evaluation["how"] == {
            "method": "k-fold",
            "num_examples": 30,
            "left_out": 0,
            "folds": 5,
            "holds_for": new_sources.SAME,
        }

    def test_everything_but_tensors_is_json(self) -> None:
        found = fit(task(drawn(4), validation=drawn(3, seed=2)))
        told = [found.head.config.as_json(), found.evaluation, found.advice, found.hyperparameters]
        json.dumps(told, allow_nan=False)

    def test_one_example_a_class_works_and_is_not_estimable(self) -> None:
        found = fit(task(drawn(1)))
        assert not found.evaluation["estimable"]
        assert not found.head.config.novelty.estimable
        assert found.advice["more_examples"] == []

    def test_a_validation_set_is_held_out_and_both_are_told(self) -> None:
        found = fit(task(drawn(5), validation=drawn(8, seed=3)))
        assert found.evaluation["how"]["method"] == "hold-out"
        assert found.evaluation["how"]["num_examples"] == 24
        assert found.evaluation["out_of_fold"]["how"]["method"] == "k-fold"

    def test_a_class_without_examples_or_a_name_is_refused(self) -> None:
        support = drawn(5)
        kept = support.take((support.labels != 1).nonzero()[:, 0])
        with pytest.raises(HeadstartError, match=support.classes[1]) as caught:
            logits_of(kept, drawn(20, seed=1))
        assert caught.value.code == "insufficient_classes"

    def test_without_texts_it_refuses(self) -> None:
        support = drawn(2)
        with pytest.raises(HeadstartError):
            fit(task(replace(support, texts=None)))

    def test_a_small_head_is_small(self) -> None:
        assert fit(task(drawn(5))).head.nbytes < 200_000


def kernel_of(support: Support) -> tuple[Support, Kernel]:
    setting = Setting.of(task(support))
    return setting.support, text._kernel(setting, setting.support.texts or ())


def both(kernel: Kernel, w: float) -> np.ndarray:
    """Rows [N, D + m] whose inner products are the mixture's, all buckets apart."""
    table = kernel.table
    known, place = np.unique(table.buckets, return_inverse=True)
    lexical = np.zeros((len(table), len(known)))
    lexical[table.owners(), place] = table.weights
    return np.concatenate([np.sqrt(1 - w) * kernel.parts[0].numpy(), np.sqrt(w) * lexical], 1)


class TestKernel:
    def test_coordinates_have_the_mixtures_inner_products(self) -> None:
        _, kernel = kernel_of(drawn(5))
        found, wanted = kernel.coordinates(Mix(lexical=0.3)), both(kernel, 0.3)
        np.testing.assert_allclose(found @ found.T, wanted @ wanted.T, atol=1e-4)

    def test_the_fit_is_scikit_learns_on_both_views(self) -> None:
        kept, kernel = kernel_of(drawn(6))
        primal = both(kernel, 0.35)
        wanted = LogisticRegression(C=1 / text_mix.L2, tol=1e-8, max_iter=10_000)
        wanted.fit(primal, kept.labels.numpy())
        final = text_mix.final(kernel, Mix(lexical=0.35))
        found = kernel.coordinates(Mix(lexical=0.35)) @ final.weight + final.bias
        exact = wanted.decision_function(primal)
        found = found - found.mean(1, keepdim=True)
        np.testing.assert_allclose(found, exact - exact.mean(1, keepdims=True), atol=0.02)

    def test_served_weights_give_the_fits_logits(self) -> None:
        _, kernel = kernel_of(drawn(6))
        final = text_mix.final(kernel, Mix(lexical=0.35))
        buckets, embedding, lexical = kernel.weights(Mix(lexical=0.35), final.weight)
        inside = ngrams.within(kernel.table, buckets.numpy())
        rows = torch.from_numpy(ngrams.dense(inside, len(buckets)))
        torch.testing.assert_close(
            kernel.parts[0] @ embedding + rows @ lexical,
            kernel.coordinates(Mix(lexical=0.35)) @ final.weight,
            atol=5e-3,
            rtol=1e-2,
        )

    def test_similarity_is_the_mean_over_the_others(self) -> None:
        _, kernel = kernel_of(drawn(4))
        products = both(kernel, 0.4) @ both(kernel, 0.4).T
        np.fill_diagonal(products, 0)
        np.testing.assert_allclose(
            kernel.similarity(Mix(lexical=0.4)), products.sum(1) / 11, atol=1e-5
        )

    def test_out_of_fold_is_really_leaving_out(self) -> None:
        kept, kernel = kernel_of(drawn(4))
        fold = assigned(kept.labels, kept.groups, 4)
        found = text_mix.out_of_fold(kernel, [Mix(lexical=0.5)], fold)[0]
        rows = both(kernel, 0.5)
        for number in range(4):
            seen, left = (fold != number).numpy(), (fold == number).numpy()
            alone = LogisticRegression(C=1 / text_mix.L2, tol=1e-8, max_iter=10_000)
            alone.fit(rows[seen], kept.labels.numpy()[seen])
            exact = alone.decision_function(rows[left])
            judged = found[torch.from_numpy(left)]
            judged = judged - judged.mean(1, keepdim=True)
            np.testing.assert_allclose(judged, exact - exact.mean(1, keepdims=True), atol=0.03)

    def test_many_examples_are_fitted_on_folded_n_grams(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        support, test = drawn(30), drawn(60, seed=1)
        assert test.texts is not None
        plain = fit(task(support))
        monkeypatch.setattr(text_kernel, "MOST_DUAL", 50)
        monkeypatch.setattr(text_kernel, "FOLDED", 512)
        folded = fit(task(support))
        assert folded.head.config.lexical is not None
        assert folded.head.config.lexical.folded
        assert len(folded.head.tensors["buckets"]) == text_kernel.FOLDED
        accuracy = [
            float((logits_by(head, test).argmax(1) == test.labels).float().mean())
            for head in (plain.head, folded.head)
        ]
        assert accuracy[1] > accuracy[0] - 0.05


class TestWeight:
    def test_embeddings_that_know_nothing_leave_it_to_the_n_grams(self) -> None:
        assert fit(task(drawn(8, noise=1000.0))).hyperparameters["lexical_weight"] >= 0.35

    def test_embeddings_that_know_all_are_used(self) -> None:
        support = drawn(8, noise=0.2)
        random = np.random.default_rng(0)
        noise = ["".join(random.choice(list("abcdefghij"), 20)) for _ in range(len(support))]
        found = fit(task(replace(support, texts=noise)))
        assert found.hyperparameters["lexical_weight"] <= 0.5

    def test_the_gate_rises_with_how_alike_all_embeddings_are(self) -> None:
        shared, own = torch.zeros(10, 11), torch.eye(11)[:10]
        shared[:, 10] = 1
        _, kernel = kernel_of(drawn(4))
        gates = [
            text_mix.gate(
                replace(
                    kernel,
                    parts=[alike**0.5 * shared + (1 - alike) ** 0.5 * own],
                    labels=kernel.labels[:10],
                )
            ).lexical
            for alike in (0.1, 0.4, 0.6, 0.95)
        ]
        assert gates == sorted(gates)
        assert 0.05 <= gates[0] < 0.1
        assert gates[-1] == 0.95


class TestLabelNames:
    def names(self) -> Tensor:
        return embedded(CLASSES, np.random.default_rng(9), noise=0.1)

    def test_those_that_tell_become_examples(self) -> None:
        support, test = drawn(3, noise=2.0), drawn(60, seed=1, noise=2.0)
        found = fit(task(support, label_embeddings=self.names()))
        assert found.hyperparameters["label_names"]
        assert test.texts is not None
        answers = logits_by(found.head, test).argmax(1)
        plain = logits_of(support, test).argmax(1)
        assert (answers == test.labels).sum() >= (plain == test.labels).sum()

    def test_those_that_do_not_leave_no_trace(self) -> None:
        support, test = drawn(3), drawn(10, seed=1)
        given = logits_of(support, test, label_embeddings=self.names()[[1, 2, 0]])
        torch.testing.assert_close(given, logits_of(support, test))

    def test_those_that_only_a_fold_speaks_for_do_not_judge_it(self) -> None:
        support = drawn(6)
        near = torch.nn.functional.one_hot(support.labels, WIDTH).float()
        odd = torch.arange(len(support)) % 6 < 3
        rows = torch.where(odd[:, None], near, near.roll(1, 1))
        told = task(replace(support, features={"text": rows}), label_embeddings=torch.eye(3, WIDTH))
        setting = Setting.of(told)
        speaking = torch.tensor([odd[support.ids.index(name)] for name in setting.support.ids])
        assert text._named(setting, speaking)
        assert not text._named(setting, ~speaking)

    def test_they_follow_the_callers_order_of_classes(self) -> None:
        support, test = drawn(3, noise=2.0), drawn(10, seed=1)
        order = [2, 0, 1]
        place = torch.argsort(torch.tensor(order))
        other = replace(support, classes=[CLASSES[c] for c in order], labels=place[support.labels])
        plain = logits_of(support, test, label_embeddings=self.names())
        moved = logits_of(other, test, label_embeddings=self.names()[order])
        torch.testing.assert_close(moved, plain[:, order], atol=1e-3, rtol=1e-3)


def test_figures_are_of_what_was_chosen_without_the_fold_and_the_head_is_not() -> None:
    setting = Setting.of(task(drawn(6)))
    fitted = text.fit(setting)
    wrong = torch.nn.functional.one_hot((setting.folds.labels + 1) % 3, 3).float()
    plain, nested = finish(setting, replace(fitted, nested=None)), finish(setting, fitted)
    other = finish(setting, replace(fitted, nested=wrong))
    assert fitted.nested is not None
    assert not torch.equal(fitted.nested, fitted.out_of_fold)
    assert other.evaluation["accuracy"]["value"] == 0 < nested.evaluation["accuracy"]["value"]
    assert other.advice["learning_curve"]["points"][-1]["accuracy"] == 0
    assert other.head.config == plain.head.config == nested.head.config
    assert all(torch.equal(other.head.tensors[k], v) for k, v in plain.head.tensors.items())
    assert text.fit(Setting.of(task(drawn(101)))).nested is None  # of many it makes no difference


class TestLaws:
    @settings(max_examples=6, deadline=None)
    @given(st.integers(0, 1000))
    def test_permuting_examples_changes_nothing(self, seed: int) -> None:
        support, test = drawn(4), drawn(5, seed=1)
        order = torch.randperm(12, generator=torch.Generator().manual_seed(seed))
        assert torch.equal(logits_of(support.take(order), test), logits_of(support, test))

    @settings(max_examples=6, deadline=None)
    @given(st.permutations(range(3)))
    def test_renaming_labels_permutes_the_answers(self, order: list[int]) -> None:
        support, test = drawn(4), drawn(5, seed=1)
        place = torch.argsort(torch.tensor(order))
        renamed = replace(support, classes=["x", "y", "z"], labels=place[support.labels])
        assert torch.equal(logits_of(renamed, test), logits_of(support, test)[:, order])

    def test_duplicating_every_example_changes_nothing(self) -> None:
        support, test = drawn(4), drawn(5, seed=1)
        twice = support.take(torch.arange(12).repeat(2))
        twice = replace(twice, groups=torch.arange(24), ids=[f"{row}" for row in range(24)])
        assert torch.equal(logits_of(twice, test), logits_of(support, test))

    def test_batches_and_single_texts_agree(self) -> None:
        head, test = fit(task(drawn(4))).head, drawn(3, seed=1)
        assert test.texts is not None
        together = logits_by(head, test)
        for row in range(len(test)):
            alone = logits_by(head, test.take(torch.tensor([row])))
            torch.testing.assert_close(alone[0], together[row], atol=1e-4, rtol=1e-4)


def test_rows_are_centred_where_the_backbone_has_a_centre() -> None:
    """A head of centred rows says so, and reads rows as they come."""
    source = weights.find(E5.name, None)
    assert source is not None
    sha256, test = weights.sha256(source.path), drawn(3, seed=1)
    head = fit(task(drawn(6), backbone=E5.name, weights_sha256=sha256)).head
    name = HeadConfig.from_json(head.config.as_json()).statistics
    assert name == whitening.find(E5.name, sha256)
    assert "statistics" not in fit(task(drawn(6))).head.config.as_json()
    centre = whitening.load(str(name), LAYOUT).whitening[LAYOUT[0]]
    centred = spaces.unit(centre(test.features["text"].float()))
    expected = scoring_text.answer(head, centred, test.texts or ()).probabilities
    found = scoring.probabilities(head, test.features, layout=LAYOUT, texts=test.texts)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
    plain = scoring_text.answer(head, test.features["text"], test.texts or ()).probabilities
    assert float((plain - found).abs().max()) > 1e-3


def test_a_text_without_a_known_n_gram_gets_an_answer() -> None:
    head = fit(task(drawn(4))).head
    answer = scoring_text.answer(head, torch.zeros(2, WIDTH), ["", "ሰላም"])
    assert bool(answer.probabilities.isfinite().all())
    assert bool((answer.score < head.config.novelty.threshold()).all())
