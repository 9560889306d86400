"""Weights are found in their order, or an error says how to supply them; bad files never load."""

from __future__ import annotations

import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torchvision import models

from app.core.backbones import BackboneSpec, how_to_supply, pyramid
from app.core.errors import HeadstartError
from app.infra.found_backbones import whole
from app.infra.weights import availability, download_path, find, get, require
from worker.ml.backbones.networks import pyramid as pyramid_of
from worker.ml.backbones.weights import read, weights


@pytest.fixture
def no_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty torch cache."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return tmp_path


def refused(path: Path) -> str:
    with pytest.raises(HeadstartError) as caught:
        read(path)
    assert caught.value.code == "weights_invalid"
    return caught.value.message


def test_missing_weights_say_how_to_supply_them(no_cache: Path) -> None:
    assert find("resnet18", no_cache) is None
    available, reason = availability("resnet18", no_cache)
    assert not available
    with pytest.raises(HeadstartError) as caught:
        weights("resnet18", no_cache)
    assert caught.value.code == "backbone_unavailable"
    for text in (reason or "", caught.value.message):
        assert "resnet18.safetensors" in text
        assert "HEADSTART_WEIGHTS_DIR" in text
    assert "https://download.pytorch.org/models/resnet18-f37072fd.pth" in caught.value.message


def test_a_past_download_is_used_and_the_folder_goes_before_it(no_cache: Path) -> None:
    spec = get("squeezenet1_1")
    cached = download_path(spec)
    assert cached is not None
    cached.parent.mkdir(parents=True)
    torch.save({"a": torch.zeros(1)}, cached)
    found = weights(spec.name, no_cache)
    assert (found.source.kind, found.licence) == ("download", "BSD-3-Clause")
    save_file({"a": torch.ones(1)}, no_cache / f"{spec.name}.safetensors")
    assert weights(spec.name, no_cache).source.kind == "folder"
    assert availability(spec.name, no_cache) == (True, None)


def test_tensors_with_holes_are_refused(tmp_path: Path) -> None:
    for number in (float("nan"), float("inf")):
        save_file({"w": torch.tensor([1.0, number])}, tmp_path / "w.safetensors")
        assert "NaN" in refused(tmp_path / "w.safetensors")
        torch.save({"w": torch.tensor([number])}, tmp_path / "w.pth")
        assert "NaN" in refused(tmp_path / "w.pth")


def test_a_huge_or_false_safetensors_header_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    header = b'{"w":{"dtype":"F32","shape":[9],"data_offsets":[0,36]}}'
    for data in (
        struct.pack("<Q", 2**60) + b"{}",
        struct.pack("<Q", len(header)) + header + b"\0" * 8,
        struct.pack("<Q", 4) + b"nope",
        b"",
        b"\1",
    ):
        path.write_bytes(data)
        refused(path)


def test_code_in_a_pickle_never_runs(tmp_path: Path) -> None:
    class Attack:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (str(tmp_path / "ran"),)

    torch.save({"w": Attack()}, tmp_path / "w.pth")
    refused(tmp_path / "w.pth")
    (tmp_path / "v.pth").write_bytes(pickle.dumps(Attack()))
    refused(tmp_path / "v.pth")
    assert not (tmp_path / "ran").exists()


def test_tensors_of_another_network_are_told_in_few_words(tmp_path: Path) -> None:
    other = models.squeezenet1_1().state_dict()
    torch.save(other, tmp_path / "resnet18.pth")
    with pytest.raises(HeadstartError, match="resnet18") as caught:
        pyramid_of("resnet18", tmp_path)
    assert caught.value.code == "weights_invalid"
    assert len(caught.value.message) < 500


@pytest.mark.parametrize(
    "content", [{}, {"w": 1}, [torch.ones(1)], {"state": {"w": torch.ones(1)}}]
)
def test_only_named_tensors_are_weights(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "w.pth")
    refused(tmp_path / "w.pth")


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    torch.save({"w": torch.ones(1000)}, tmp_path / "whole.pth")
    whole = (tmp_path / "whole.pth").read_bytes()
    for number, data in enumerate((b"", b"text", whole[:500], whole[:-100])):
        path = tmp_path / f"{number}.pth"
        path.write_bytes(data)
        refused(path)
    refused(tmp_path / "absent.pth")


@pytest.mark.parametrize(
    "dtype", [torch.float8_e4m3fn, torch.float8_e5m2, torch.complex64, torch.uint16, torch.int8]
)
def test_numbers_that_are_not_read_are_named(dtype: torch.dtype, tmp_path: Path) -> None:
    for write, name in ((save_file, "w.safetensors"), (torch.save, "w.pth")):
        write({"w": torch.ones(2, 2).to(dtype)}, tmp_path / name)
        assert "w is " in (told := refused(tmp_path / name))
        assert "save the network in float32" in told


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_floats_of_other_lengths_are_read(dtype: torch.dtype, tmp_path: Path) -> None:
    save_file({"w": torch.ones(2, 2).to(dtype)}, tmp_path / "w.safetensors")
    whole.check(tmp_path / "w.safetensors")
    assert read(tmp_path / "w.safetensors")["w"].dtype == dtype


def test_numbers_that_are_not_read_are_listed_so(tmp_path: Path) -> None:
    path = tmp_path / "own.safetensors"
    save_file({"w": torch.ones(2, 2).to(torch.float8_e4m3fn)}, path)
    assert "w is of numbers F8_E4M3" in (availability("own", tmp_path).reason or "")
    header = b'{"w":{"dtype":"F4","shape":[2],"data_offsets":[0,1]}}'
    path.write_bytes(struct.pack("<Q", len(header)) + header + b"\0")
    assert "w is of numbers F4" in (availability("own", tmp_path).reason or "")


def test_a_backbone_without_any_source_says_so(tmp_path: Path) -> None:
    layout = pyramid((4,))
    spec = BackboneSpec("unheard-of", "image", 4, layout, "none", 224)
    assert "unheard-of.pth" in how_to_supply(spec)
    with pytest.raises(HeadstartError) as caught:
        require(get("all-MiniLM-L6-v2"), tmp_path) and get("unheard-of")
    assert caught.value.code == "unknown_backbone"


def test_numpy_and_other_types_keep_their_tensors(tmp_path: Path) -> None:
    torch.save({"n": torch.tensor(3), "w": torch.from_numpy(np.ones(2))}, tmp_path / "w.pth")
    assert set(read(tmp_path / "w.pth")) == {"n", "w"}
