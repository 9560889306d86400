"""`auto` on texts under two encoders: what the mix is, how it is chosen, and what it serves."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from app.core.backbones import BACKBONES, E5, MINILM, combined
from app.core.errors import HeadstartError
from app.core.hyperparameters import METHODS
from app.infra import weights
from tests.unit.worker.ml.methods.test_text import CLASSES, WIDTH, drawn, embedded
from worker.ml.artifact import HeadArtifact, HeadConfig
from worker.ml.features import ngrams, spaces, whitening
from worker.ml.fit import fit
from worker.ml.fitting import text_mix
from worker.ml.fitting.text_kernel import Kernel, Mix
from worker.ml.fitting.text_mix import ChosenMix
from worker.ml.heads import scoring
from worker.ml.methods import text
from worker.ml.methods.setting import Setting
from worker.ml.tasks import Support, Task

BOTH = combined([MINILM, E5])


def two(per_class: int, *, first: float, second: float, seed: int = 0) -> Support:
    """Texts under two encoders, each as noisy as it is said."""
    support = drawn(per_class, seed=seed, noise=first)
    labels = [CLASSES[label] for label in support.labels.tolist()]
    other = embedded(labels, np.random.default_rng(seed + 77), second)
    rows = torch.cat([support.features["text"], other], 1)
    return replace(support, features={"text": rows})


def wordless(support: Support) -> Support:
    """The same with texts of letters that say nothing."""
    random = np.random.default_rng(0)
    said = ["".join(random.choice(list("abcdefghij"), 20)) for _ in range(len(support))]
    return replace(support, texts=said)


def task(support: Support, **changes: object) -> Task:
    plain = Task(
        method="auto",
        hyperparameters={},
        support=support,
        layout=BOTH.layout,
        backbone=BOTH.name,
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def kernel_of(support: Support) -> Kernel:
    setting = Setting.of(task(support))
    return text._kernel(setting, setting.support.texts or ())


def chosen(support: Support) -> ChosenMix:
    setting = Setting.of(task(support))
    return text_mix.choose(kernel_of(support), setting.folds, setting.support.groups)


def accuracy(head: HeadArtifact, test: Support) -> float:
    found = scoring.probabilities(head, test.features, layout=BOTH.layout, texts=test.texts)
    return float((found.argmax(1) == test.labels).float().mean())


def test_inner_products_are_the_encoders_by_their_shares() -> None:
    kernel, mix = kernel_of(two(4, first=1, second=2)), Mix(lexical=0.0, shares=(0.3, 0.7))
    first, second = (rows @ rows.T for rows in kernel.parts)
    found = kernel.coordinates(mix)
    torch.testing.assert_close(found @ found.T, 0.3 * first + 0.7 * second, atol=1e-4, rtol=1e-3)
    rows = kernel.rows(mix)
    torch.testing.assert_close(rows @ rows.T, 0.3 * first + 0.7 * second, atol=1e-5, rtol=1e-4)


def test_a_mix_of_one_encoder_alone_is_that_encoders_fit() -> None:
    support = two(6, first=1, second=5)
    kernel = kernel_of(support)
    alone = replace(kernel, parts=kernel.parts[:1])
    whole = text_mix.final(kernel, Mix(lexical=0.3, shares=(1.0, 0.0)))
    single = text_mix.final(alone, Mix(lexical=0.3))
    torch.testing.assert_close(
        kernel.coordinates(whole.mix) @ whole.weight,
        alone.coordinates(single.mix) @ single.weight,
        atol=5e-3,
        rtol=1e-2,
    )


class TestChoice:
    def test_the_encoder_that_knows_the_classes_counts_more(self) -> None:
        shares = [
            fit(task(wordless(two(12, first=one, second=other)))).head.config.shares[1]
            for one, other in ((1.0, 1000.0), (1000.0, 1.0))
        ]
        assert shares[0] < 0.27 < 0.3 < shares[1]

    def test_few_examples_leave_it_near_the_gate_and_none_at_full_weight(self) -> None:
        support = two(2, first=1.0, second=1000.0)
        prior, found = text_mix.gate(kernel_of(support)), chosen(support).mix
        assert abs(found.shares[1] - prior.shares[1]) < 0.3
        assert 0.0 < min(found.shares)
        assert sum(found.shares) == pytest.approx(1)

    def test_one_example_a_class_is_the_gate(self) -> None:
        support = two(1, first=1.0, second=1.0)
        assert chosen(support).mix == text_mix.gate(kernel_of(support))

    def test_of_two_folds_each_is_judged_by_the_gate(self) -> None:
        support = two(2, first=1.0, second=1000.0)
        prior, found = text_mix.gate(kernel_of(support)), chosen(support)
        assert found.mix != prior
        assert found.nested == [prior, prior]

    def test_what_judges_a_fold_is_chosen_without_its_labels(self) -> None:
        """Its examples are as the second encoder has them, all others as the first."""
        support = wordless(two(12, first=1.0, second=1.0))
        fold = Setting.of(task(support)).folds.fold
        ids = Setting.of(task(support)).support.ids
        odd = torch.tensor([int(fold[ids.index(name)]) == 0 for name in support.ids])
        noise = torch.randn(support.features["text"].shape, generator=torch.Generator())
        first = torch.arange(2 * WIDTH) < WIDTH
        rows = torch.where(odd[:, None] == first, noise, support.features["text"])
        mixed = replace(support, features={"text": rows})
        again = Setting.of(task(mixed))
        assert torch.equal(again.folds.fold, fold)
        found = chosen(mixed)
        others = [mix.shares[1] for mix in found.nested[1:]]
        assert found.nested[0].shares[1] < found.mix.shares[1] < max(others)

    def test_the_gate_turns_to_the_second_where_the_first_does_not_know_the_language(self) -> None:
        kernel = kernel_of(two(4, first=1000.0, second=1000.0))
        alike = spaces.unit(torch.ones(len(kernel.labels), WIDTH) + 0.1 * kernel.parts[0])
        gates = [
            text_mix.gate(replace(kernel, parts=[rows, kernel.parts[1]])).shares[1]
            for rows in (kernel.parts[0], alike)
        ]
        assert gates[0] == pytest.approx(0.1)
        assert gates[1] == pytest.approx(0.85)

    def test_it_is_as_good_as_the_better_encoder_alone(self) -> None:
        support, test = two(10, first=1.0, second=50.0), two(60, first=1.0, second=50.0, seed=1)
        head = fit(task(support)).head
        assert accuracy(head, test) > 0.95


def test_what_serves_is_what_was_judged() -> None:
    """Training examples through the stored head get the fit's own answers."""
    support, test = two(8, first=2.0, second=2.0), two(10, first=2.0, second=2.0, seed=3)
    head = fit(task(support)).head
    told = json.loads(json.dumps(head.config.as_json()))
    again = HeadArtifact(tensors=head.tensors, config=HeadConfig.from_json(told))
    assert again.config.shares == head.config.shares
    expected = scoring.probabilities(head, test.features, layout=BOTH.layout, texts=test.texts)
    live = scoring.load(again)
    answers = scoring.predict(
        {"text": test.features["text"].float()},
        [live] * len(test),
        layout=BOTH.layout,
        texts=test.texts,
    )
    found = torch.stack([one.probabilities for one in answers])
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def test_the_shares_are_told_by_name() -> None:
    told = fit(task(two(4, first=1.0, second=1.0))).hyperparameters["encoder_shares"]
    assert set(told) == {MINILM.name, E5.name}
    assert sum(told.values()) == pytest.approx(1)


