"""The pipe's protocol, kept by the real tensor process and by the light one of the fault tests."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from app.core.errors import HeadstartError
from app.infra.processes import stillness
from tests.integration.worker.conftest import LIGHT, REAL
from tests.worker_kit import picture
from worker.trainer.tensor_process import (
    ChildCrashedError,
    ChildExceptionError,
    EngineCrashedError,
    TensorProcess,
)

BACKBONE = "efficientnet_lite0"


def nothing() -> None:
    """A guard that lets everything pass."""


@pytest.fixture(params=[LIGHT, REAL], scope="module")
def child(request: pytest.FixtureRequest, engines: Path) -> Iterator[TensorProcess]:
    process = TensorProcess(weights_dir=None, engines_dir=engines, threads=2, module=request.param)
    yield process
    process.kill()


def packed(folder: Path, contents: list[bytes]) -> dict[str, Any]:
    pack = folder / "pack"
    pack.write_bytes(b"".join(contents))
    lengths = [len(content) for content in contents]
    offsets = [sum(lengths[:i]) for i in range(len(lengths))]
    return {
        "packs": [str(pack)], "pack": [0] * len(contents), "offset": offsets, "length": lengths,
        "sha256": [sha256(content).hexdigest() for content in contents],
    }  # fmt: skip


def embed(child: TensorProcess, folder: Path, contents: list[bytes]) -> dict[str, Any]:
    request = {
        "op": "embed", "backbone": BACKBONE, "view": "squish",
        "items": packed(folder, contents), "out": str(folder / "rows.npy"),
    }  # fmt: skip
    return child.ask(request, guard=nothing)


def test_an_engine_names_a_cache_for_every_view(child: TensorProcess) -> None:
    facts = child.engine(BACKBONE, nothing)
    assert facts.modality == "image"
    assert {"squish", "mirror"} <= set(facts.keys)
    assert len(set(facts.keys.values())) == len(facts.keys)


def test_embedding_writes_half_floats_and_names_what_is_bad(
    child: TensorProcess, tmp_path: Path
) -> None:
    contents = [picture(1, 0), b"bad", picture(2, 1), picture(1, 0)]
    result = embed(child, tmp_path, contents)
    rows = np.load(tmp_path / "rows.npy")
    assert rows.dtype == np.float16
    assert result["rows"] == [0, 2, 3]
    assert len(rows) == 3
    assert [fault["index"] for fault in result["faults"]] == [1]
    assert result["done"] == 4
    np.testing.assert_allclose(rows[0], rows[2], atol=0.05)
    assert not np.allclose(rows[0], rows[1], atol=0.05)


def test_a_stop_keeps_what_is_done(child: TensorProcess, tmp_path: Path) -> None:
    light = child.engine(BACKBONE, nothing).precision == "light"
    contents = [b"slow %d" % i if light else picture(i, 0, 32) for i in range(200)]
    asked = []

    def stop_at_once() -> None:
        if not asked and child.pid is not None:
            asked.append(True)
            time.sleep(0.05)
            child.stop_request()

    request = {
        "op": "embed", "backbone": BACKBONE, "view": "squish",
        "items": packed(tmp_path, contents), "out": str(tmp_path / "rows.npy"),
    }  # fmt: skip
    result = child.ask(request, guard=stop_at_once)
    assert result["done"] < 200
    assert result["rows"][: result["done"]] == list(range(result["done"]))
    if result["rows"]:
        assert len(np.load(tmp_path / "rows.npy")) == len(result["rows"])
    assert embed(child, tmp_path, contents[:3])["done"] == 3


def test_a_stop_that_comes_at_once_counts(child: TensorProcess, tmp_path: Path) -> None:
    light = child.engine(BACKBONE, nothing).precision == "light"
    contents = [b"slow %d" % i if light else picture(i, 0, 16) for i in range(150)]
    request = {
        "op": "embed", "backbone": BACKBONE, "view": "squish",
        "items": packed(tmp_path, contents), "out": str(tmp_path / "rows.npy"),
    }  # fmt: skip
    for _ in range(5):
        asked: list[bool] = []

        def stop_before_it_begins(asked: list[bool] = asked) -> None:
            if not asked:
                asked.append(True)
                child.stop_request()

        assert child.ask(request, guard=stop_before_it_begins)["done"] < 150
    assert embed(child, tmp_path, contents[:3])["done"] == 3


def test_a_fit_writes_a_head(child: TensorProcess, tmp_path: Path) -> None:
    embed(child, tmp_path, [picture(i, i % 2) for i in range(8)])
    labelled = {
        "ids": [f"ex_{i}" for i in range(8)], "labels": [i % 2 for i in range(8)],
        "groups": list(range(8)), "classes": ["a", "b"],
        "views": {"squish": {
            "segments": [str(tmp_path / "rows.npy")], "segment": [0] * 8, "row": list(range(8)),
        }},
    }  # fmt: skip
    request = {
        "op": "fit", "backbone": BACKBONE, "method": "auto", "hyperparameters": {}, "seed": 0,
        "support": labelled, "validation": None, "others": [],
        "out": str(tmp_path / "head.safetensors"),
    }  # fmt: skip
    result = child.ask(request, guard=nothing)
    assert {"config", "evaluation", "hyperparameters", "advice", "seconds"} <= set(result)
    assert result["config"]["classes"] == ["a", "b"]
    assert load_file(tmp_path / "head.safetensors")


def test_domain_errors_keep_their_code(child: TensorProcess) -> None:
    with pytest.raises(HeadstartError) as raised:
        child.ask({"op": "engine", "backbone": "missing"}, guard=nothing)
    assert raised.value.code in ("unknown_backbone", "backbone_unavailable")


def test_an_unexpected_error_leaves_the_process_alive(child: TensorProcess) -> None:
    child.engine(BACKBONE, nothing)
    before = child.pid
    with pytest.raises(ChildExceptionError):
        child.ask({"op": "embed", "backbone": BACKBONE}, guard=nothing)
    assert child.pid == before


def test_a_guard_that_raises_kills_and_the_next_request_starts_another(
    child: TensorProcess, tmp_path: Path
) -> None:
    child.engine(BACKBONE, nothing)
    before = child.pid
    assert before is not None

    def give_up() -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        child.ask({"op": "engine", "backbone": BACKBONE}, guard=give_up)
    assert not Path(f"/proc/{before}").exists()
    assert embed(child, tmp_path, [picture(1, 0)])["done"] == 1


def test_a_death_is_told_apart_from_an_error(child: TensorProcess) -> None:
    child.engine(BACKBONE, nothing)
    assert child.pid is not None
    os.kill(child.pid, signal.SIGSTOP)  # or it might answer before the shot

    def shoot() -> None:
        assert child.pid is not None
        os.kill(child.pid, signal.SIGKILL)

    with pytest.raises(ChildCrashedError) as raised:
        child.ask({"op": "embed", "backbone": BACKBONE}, guard=shoot)
    assert not isinstance(raised.value, EngineCrashedError)


def test_a_frozen_child_is_replaced(
    child: TensorProcess, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(stillness, "LOOK_SECONDS", 0.02)
    child.engine(BACKBONE, nothing)
    assert child.pid is not None
    frozen = child.pid
    os.kill(frozen, signal.SIGSTOP)
    with pytest.raises(ChildCrashedError, match="hangs"):
        child.ask({"op": "embed", "backbone": BACKBONE}, guard=nothing)
    assert not Path(f"/proc/{frozen}").exists()
    monkeypatch.setattr(stillness, "LOOK_SECONDS", 1.0)
    assert embed(child, tmp_path, [picture(1, 0)])["done"] == 1


def test_a_death_while_an_engine_loads_says_so(engines: Path) -> None:
    child = TensorProcess(weights_dir=None, engines_dir=engines, threads=1, module=LIGHT)

    def shoot() -> None:
        assert child.pid is not None
        os.kill(child.pid, signal.SIGKILL)

    for warmed in (False, True):
        if warmed:
            child.warm(BACKBONE)
        with pytest.raises(EngineCrashedError):
            child.engine(BACKBONE, shoot)
        assert child.pid is None


def test_warming_lets_a_dying_child_go(engines: Path, tmp_path: Path) -> None:
    """Nobody asked for anything yet, so nobody is blamed: the next ask starts another."""
    (tmp_path / "deaf.py").write_text(
        "import os, sys, time; os.close(int(sys.argv[1])); time.sleep(60)"
    )
    child = TensorProcess(weights_dir=None, engines_dir=engines, threads=1, module="deaf")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(tmp_path))
        for number in range(600):
            child.warm(f"backbone-{number}")
            if child.pid is None:
                break
            time.sleep(0.05)
    assert child.pid is None
