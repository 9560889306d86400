"""Which backbones a folder of weights adds, and what a file of weights is told from another by."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from app.infra.weights import availability, get, known, registry, sha256


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
    assert not availability("afro-encoder", tmp_path).available
    (folder / "tokenizer.json").write_text("{}")
    assert availability("afro-encoder", tmp_path).available
    for broken in ('{"hidden_size": "x"}', '{"hidden_size": -1}'):
        (folder / "config.json").write_text(broken)
        assert "afro-encoder" not in registry(tmp_path)


@pytest.mark.parametrize(
    ("broken", "told"),
    [("[]", "it is no object"), ("{", "it is no JSON"), ('{"a":' + '"b' * 2**23 + '"}', "bytes")],
)
def test_settings_that_cannot_be_read_are_listed_with_the_reason(
    broken: str, told: str, tmp_path: Path
) -> None:
    folder = tmp_path / "afro-encoder"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(save({"a": torch.zeros(3)}))
    (folder / "config.json").write_text(broken)
    assert "afro-encoder" in registry(tmp_path)
    available, reason = availability("afro-encoder", tmp_path)
    assert not available
    assert (reason or "").startswith("afro-encoder: config.json: ")
    assert told in (reason or "")


def test_one_name_is_looked_up_as_the_whole_folder_is_listed(tmp_path: Path) -> None:
    for name in ("one.onnx", "one.safetensors", "one.gguf", "resnet18.safetensors", ".x.onnx"):
        (tmp_path / name).write_bytes(b"x")
    for name in ("two", "two.onnx", "three.onnx", "resnet50"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text('{"hidden_size": 48}')
    (tmp_path / "gone.onnx").symlink_to(tmp_path / "gone.onnx")
    listed = registry(tmp_path)
    assert {"one", "two", "two.onnx", "three.onnx", "gone"} <= listed.keys()
    for name in [*listed, "three", "one.onnx", "x", ".x", "..", "../one", "none"]:
        assert known(name, tmp_path) == listed.get(name), name
    assert known("one", None) is None


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
