"""Of packaged weights that an image leaves out, all is known that is known of them elsewhere."""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.core.backbones import BACKBONES, SMOLLM2, BackboneSpec
from app.infra import weights
from app.infra.found_backbones import left_out

pytestmark = pytest.mark.slow

IN_IMAGES = [spec for spec in BACKBONES.values() if spec.package and spec is not SMOLLM2]


@pytest.fixture(params=IN_IMAGES, ids=lambda spec: spec.name)
def spec(request: pytest.FixtureRequest) -> BackboneSpec:
    """A backbone whose weights come in a package that an image of the app leaves them out of."""
    found: BackboneSpec = request.param
    return found


@pytest.fixture
def without(
    spec: BackboneSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[list[Path]]:
    """Its package, left out of a copy that is found first; the files that went."""
    assert spec.package is not None
    module = spec.package[0]
    installed = importlib.util.find_spec(module)
    if installed is None or installed.origin is None:
        pytest.skip(f"{module} is not installed")
    shutil.copytree(Path(installed.origin).parent, tmp_path / module)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, module, raising=False)
    yield left_out.leave_out(tmp_path / module)
    importlib.invalidate_caches()


def test_what_is_left_out_is_known_as_before(spec: BackboneSpec, without: list[Path]) -> None:
    found = weights.find(spec.name, None)
    assert found is not None
    assert found.kind == "package"
    file = weights.weights_file(found.path)
    assert file in without
    assert not file.exists()
    assert weights.availability(spec.name, None).available
    original = weights.weights_file(_original(spec))
    assert weights.sha256(found.path) == hashlib.sha256(original.read_bytes()).hexdigest()


def test_the_window_of_a_text_encoder_is_known_as_before(
    spec: BackboneSpec, without: list[Path]
) -> None:
    if spec.modality != "text":
        return
    found = weights.find(spec.name, None)
    assert found is not None
    assert without
    assert weights.window(found.path) == weights.window(_original(spec))


def test_small_files_stay(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "large.bin").write_bytes(bytes(2**20 + 1))
    assert left_out.leave_out(tmp_path) == [tmp_path / "large.bin"]
    assert (tmp_path / "config.json").is_file()
    assert not left_out.is_noted(tmp_path / "config.json")


def _original(spec: BackboneSpec) -> Path:
    """Where the weights are in the package that is installed."""
    assert spec.package is not None
    module, inside = spec.package
    for folder in sys.path[1:]:
        if (path := Path(folder) / module / inside).exists():
            return path
    raise AssertionError(f"{module} has no {inside}")
