"""Names of classes on a network of two towers: alone, and beside what examples teach."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from app.core.errors import HeadstartError
from tests import tiny_clip
from tests.tiny_clip import NAMES
from worker.ml.artifact import Fit
from worker.ml.backbones.text_towers import TextTower
from worker.ml.engines import load_engine
from worker.ml.features import label_names
from worker.ml.fit import fit
from worker.ml.heads import scoring, scoring_numpy
from worker.ml.tasks import Support, Task
from worker.tensors.label_embeddings import LabelEmbeddings, NameRows

pytestmark = pytest.mark.slow

NOISE = 0.3
DRAWS = 4


class Towers:
    """A trained CLIP's folder, its engine of pictures, and its names."""

    def __init__(self, folder: Path) -> None:
        tiny_clip.save(tiny_clip.trained(), folder / "clip")
        self.folder = folder
        self.engine: Any = load_engine("clip", folder, device="cpu", precision="f32")
        self.known = LabelEmbeddings()

    def named(self, classes: Sequence[str] = NAMES) -> NameRows:
        prompts = label_names.PROMPTS["image"]
        found = self.known.of(self.engine, classes, prompts, self.folder)
        assert found is not None
        return found

    def support(self, per_class: int, seed: int) -> Support:
        labels = torch.arange(len(NAMES)).repeat(per_class)
        pixels = tiny_clip.drawn(labels, seed, noise=NOISE).numpy()
        rows = self.engine.embed(pixels) if per_class else torch.zeros(0, self.engine.spec.width)
        return Support(
            features={"squish": torch.as_tensor(rows).half()},
            labels=labels,
            groups=torch.arange(len(labels)),
            ids=[f"ex_{seed}_{row}" for row in range(len(labels))],
            classes=list(NAMES),
        )

    def task(self, support: Support, names: Tensor | None = None, **given: Any) -> Task:
        method = given.pop("method", "auto")
        fields = {key: given.pop(key) for key in ("validation",) if key in given}
        named = self.named()
        return Task(
            method=method,
            hyperparameters=given,
            support=support,
            layout=self.engine.spec.layout,
            backbone="clip",
            label_embeddings=named.rows if names is None else names,
            label_scale=named.scale,
            **fields,
        )

    def accuracy(self, made: Fit, test: Support) -> float:
        layout = self.engine.spec.layout
        said = scoring.probabilities(made.head, test.features, layout=layout)
        return float((said.argmax(1) == test.labels).float().mean())


@pytest.fixture(scope="module")
def towers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Towers]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield Towers(tmp_path_factory.mktemp("weights"))
    finally:
        torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def test_set(towers: Towers) -> Support:
    return towers.support(30, 77)


def test_its_names_lie_in_the_space_of_its_pictures(towers: Towers) -> None:
    assert towers.engine.spec.two_towers
    assert towers.engine.spec.reads_names
    tower = TextTower(towers.folder / "clip")
    rows = tower.embed(["red disc", "a photo of a green pole."])
    assert rows.shape == (2, towers.engine.spec.dim)
    alone = tower.embed(["red disc"])
    assert torch.allclose(rows[:1], alone, atol=1e-5)  # beside longer names, too


def test_without_any_example_names_tell_classes_apart(towers: Towers, test_set: Support) -> None:
    made = fit(towers.task(towers.support(0, 1)))
    assert towers.accuracy(made, test_set) > 3 / len(NAMES)
    told = made.evaluation
    assert (told["estimable"], told["how"]["method"]) == (False, "none")
    assert told["accuracy"]["value"] is None
    assert "no example" in told["reason"]
    assert made.answers is None
    assert made.hyperparameters["names_alone"] is True


def test_held_out_examples_judge_what_learned_from_none(towers: Towers, test_set: Support) -> None:
    made = fit(towers.task(towers.support(0, 1), validation=test_set))
    told = made.evaluation
    assert told["how"]["method"] == "hold-out"
    assert told["accuracy"]["value"] == pytest.approx(towers.accuracy(made, test_set))


