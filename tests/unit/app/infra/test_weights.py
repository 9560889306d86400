"""Which backbones a folder of weights adds, and what a file of weights is told from another by."""

from __future__ import annotations

import hashlib
from pathlib import Path

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
    (folder / "model.safetensors").write_bytes(b"tensors")
    assert availability("afro-encoder", tmp_path).available
    for broken in ("[]", "{", '{"hidden_size": "x"}', '{"hidden_size": -1}'):
        (folder / "config.json").write_text(broken)
        assert "afro-encoder" not in registry(tmp_path)
