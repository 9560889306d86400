"""Artifacts: what is stored loads byte for byte, and anything else is refused."""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save

from app.core.errors import HeadstartError
from app.infra import storage_keys
from app.infra.storage import LocalStorage
from worker.formats import models
from worker.formats.models import CARD, HEAD, Artifact

TENSORS = {
    "weight": np.arange(12, dtype=np.float16).reshape(4, 3),
    "bias": np.zeros(3, np.float32),
    "classes": np.arange(3),
}
CARDED = {"labels": ["a", "b", "ü"], "config": {"classes": ["a", "b", "ü"]}, "job": "ours"}
PREFIX = storage_keys.artifact(organisation_id="acme", name="01abc", fence=7)


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path / "storage")


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    folder = tmp_path / "scratch"
    folder.mkdir()
    return folder


def stored(storage: LocalStorage, scratch: Path, data: bytes = save(TENSORS)) -> Artifact:
    (scratch / HEAD).write_bytes(data)
    return models.write(storage, scratch, PREFIX, CARDED)


def refusal(storage: LocalStorage, artifact: Artifact) -> HeadstartError:
    with pytest.raises(HeadstartError) as raised:
        models.load(storage, artifact.prefix, artifact.sha256)
    assert raised.value.code == "model_corrupt"
    return raised.value


def replace(storage: LocalStorage, name: str, data: bytes) -> None:
    (storage.root / PREFIX / name).write_bytes(data)


def test_what_is_written_is_what_is_loaded(storage: LocalStorage, scratch: Path) -> None:
    artifact = stored(storage, scratch)
    loaded = models.load(storage, artifact.prefix, artifact.sha256)
    assert loaded.card == artifact.card
    assert loaded.card["labels"] == ["a", "b", "ü"]
    assert loaded.card["head"]["tensors"]["weight"] == {"shape": [4, 3], "dtype": "float16"}
    for name, value in TENSORS.items():
        np.testing.assert_array_equal(loaded.tensors[name], value)


def test_the_path_carries_the_fence(storage: LocalStorage, scratch: Path) -> None:
    stored(storage, scratch)
    assert sorted(storage.keys("models")) == [
        f"models/acme/01abc/7/{HEAD}", f"models/acme/01abc/7/{CARD}",
    ]  # fmt: skip


def test_model_json_is_for_people(storage: LocalStorage, scratch: Path) -> None:
    artifact = stored(storage, scratch)
    text = storage.fetch(f"{artifact.prefix}/{CARD}").read_text()
    assert '"ü"' in text
    assert len(text.splitlines()) > 10


@pytest.mark.parametrize("place", [0, 9, 100, -1])
def test_a_flipped_bit_is_refused(storage: LocalStorage, scratch: Path, place: int) -> None:
    artifact = stored(storage, scratch)
    data = bytearray(storage.fetch(f"{PREFIX}/{HEAD}").read_bytes())
    data[place] ^= 1
    replace(storage, HEAD, bytes(data))
    refusal(storage, artifact)


@pytest.mark.parametrize("name", [HEAD, CARD])
def test_a_missing_file_is_refused(storage: LocalStorage, scratch: Path, name: str) -> None:
    artifact = stored(storage, scratch)
    storage.delete(f"{PREFIX}/{name}")
    refusal(storage, artifact)


@pytest.mark.parametrize("change", ["not json", "null", "{}", "[]"])
def test_a_card_of_something_else_is_refused(
    storage: LocalStorage, scratch: Path, change: str
) -> None:
    artifact = stored(storage, scratch)
    replace(storage, CARD, change.encode())
    refusal(storage, artifact)


def test_a_card_with_other_shapes_is_refused(storage: LocalStorage, scratch: Path) -> None:
    artifact = stored(storage, scratch)
    card: dict[str, Any] = json.loads(json.dumps(artifact.card))
    card["head"]["tensors"]["weight"]["shape"] = [3, 4]
    replace(storage, CARD, json.dumps(card).encode())
    refusal(storage, artifact)