def test_names_alone_learn_nothing_but_how_sure_to_be(towers: Towers, test_set: Support) -> None:
    none = fit(towers.task(towers.support(0, 1)))
    some = fit(towers.task(towers.support(5, 1), label_names="alone"))
    assert torch.equal(none.head.tensors["weight"], some.head.tensors["weight"])
    assert towers.accuracy(none, test_set) == towers.accuracy(some, test_set)
    assert some.evaluation["how"]["num_examples"] == 5 * len(NAMES)


def test_a_class_without_an_example_leaves_all_to_names(towers: Towers) -> None:
    support = towers.support(3, 1)
    kept = support.take(torch.nonzero(support.labels != 4)[:, 0])
    made = fit(towers.task(kept))
    assert made.hyperparameters["names_alone"] is True
    assert made.head.config.classes == NAMES
    with pytest.raises(HeadstartError, match=NAMES[4]) as caught:
        fit(towers.task(kept, method="ridge"))
    assert caught.value.code == "insufficient_classes"


def test_numpy_answers_the_same_and_nothing_is_unknown(towers: Towers, test_set: Support) -> None:
    head = scoring.load(fit(towers.task(towers.support(0, 1))).head)
    rows, layout = test_set.features["squish"][:7].float(), towers.engine.spec.layout
    slow = scoring.predict({"squish": rows}, [head] * 7, layout=layout)
    stacked = scoring_numpy.stacked(head)
    assert stacked is not None
    fast = scoring_numpy.predict(rows.numpy(), [stacked] * 7, layout=layout)
    for one, other in zip(slow, fast, strict=True):
        assert torch.allclose(one.probabilities, torch.from_numpy(other.probabilities), atol=1e-4)
        assert (one.unknown, one.familiarity) == (False, 1.0)
        assert (other.unknown, other.familiarity) == (False, 1.0)
    nearest = scoring.nearest({"squish": rows[:1]}, [head], layout=layout, count=3)
    assert nearest == [[]]


@pytest.mark.parametrize("per_class", [1, 2, 5])
def test_the_blend_is_at_least_as_good_as_either_alone(
    towers: Towers, test_set: Support, per_class: int
) -> None:
    """Over draws; a tie within two points of nearly three hundred pictures is one."""
    names = towers.accuracy(fit(towers.task(towers.support(0, 1))), test_set)
    learned, blended = [], []
    for draw in range(DRAWS):
        support = towers.support(per_class, 1000 * per_class + draw)
        learned.append(towers.accuracy(fit(towers.task(support, label_names=False)), test_set))
        blended.append(towers.accuracy(fit(towers.task(support)), test_set))
    mean = sum(blended) / DRAWS
    assert mean > sum(learned) / DRAWS - 0.01
    assert mean > names - 0.025


@pytest.mark.parametrize("per_class", [1, 5])
def test_names_that_say_nothing_count_for_nothing(towers: Towers, per_class: int) -> None:
    support = towers.support(per_class, 5)
    wrong = towers.named().rows.roll(2, 0)
    assert fit(towers.task(support, wrong)).hyperparameters["names_weight"] < 0.15


def test_the_order_of_classes_changes_nothing(towers: Towers, test_set: Support) -> None:
    support, order = towers.support(3, 9), torch.arange(len(NAMES)).flip(0)
    turned = Support(
        features=support.features,
        labels=torch.argsort(order)[support.labels],
        groups=support.groups,
        ids=support.ids,
        classes=[NAMES[c] for c in order.tolist()],
    )
    layout = towers.engine.spec.layout
    one = scoring.probabilities(fit(towers.task(support)).head, test_set.features, layout=layout)
    other = fit(towers.task(turned, towers.named().rows[order])).head
    said = scoring.probabilities(other, test_set.features, layout=layout)
    assert torch.allclose(said[:, torch.argsort(order)], one, atol=1e-3)
