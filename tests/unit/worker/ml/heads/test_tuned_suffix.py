"""A head's own part of the network computes where the backbone does, whatever lies where."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest
import torch
from torch import Tensor, nn

from app.core.modalities import Depth
from tests.unit.worker.ml.tiny_network import both, pictures, seen, tiny_suffix
from worker.ml.backbones.suffix import Suffix
from worker.ml.heads import tuned_suffix
from worker.ml.heads.tuned_suffix import TunedSuffix
from worker.ml.tasks import Task, Tuning

pytestmark = pytest.mark.slow

THERE = torch.device("meta")
"""A device that every machine has, and whose tensors meet no other's."""


@dataclass
class Elsewhere:
    """What a graph on another device is given; its answers, without numbers there, are zeros."""

    devices: list[torch.device] = field(default_factory=list)

    def watch(self, graph: nn.Module) -> None:
        graph.register_forward_pre_hook(lambda _, given: self.devices.append(given[0].device))
        graph.register_forward_hook(lambda _, __, gave: torch.zeros(gave.shape))


def begun(suffix: Suffix) -> TunedSuffix:
    start = tiny_suffix().start
    return TunedSuffix.of(suffix, {f"tuned.{name}": value for name, value in start.items()})


def test_a_heads_tensors_and_what_it_reads_go_where_its_backbone_computes() -> None:
    _, activations = both(pictures(2)[0])
    there = begun(tiny_suffix().on(THERE))
    assert {value.device for value in there.graph.parameters()} == {THERE}
    seen = Elsewhere()
    seen.watch(there.graph)
    for answer in (there(activations), there.traced(activations)):
        assert answer.device == activations.device
    assert seen.devices == [THERE] * 2
    assert there.nbytes == begun(tiny_suffix()).nbytes


def test_on_one_device_nothing_is_moved() -> None:
    here = tiny_suffix()
    assert here.on(torch.device("cpu")) is here
    there = here.on(THERE)
    assert there.on(THERE) is there
    _, activations = both(pictures(1)[0])
    with torch.no_grad():
        made = begun(here)(activations)
    torch.testing.assert_close(made, here.embed(here.start, activations))


def test_a_job_judges_its_head_where_it_has_tuned_it() -> None:
    tuning = Tuning(suffix=tiny_suffix(), device="meta")
    task = Task(
        method="partial", hyperparameters={}, support=seen(1), layout=(), backbone="tiny",
        tuning=tuning,
    )  # fmt: skip
    assert task.suffix("partial").device == THERE
    cpu = replace(task, tuning=replace(tuning, device="cpu"))
    assert cpu.suffix("partial") is tuning.suffix


@pytest.mark.parametrize("depth", ["partial", "lora", "full"])
def test_every_depth_has_its_device(depth: Depth) -> None:
    suffix = tiny_suffix(depth).on(THERE)
    tensors: list[Tensor] = [*suffix.graph.parameters(), *suffix.start.values()]
    assert suffix.device == THERE
    assert {value.device for value in tensors} == {THERE}


class Odd(nn.Module):
    """Infinite numbers in the first picture's embedding."""

    def forward(self, x: Tensor) -> Tensor:
        made = torch.ones(len(x), 3)
        made[0, 1] = torch.inf
        return made


def test_a_row_that_is_not_finite_says_nothing_at_all() -> None:
    suffix = tiny_suffix()
    odd = replace(begun(suffix), graph=Odd())
    made = odd(torch.zeros(2, suffix.cut.width))
    assert made[0].isnan().all(), "an infinite logit would be a probability of one"
    assert made[1].tolist() == [1, 1, 1]


def test_a_pass_reads_no_more_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    suffix, passes = tiny_suffix(), list[int]()
    tuned = begun(suffix)
    given = torch.rand(5, suffix.cut.width)
    at_once = tuned(given)
    tuned.graph.register_forward_pre_hook(lambda _, given: passes.append(len(given[0])))
    monkeypatch.setattr(tuned_suffix, "TOGETHER", 2 * suffix.cut.width + 1)
    assert torch.allclose(tuned(given), at_once, atol=1e-6)
    monkeypatch.setattr(tuned_suffix, "TOGETHER", 1)
    tuned(given[:2])
    assert passes == [2, 2, 1, 1, 1]
