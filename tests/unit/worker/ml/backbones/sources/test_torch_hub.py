"""A folder with hubconf.py is a backbone where an operator trusts it, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from app.core.errors import HeadstartError
from app.infra import weights
from tests.unit.worker.ml.backbones.sources.kit import agreeing
from worker.ml.backbones.sources import fingerprint, former, image_network

CODE = """
import torch
from torch import nn

def _part(a, b):
    return nn.Sequential(nn.Conv2d(a, b, 3, stride=2, padding=1), nn.ReLU())

def small(pretrained=True):
    torch.manual_seed(0)
    trunk = nn.Sequential(_part(3, 8), _part(8, 16), _part(16, 24))
    return nn.Sequential(trunk, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(24, 5))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "hubconf.py").write_text(CODE)
    return tmp_path


def test_its_code_does_not_run_unasked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HEADSTART_ALLOW_HUB_CODE", raising=False)
    (folder / "own" / "hubconf.py").write_text("raise SystemExit('it ran')")
    available, reason = weights.availability("own", folder)
    assert not available
    assert "HEADSTART_ALLOW_HUB_CODE" in (reason or "")
    with pytest.raises(HeadstartError) as caught:
        image_network("own", folder)
    assert caught.value.code == "backbone_unavailable"


def test_what_feeds_the_last_linear_layer_is_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADSTART_ALLOW_HUB_CODE", "true")
    spec = agreeing("own", folder)
    assert (spec.source, spec.dim, spec.fixed_size) == ("torch_hub", 24, False)
    levels = [block.stop - block.start for block in spec.layout if block.statistic == "mean"]
    assert levels == [8, 16, 24]
    before = weights.sha256(folder / "own")
    (folder / "own" / "hubconf.py").write_text(CODE + "\n# another\n")
    assert weights.sha256(folder / "own") != before


def test_code_beside_tensors_is_part_of_the_fingerprint(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADSTART_ALLOW_HUB_CODE", "true")
    save_file({"any": torch.ones(2)}, folder / "own" / "model.safetensors")
    spec = image_network("own", folder)[0]
    before, older = fingerprint(spec, folder), former(spec, folder)
    (folder / "own" / "hubconf.py").write_text(CODE.replace("nn.ReLU", "nn.Tanh"))
    assert fingerprint(spec, folder) != before
    assert former(spec, folder) == older != ()


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("def a(): pass\ndef b(): pass", "entry_point"),
        ("def a(): return 1", "no network"),
        ("def a(): raise RuntimeError('broken')", "broken"),
        ("def", "hubconf"),
    ],
)
def test_code_that_gives_no_network_is_refused(
    code: str, told: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADSTART_ALLOW_HUB_CODE", "true")
    (folder / "own" / "hubconf.py").write_text(code)
    with pytest.raises(HeadstartError, match=told) as caught:
        image_network("own", folder)
    assert caught.value.code == "weights_invalid"