def test_each_encoder_is_centred_by_its_own_statistics() -> None:
    source = weights.find(E5.name, None)
    assert source is not None
    digests = f"{'0' * 64}+{weights.sha256(source.path)}"
    name = whitening.find(BOTH.name, digests)
    assert name is not None
    assert name.startswith("+multilingual-e5-small.")
    assert whitening.find(BOTH.name, f"{'0' * 64}+{'1' * 64}") is None
    rows = two(3, first=1.0, second=1.0).features["text"]
    plain, centred = spaces.transform(E5.layout, None), spaces.transform(E5.layout, name[1:])
    found = spaces.transform(BOTH.layout, name).parts("look", rows)
    torch.testing.assert_close(found[0], plain("look", rows[:, :WIDTH]))
    torch.testing.assert_close(found[1], centred("look", rows[:, WIDTH:]))
    assert float((found[1] - plain("look", rows[:, WIDTH:])).abs().max()) > 1e-3


@pytest.mark.parametrize(
    "method", sorted(name for name, of in METHODS.items() if name != "reptile" and of.depth is None)
)
def test_every_method_fits_on_two_encoders(method: str) -> None:
    support, test = two(8, first=0.5, second=0.5), two(20, first=0.5, second=0.5, seed=5)
    given = {"epochs": 60, "learning_rate": 0.01} if method == "linear" else {}
    found = fit(task(support, method=method, hyperparameters=given))
    assert found.head.config.shares[0] > 0
    assert accuracy(found.head, test) > 0.8


