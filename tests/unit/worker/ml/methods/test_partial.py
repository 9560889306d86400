"""The method `partial`: what is judged is what serves, and what does not help is left out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from app.core import hyperparameters
from app.core.errors import HeadstartError
from app.core.modalities import mapped
from tests.unit.worker.ml.tiny_network import SIDE, SPEC, network, pictures, seen, tiny_suffix
from worker.answers.scoring import predict, serving_head
from worker.ml.artifact import TUNED_FORMAT, Fit, HeadArtifact, HeadConfig
from worker.ml.backbones.cuts import cut_network
from worker.ml.fit import fit
from worker.ml.heads import export, scoring
from worker.ml.heads.scoring import LiveHead
from worker.ml.methods import deeper
from worker.ml.tasks import Support, Task, Tuning

pytestmark = pytest.mark.slow


def task(support: Support, validation: Support | None = None, **given: Any) -> Task:
    return Task(
        method="partial",
        hyperparameters=hyperparameters.validate("partial", given),
        support=support,
        validation=validation,
        layout=SPEC.layout,
        backbone=SPEC.name,
        tuning=Tuning(suffix=tiny_suffix()),
    )


@pytest.fixture(scope="module")
def made() -> Fit:
    """Fitted where the vectors say little, and what is at the cut says much."""
    return fit(task(seen(16, blur=3.0), judges(), epochs=3, learning_rate=3e-3))


def judges() -> Support:
    return seen(20, seed=5, blur=3.0)


@pytest.fixture(scope="module")
def live(made: Fit) -> LiveHead:
    stored = HeadConfig.from_json(made.head.config.as_json())
    return scoring.load(HeadArtifact(made.head.tensors, stored), tiny_suffix)


def test_it_is_taken_where_it_is_better_out_of_fold(made: Fit) -> None:
    told = made.hyperparameters["tuned"]
    assert told["share"] > 0
    assert made.head.config.tuned
    assert made.head.config.as_json()["format"] == TUNED_FORMAT
    frozen = fit(Task(**{**vars(task(seen(16, blur=3.0), judges())), "method": "auto",
                         "hyperparameters": {}}))  # fmt: skip
    loss = [one.evaluation["log_loss"]["value"] for one in (made, frozen)]
    assert loss[0] < loss[1]


def test_it_is_judged_as_every_model_is(made: Fit) -> None:
    out_of_fold = made.evaluation["out_of_fold"]
    assert out_of_fold["how"]["method"] == "k-fold"
    assert made.evaluation["how"]["method"] == "hold-out"
    assert made.head.config.novelty.estimable


def test_what_is_served_is_what_was_judged(made: Fit, live: LiveHead) -> None:
    validation = judges()
    assert made.answers is not None
    heads = [serving_head(live, weights_sha256="")] * len(validation)
    rows = {view: validation.features[view].float().numpy() for view in live.config.views}
    served = predict(rows, heads, layout=SPEC.layout)
    for judged, one in zip(made.answers.probabilities, served, strict=True):
        assert list(one.probabilities) == pytest.approx(judged.tolist(), abs=1e-5)


def test_a_batch_of_mixed_heads_answers_as_each_alone(live: LiveHead) -> None:
    validation = seen(4, seed=7)
    other = scoring.load(
        fit(Task(**{**vars(task(seen(6))), "method": "ridge", "hyperparameters": {}})).head
    )
    rows = {view: validation.features[view].float() for view in live.config.views}
    heads = [live, other] * (len(validation) // 2)
    mixed = scoring.predict(rows, heads, layout=SPEC.layout)
    for place, head in enumerate(heads):
        own = {view: x[place : place + 1] for view, x in rows.items()}
        (alone,) = scoring.predict(own, [head], layout=SPEC.layout)
        torch.testing.assert_close(
            mixed[place].probabilities, alone.probabilities, rtol=1e-4, atol=1e-6
        )


def test_what_a_head_keeps_in_memory_counts_its_suffix(live: LiveHead) -> None:
    own = sum(4 * value.numel() for value in tiny_suffix().start.values())
    assert live.nbytes > own
    assert not [name for name in live.artifact.tensors if name.startswith("tuned.")]


@pytest.mark.parametrize("to", ["onnx", "openvino", "torch"])
def test_a_tuned_network_can_be_written_whole(live: LiveHead, to: str, tmp_path: Path) -> None:
    whole = export.ExportedNetwork([cut_network(SPEC, network())], live, SPEC.layout)
    export.write(whole, [SIDE], to=to, folder=tmp_path)
    pixels, _ = pictures(3, seed=8)
    with torch.no_grad():
        expected = whole(pixels)
    assert _ran(tmp_path, to, pixels) == pytest.approx(expected.flatten().tolist(), abs=1e-4)


def _ran(folder: Path, to: str, pixels: torch.Tensor) -> list[float]:
    if to == "torch":
        program = torch.export.load(folder / "network.pt2").module()
        answer: torch.Tensor = program(pixels)
        return answer.flatten().tolist()
    from worker.ml.openvino_runtime import ov

    file = folder / ("network.onnx" if to == "onnx" else "network.xml")
    options = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = ov.Core().compile_model(file, "CPU", options)
    return [float(value) for value in compiled([pixels.numpy()])[0].flatten()]


def test_a_head_of_another_cut_is_refused(made: Fit) -> None:
    name = next(one for one in made.head.tensors if one.startswith("tuned."))
    tensors = {**made.head.tensors, name: torch.zeros(3)}
    with pytest.raises(HeadstartError) as caught:
        scoring.load(HeadArtifact(tensors, made.head.config), tiny_suffix)
    assert caught.value.code == "model_corrupt"


def test_where_it_is_no_better_the_frozen_heads_are_the_model() -> None:
    support = seen(16)
    shuffled = support.labels[torch.randperm(48, generator=torch.Generator().manual_seed(1))]
    lost = fit(task(Support(**{**vars(support), "labels": shuffled}), epochs=1))
    assert lost.hyperparameters["tuned"]["share"] == 0
    assert mapped("squish") not in lost.head.config.views
    assert not [name for name in lost.head.tensors if name.startswith("tuned.")]


def test_of_few_examples_nothing_deeper_is_learned() -> None:
    told: list[dict[str, Any]] = []
    few = task(seen(deeper.FEWEST - 1))
    made = fit(Task(**{**vars(few), "report": told.append}))
    assert made.hyperparameters["tuned"]["share"] == 0
    assert any("too few" in event["message"] for event in told)
