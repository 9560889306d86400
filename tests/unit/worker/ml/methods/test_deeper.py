"""The methods `lora`, `full` and `setfit`: what is judged is what serves."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from app.core import hyperparameters
from app.core.errors import HeadstartError
from app.core.modalities import Depth, mapped
from tests.unit.worker.ml import tiny_encoder
from tests.unit.worker.ml.methods.test_partial import _ran
from tests.unit.worker.ml.tiny_network import SIDE, SPEC, network, pictures, seen, tiny_suffix
from worker.ml.artifact import DEEP_FORMAT, Fit, HeadArtifact, HeadConfig
from worker.ml.backbones.cuts import cut_network
from worker.ml.engines import load_engine
from worker.ml.engines.tunable import tunable
from worker.ml.fit import fit
from worker.ml.heads import export, scoring
from worker.ml.heads.scoring import LiveHead
from worker.ml.tasks import Support, Task, Tuning

pytestmark = pytest.mark.slow

DEPTHS: tuple[Depth, ...] = ("lora", "full")
OF_TEXTS = (*DEPTHS, "setfit")
ASKED = {"epochs": 2, "share": 0.5, "learning_rate": 3e-3}
WORDS = {"a": ("red", "blue"), "b": ("green", "black"), "c": ("white", "grey")}


def task_of_pictures(depth: Depth, **given: Any) -> Task:
    return Task(
        method=depth,
        hyperparameters=hyperparameters.validate(depth, ASKED | given),
        support=seen(10, blur=3.0),
        validation=seen(6, seed=5, blur=3.0),
        layout=SPEC.layout,
        backbone=SPEC.name,
        tuning=Tuning(suffix=tiny_suffix(depth), depth=depth),
    )


def told(per_class: int, engine: Any, *, seed: int) -> Support:
    """Sentences whose class one word says."""
    draw = random.Random(seed)
    rows = [(label, draw.choice(some)) for _ in range(per_class) for label, some in WORDS.items()]
    texts = [f"the {draw.choice(['big', 'old'])} {word} house {n}" for n, (_, word) in
             enumerate(rows)]  # fmt: skip
    return Support(
        features={"text": torch.from_numpy(engine.embed(texts)).half()},
        labels=torch.tensor([list(WORDS).index(label) for label, _ in rows]),
        groups=torch.arange(len(rows)),
        ids=[f"ex_{seed}_{n}" for n in range(len(rows))],
        classes=list(WORDS),
        texts=texts,
    )


def task_of_texts(method: str, folder: Path, **given: Any) -> Task:
    depth = hyperparameters.METHODS[method].depth
    assert depth is not None
    tiny_encoder.saved("bert", folder)
    engine: Any = load_engine("bert", folder, device="cpu", precision="f32")
    return Task(
        method=method,
        hyperparameters=hyperparameters.validate(method, ASKED | given),
        support=told(10, engine, seed=1),
        validation=told(6, engine, seed=2),
        layout=engine.spec.layout,
        backbone="bert",
        tuning=Tuning(suffix=tunable("bert", depth, folder), depth=depth),
    )


Make = Callable[..., Task]


MADE = [*(f"{depth} pictures" for depth in DEPTHS), *(f"{method} texts" for method in OF_TEXTS)]


@pytest.fixture(scope="module", params=MADE)
def made(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Task, Fit]:
    method, of = request.param.split()
    if of == "pictures":
        task = task_of_pictures(method)
    else:
        task = task_of_texts(method, tmp_path_factory.mktemp(method))
    return task, fit(task)


def live(made: tuple[Task, Fit]) -> LiveHead:
    task, fitted = made
    stored = HeadConfig.from_json(fitted.head.config.as_json())
    return scoring.load(HeadArtifact(fitted.head.tensors, stored), task.suffix)


def test_what_is_served_is_what_was_judged(made: tuple[Task, Fit]) -> None:
    task, fitted = made
    validation, head = task.validation, live(made)
    assert validation is not None
    assert fitted.answers is not None
    rows = {view: validation.features[view].float() for view in head.config.views}
    served = scoring.predict(
        rows, [head] * len(validation), layout=task.layout, texts=validation.texts
    )
    said = torch.stack([one.probabilities for one in served])
    torch.testing.assert_close(said, fitted.answers.probabilities, rtol=1e-3, atol=1e-4)
    assert fitted.evaluation["out_of_fold"]["how"]["method"] == "k-fold"


def test_the_head_says_how_deep_it_is(made: tuple[Task, Fit]) -> None:
    task, fitted = made
    told = fitted.head.config.as_json()
    depth = hyperparameters.METHODS[task.method].depth
    assert (told["format"], told["depth"]) == (DEEP_FORMAT, depth)
    assert (told["method"], fitted.evaluation["deeper"]["tried"]) == (task.method, task.method)
    assert fitted.hyperparameters["tuned"]["share"] == 0.5
    kept = [value for name, value in fitted.head.tensors.items() if name.startswith("tuned.")]
    assert kept
    assert {value.dtype for value in kept} == {torch.float16}


def test_the_tuned_network_counts(made: tuple[Task, Fit]) -> None:
    """Without what it says the answers are others."""
    task, fitted = made
    validation, head = task.validation, live(made)
    assert validation is not None
    untuned = {
        name: torch.zeros_like(value)
        if name.startswith("tuned") and not name.endswith("lora_a")
        else value
        for name, value in fitted.head.tensors.items()
    }
    other = scoring.load(HeadArtifact(untuned, head.config), task.suffix)
    rows = {view: validation.features[view].float() for view in head.config.views}
    one, two = (
        scoring.predict(rows, [x] * len(validation), layout=task.layout, texts=validation.texts)
        for x in (head, other)
    )
    apart = [
        float((a.probabilities - b.probabilities).abs().max())
        for a, b in zip(one, two, strict=True)
    ]
    assert max(apart) > 1e-3


@pytest.mark.parametrize("method", ["lora", "setfit"])
def test_the_order_of_classes_changes_nothing(method: str, tmp_path: Path) -> None:
    task = task_of_texts(method, tmp_path)
    support = task.support
    turned = replace(
        support, classes=support.classes[::-1], labels=len(support.classes) - 1 - support.labels
    )
    ours, theirs = fit(task), fit(replace(task, support=turned, validation=None))
    again = fit(replace(task, validation=None))
    for name in ("weight", "bias", "tuned_weight", "tuned_bias"):
        torch.testing.assert_close(
            again.head.tensors[name][..., :3].float(),
            theirs.head.tensors[name][..., :3].float().flip(-1), rtol=1e-3, atol=1e-3,
        )  # fmt: skip
    assert ours.head.config.classes == theirs.head.config.classes[::-1]


@pytest.mark.parametrize("to", ["onnx", "openvino", "torch"])
@pytest.mark.parametrize("depth", DEPTHS)
def test_a_tuned_network_can_be_written_whole(depth: Depth, to: str, tmp_path: Path) -> None:
    task = task_of_pictures(depth, epochs=1)
    head = live((task, fit(task)))
    whole = export.ExportedNetwork([cut_network(SPEC, network(), depth)], head, SPEC.layout)
    export.write(whole, [SIDE], to=to, folder=tmp_path)
    pixels, _ = pictures(3, seed=8)
    with torch.no_grad():
        expected = whole(pixels)
    assert _ran(tmp_path, to, pixels) == pytest.approx(expected.flatten().tolist(), abs=1e-4)


def test_adapters_are_small(tmp_path: Path) -> None:
    sizes = {}
    for depth in DEPTHS:
        tensors = fit(task_of_texts(depth, tmp_path / depth, epochs=1)).head.tensors
        own = [value for name, value in tensors.items() if name.startswith("tuned.")]
        sizes[depth] = sum(value.numel() for value in own)
    one = fit(task_of_texts("lora", tmp_path / "one", epochs=1, rank=1)).head.tensors
    ranks = {value.shape[0] for name, value in one.items() if name.endswith("lora_a")}
    assert ranks == {3}, "those of three trainings side by side"
    assert sizes["full"] > 0


@pytest.mark.parametrize("method", ["lora", "setfit"])
def test_where_it_is_no_better_the_frozen_head_is_the_model(method: str, tmp_path: Path) -> None:
    task = task_of_texts(method, tmp_path, epochs=1, share="auto")
    support = task.support
    draw = torch.Generator().manual_seed(1)
    mixed = support.labels[torch.randperm(len(support), generator=draw)]
    lost = fit(replace(task, support=replace(support, labels=mixed), validation=None))
    assert lost.hyperparameters["tuned"]["share"] == 0
    assert lost.head.config.depth is None
    assert not [name for name in lost.head.tensors if name.startswith("tuned")]


@pytest.mark.parametrize("method", ["lora", "setfit"])
def test_what_few_texts_cannot_judge_is_tuned_only_where_its_share_is_asked_for(
    method: str, tmp_path: Path
) -> None:
    task = task_of_texts(method, tmp_path, epochs=1, share="auto")
    engine: Any = load_engine("bert", tmp_path, device="cpu", precision="f32")
    few = replace(task, support=told(9, engine, seed=1), validation=None)
    alone = fit(few)
    assert alone.head.config.depth is None
    assert "too few examples to judge" in alone.hyperparameters["tuned"]["why"]
    assert "epochs" not in alone.hyperparameters["tuned"], "nothing was tuned"
    assert "epochs" in fit(replace(task, validation=None)).hyperparameters["tuned"]
    asked = hyperparameters.validate(method, {"epochs": 1, "share": 0.5})
    assert fit(replace(few, hyperparameters=asked)).head.config.depth == "lora"


def test_pairs_are_learned_from_of_three_texts_a_class(tmp_path: Path) -> None:
    task = task_of_texts("setfit", tmp_path, epochs=1)
    engine: Any = load_engine("bert", tmp_path, device="cpu", precision="f32")
    three = replace(task, support=told(3, engine, seed=1), validation=None)
    assert fit(three).head.config.depth == "lora"
    two = replace(task, support=told(2, engine, seed=1), validation=None)
    assert fit(two).head.config.depth is None


def test_a_head_of_another_network_is_refused(tmp_path: Path) -> None:
    task = task_of_texts("lora", tmp_path, epochs=1)
    fitted = fit(task)
    name = next(one for one in fitted.head.tensors if one.startswith("tuned."))
    tensors = {**fitted.head.tensors, name: torch.zeros(3)}
    with pytest.raises(HeadstartError) as caught:
        scoring.load(HeadArtifact(tensors, fitted.head.config), task.suffix)
    assert caught.value.code == "model_corrupt"


def test_a_depth_that_is_not_known_is_refused() -> None:
    fitted = fit(task_of_pictures("full", epochs=1))
    assert mapped("squish", "full") in fitted.head.config.views
    with pytest.raises(HeadstartError) as caught:
        HeadConfig.from_json(fitted.head.config.as_json() | {"depth": "deeper still"})
    assert caught.value.code == "model_corrupt"
