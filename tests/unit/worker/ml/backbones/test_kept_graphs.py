"""A part of a network that was kept is the part that was cut, and nothing but operators."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, fx, nn

from tests.unit.worker.ml.engines.test_tunable import vision_transformer
from tests.unit.worker.ml.tiny_network import tiny_suffix
from worker.ml.backbones import cuts, kept_graphs
from worker.ml.backbones.kept_graphs import kept
from worker.ml.backbones.suffix import Suffix
from worker.ml.checksums import checksum
from worker.ml.engines.tunable import adapted

pytestmark = pytest.mark.slow


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """What is logged, whatever level an app that ran before in this process has set."""
    caplog.set_level(logging.WARNING, logger=kept_graphs.__name__)
    return caplog


def never() -> Suffix:
    pytest.fail("it was kept")


def given(suffix: Suffix) -> Tensor:
    draw = torch.Generator().manual_seed(3)
    return torch.randint(0, 256, (3, suffix.cut.width), generator=draw).float()


def same(one: Suffix, other: Suffix) -> None:
    """In all that a training or a head asks of it."""
    assert (one.cut, one.stages, one.decay) == (other.cut, other.stages, other.decay)
    assert list(one.start) == list(other.start), "rates fall in this order"
    for name, value in one.start.items():
        assert torch.equal(value, other.start[name])
        assert value.stride() == other.start[name].stride()
    asked = [
        [(name, p.shape, p.requires_grad) for name, p in sorted(each.graph.named_parameters())]
        for each in (one, other)
    ]
    assert asked[0] == asked[1]
    with torch.no_grad():
        rows = [each.embed(each.start, given(one)) for each in (one, other)]
    assert torch.equal(*rows)


@pytest.mark.parametrize("depth", ["partial", "full"])
def test_what_was_kept_is_what_was_cut(depth: Any, tmp_path: Path) -> None:
    file = tmp_path / "engines" / "tiny.safetensors"
    made = kept(file, make=lambda: tiny_suffix(depth))
    found = kept(file, make=never)
    same(made, found)
    if depth == "full":
        same(adapted(made), adapted(found))
    names = sorted(one.name for one in file.parent.iterdir())
    assert names == ["tiny.crc32", "tiny.safetensors"], "nothing is left of writing it"


def test_a_network_of_tokens_is_kept(tmp_path: Path) -> None:
    spec, network = vision_transformer()
    made = kept(tmp_path / "one.safetensors", make=lambda: cuts.whole(spec, network))
    found = kept(tmp_path / "one.safetensors", make=never)
    same(made, found)
    same(adapted(made), adapted(found))


@pytest.mark.parametrize("damage", ["cut short", "changed", "no sum", "of code", "of another op"])
def test_what_is_damaged_is_cut_anew(
    damage: str, tmp_path: Path, told: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "tiny.safetensors"
    made = kept(file, make=tiny_suffix)
    _DAMAGE[damage](file)
    again = kept(file, make=tiny_suffix)
    same(made, again)
    assert "is traced anew" in told.text
    same(made, kept(file, make=never))


def _rewritten(file: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """With a sum that is right."""
    with safe_open(file, framework="pt") as stored:
        told = json.loads(stored.metadata()["graph"])
        tensors = {name: stored.get_tensor(name) for name in told["tensors"]}
    change(told)
    save_file(tensors, file, metadata={"graph": json.dumps(told)})
    file.with_suffix(".crc32").write_text(checksum(file))


def _called(name: str) -> Callable[[dict[str, Any]], None]:
    def change(told: dict[str, Any]) -> None:
        next(one for one in told["nodes"] if one["op"] == "call_function")["target"] = name

    return change


_DAMAGE: dict[str, Callable[[Path], object]] = {
    "cut short": lambda file: file.write_bytes(file.read_bytes()[:-10]),
    "changed": lambda file: file.write_bytes(file.read_bytes()[:-1] + b"x"),
    "no sum": lambda file: file.with_suffix(".crc32").unlink(),
    "of code": lambda file: _rewritten(file, _called("os.system")),
    "of another op": lambda file: _rewritten(file, _called("aten.no_such_operator.default")),
}


class Strange(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * 2


def test_what_is_no_operator_is_not_kept_and_serves(
    tmp_path: Path, told: pytest.LogCaptureFixture
) -> None:
    made = tiny_suffix()
    owner = nn.ModuleDict({"behind": made.graph, "strange": Strange()})
    graph = fx.Graph()
    graph.output(graph.call_module("strange", (graph.placeholder("x"),)))
    strange = replace(made, graph=fx.GraphModule(owner, graph))
    assert kept(tmp_path / "one.safetensors", make=lambda: strange) is strange
    assert "cannot be kept" in told.text
    assert not list(tmp_path.iterdir())


def test_where_nothing_can_be_written_it_is_made_every_time(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    same(kept(tmp_path / "file" / "one.safetensors", make=tiny_suffix), tiny_suffix())
    assert kept(None, make=tiny_suffix).cut == tiny_suffix().cut