def test_a_card_with_other_labels_is_refused(storage: LocalStorage, scratch: Path) -> None:
    artifact = stored(storage, scratch)
    other = {**artifact.card, "config": {"classes": ["ü", "b", "a"]}}
    replace(storage, CARD, json.dumps(other).encode())
    assert CARD in refusal(storage, artifact).message


def test_a_card_may_be_laid_out_otherwise(storage: LocalStorage, scratch: Path) -> None:
    card = {"config": {"folds": {1: (0.1, 1e-9)}, "classes": ["ü", "a"]}}
    (scratch / HEAD).write_bytes(save(TENSORS))
    artifact = models.write(storage, scratch, PREFIX, card)
    path = storage.fetch(f"{PREFIX}/{CARD}")
    replace(storage, CARD, json.dumps(json.loads(path.read_bytes()), sort_keys=True).encode())
    loaded = models.load(storage, artifact.prefix, artifact.sha256)
    assert loaded.card["config"]["folds"] == {"1": [0.1, 1e-9]}


def test_the_same_head_is_the_same_file_whoever_made_it(
    storage: LocalStorage, scratch: Path
) -> None:
    found = set()
    for job in ("ours", "theirs"):
        (scratch / HEAD).write_bytes(save(TENSORS))
        found.add(models.write(storage, scratch, PREFIX, {**CARDED, "job": job}).sha256)
    assert len(found) == 1


def test_a_head_from_before_cards_were_hashed_still_loads(
    storage: LocalStorage, scratch: Path
) -> None:
    artifact, data = stored(storage, scratch), save(TENSORS)
    sha256 = hashlib.sha256(data).hexdigest()
    head = {**artifact.card["head"], "sha256": sha256, "bytes": len(data)}
    replace(storage, HEAD, data)
    replace(storage, CARD, json.dumps({**artifact.card, "head": head}).encode())
    loaded = models.load(storage, PREFIX, sha256)
    assert loaded.card["labels"] == ["a", "b", "ü"]


def header(described: object) -> bytes:
    text = json.dumps(described).encode()
    return struct.pack("<Q", len(text)) + text


BAD_HEADS = {
    "empty": b"",
    "huge header": struct.pack("<Q", 2**62),
    "no header": b"\x00" * 64,
    "bad offsets": header({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 400]}}),
    "wrong shape": header({"w": {"dtype": "F32", "shape": [9], "data_offsets": [0, 8]}}) + bytes(8),
    "unknown type": header({"w": {"dtype": "X9", "shape": [2], "data_offsets": [0, 8]}}) + bytes(8),
    "pickle": b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00}\x94.",
    "no tensors": header({}),
    "nan": save({"weight": np.array([1.0, np.nan], np.float32)}),
    "infinity": save({"weight": np.array([np.inf], np.float16)}),
}


@pytest.mark.parametrize("name", BAD_HEADS)
def test_a_head_that_could_not_be_loaded_is_never_stored(
    storage: LocalStorage, scratch: Path, name: str
) -> None:
    with pytest.raises(HeadstartError) as raised:
        stored(storage, scratch, BAD_HEADS[name])
    assert raised.value.code == "weights_invalid"
    assert not list(storage.keys("models"))


@pytest.mark.parametrize("name", BAD_HEADS)
def test_a_bad_head_is_refused_even_under_its_own_hash(
    storage: LocalStorage, scratch: Path, name: str
) -> None:
    stored(storage, scratch)
    replace(storage, HEAD, BAD_HEADS[name])
    with pytest.raises(HeadstartError) as raised:
        models.load(storage, PREFIX, hashlib.sha256(BAD_HEADS[name]).hexdigest())
    assert raised.value.code == "model_corrupt"


def test_the_card_registers_the_held_out_answers(storage: LocalStorage, scratch: Path) -> None:
    (scratch / models.ANSWERS).write_bytes(b"{}\n")
    artifact = stored(storage, scratch)
    told = artifact.card["held_out"]
    assert told == {"file": "held_out.jsonl", "sha256": hashlib.sha256(b"{}\n").hexdigest()}
    assert storage.fetch(f"{PREFIX}/held_out.jsonl").read_bytes() == b"{}\n"
