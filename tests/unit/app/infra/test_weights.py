"""Which backbones a folder of weights adds, and what a file of weights is told from another by."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from app.infra.weights import availability, get, registry, sha256


def test_the_same_file_has_the_same_sha256(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    path.write_bytes(b"1")
    first = sha256(path)
    path.write_bytes(b"22")
    assert first == hashlib.sha256(b"1").hexdigest()
    assert sha256(path) == hashlib.sha256(b"22").hexdigest()


def test_a_local_encoder_folder_is_a_backbone(tmp_path: Path) -> None:
    folder = tmp_path / "afro-encoder"
    folder.mkdir()
    assert "afro-encoder" not in registry(tmp_path)
    (folder / "config.json").write_text('{"hidden_size": 48}')
    spec = get("afro-encoder", tmp_path)
    assert (spec.modality, spec.dim, spec.width) == ("text", 48, 48)
    assert not availability("afro-encoder", tmp_path).available
    file = folder / "model.safetensors"
    file.write_bytes(save({"a": torch.zeros(3)}))
    assert availability("afro-encoder", tmp_path).available
    for broken in ("[]", "{", '{"hidden_size": "x"}', '{"hidden_size": -1}'):
        (folder / "config.json").write_text(broken)
        assert "afro-encoder" not in registry(tmp_path)


@pytest.mark.parametrize("damage", ["empty", "short", "long", "none", "hollow"])
def test_a_damaged_file_is_listed_as_unavailable(damage: str, tmp_path: Path) -> None:
    whole = save({"a": torch.zeros(30), "b": torch.ones(5)})
    broken = {
        "empty": b"", "short": whole[:-1], "long": whole + b"x", "none": b"PK\x03\x04" * 9,
        "hollow": save({}),
    }[damage]  # fmt: skip
    (tmp_path / "resnet18.safetensors").write_bytes(whole)
    assert availability("resnet18", tmp_path).available
    (tmp_path / "resnet18.safetensors").write_bytes(broken)
    available, reason = availability("resnet18", tmp_path)
    assert not available
    assert "resnet18.safetensors" in (reason or "")


def test_a_wrong_side_file_is_said_in_the_listing(tmp_path: Path) -> None:
    (tmp_path / "net.safetensors").write_bytes(save({"a": torch.zeros(3)}))
    assert availability("net", tmp_path).available
    (tmp_path / "net.json").write_text('{"input_sise": 224}')
    available, reason = availability("net", tmp_path)
    assert not available
    assert "input_sise" in (reason or "")


def test_settings_that_nest_too_deeply_are_their_folder_s_fault(tmp_path: Path) -> None:
    folder = tmp_path / "deep"
    folder.mkdir()
    (folder / "config.json").write_text('{"hidden_size": ' + "[" * 100_000 + "]" * 100_000 + "}")
    (folder / "model.safetensors").write_bytes(b"")
    assert "all-MiniLM-L6-v2" in registry(tmp_path)