class TestCombined:
    def test_its_blocks_are_its_members_side_by_side(self) -> None:
        lite = combined([BACKBONES["efficientnet_lite0"], BACKBONES["efficientnet_lite2"]])
        stops = [block.stop for block in lite.layout]
        assert [block.start for block in lite.layout] == [0, *stops[:-1]]
        assert lite.width == sum(one.width for one in lite.parts)
        assert lite.dim == sum(one.dim for one in lite.parts)

    def test_one_alone_is_itself(self) -> None:
        assert combined([MINILM]) is MINILM
        assert MINILM.parts == (MINILM,)

    @pytest.mark.parametrize(
        ("names", "code"),
        [
            ([MINILM.name, MINILM.name], "invalid_request"),
            ([MINILM.name, "efficientnet_lite0"], "modality_mismatch"),
        ],
    )
    def test_what_does_not_go_together_is_refused(self, names: list[str], code: str) -> None:
        with pytest.raises(HeadstartError) as caught:
            combined([BACKBONES[name] for name in names])
        assert caught.value.code == code

    def test_a_part_does_not_rename_the_caches_of_its_backbone(self) -> None:
        """An embedding cache's key holds how the layout reads."""
        (block,) = MINILM.layout
        assert repr(block) == "Block(level=0, statistic='mean', start=0, stop=384)"


def rows_of(width: int, count: int) -> Tensor:
    return torch.randn(count, width, generator=torch.Generator().manual_seed(0))


def test_images_under_two_backbones_are_compared_by_the_mean_of_both() -> None:
    first, second = BACKBONES["efficientnet_lite0"], BACKBONES["squeezenet1_1"]
    both = combined([first, second])
    rows = rows_of(both.width, 5)
    own = [
        spaces.transform(one.layout, None)("late", x)
        for one, x in zip(both.parts, rows.split([first.width, second.width], 1), strict=True)
    ]
    found = spaces.transform(both.layout, None)("late", rows)
    wanted = sum((x @ x.T for x in own), torch.zeros(())) / 2
    torch.testing.assert_close(found @ found.T, wanted, atol=1e-5, rtol=1e-4)


def test_a_weight_on_look_is_one_on_late_for_both() -> None:
    both = combined([BACKBONES["efficientnet_lite0"], BACKBONES["squeezenet1_1"]])
    made, rows = spaces.transform(both.layout, None), rows_of(both.width, 4)
    weight = torch.randn(made("look", rows).shape[1], 3, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(
        made("late", rows) @ made.lift("look", weight),
        made("look", rows) @ weight,
        atol=1e-4,
        rtol=1e-3,
    )


def test_what_is_like_the_examples_is_told_by_the_first_encoder_and_the_words() -> None:
    """As served: on rows by the mix's shares, an example counting among those it is like."""
    kernel, mix = kernel_of(two(5, first=1.0, second=3.0)), Mix(lexical=0.4, shares=(0.25, 0.75))
    kept = text.tensors(kernel, text_mix.final(kernel, mix))
    within = ngrams.within(kernel.table, kept["buckets"].numpy())
    words = torch.from_numpy(ngrams.dense(within, len(kept["buckets"])))
    served = kernel.rows(mix) @ kept["mean"].float() + words @ kept["bucket_mean"].float()
    others = kernel.similarity(Mix(lexical=0.4, shares=(1.0, 0.0)))
    n = kernel.count
    torch.testing.assert_close(served[:n, 0], (others * (n - 1) + 1) / n, atol=2e-3, rtol=1e-2)
