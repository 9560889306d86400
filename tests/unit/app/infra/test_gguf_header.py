"""A GGUF file's head is read as it was written, and nothing of a damaged one is believed."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.errors import HeadstartError
from app.infra import weights
from app.infra.found_backbones.gguf_header import header, stated
from tests.tiny_decoders import DECODERS, gguf_file, vocabulary


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    gguf_file("llama", DECODERS["llama"]().eval(), path)
    return path


def test_it_says_what_its_writer_said(file: Path) -> None:
    read = header(file)
    assert (read.family, read.licence, read.count("embedding_length")) == ("llama", "mit", 64)
    assert read.tensors["token_embd.weight"].shape == (400, 64)
    pieces = read.told["tokenizer.ggml.tokens"]
    assert pieces[: len(vocabulary()[0])] == vocabulary()[0]
    assert (stated(file).width, stated(file).window) == (64, 128)
    spec = weights.get("tiny", file.parent)
    assert (spec.modality, spec.dim, spec.licence) == ("text", 64, "mit")
    assert weights.availability("tiny", file.parent).available


@settings(max_examples=60)
@given(st.data())
def test_a_cut_or_changed_head_is_read_or_refused(file: Path, data: st.DataObject) -> None:
    whole = file.read_bytes()
    begin = min(tensor.start for tensor in header(file).tensors.values())
    kept = bytearray(whole[: data.draw(st.integers(0, begin))])
    for place in data.draw(st.lists(st.integers(0, max(0, len(kept) - 1)), max_size=4)):
        if place < len(kept):
            kept[place] = data.draw(st.integers(0, 255))
    damaged = file.with_name("damaged.gguf")
    damaged.write_bytes(bytes(kept))
    with pytest.raises(HeadstartError) as caught:
        header(damaged)
    assert caught.value.code == "weights_invalid"


@pytest.mark.parametrize(
    ("count", "pair"),
    [
        (2**63, b""),
        (1, struct.pack("<Q", 2**62)),
        (1, struct.pack("<Q1sI", 1, b"k", 99)),
        (1, struct.pack("<Q1sIIQ", 1, b"k", 9, 8, 2**60)),
        (1, struct.pack("<Q1sIIQ", 1, b"k", 9, 9, 1)),
    ],
)
def test_what_claims_more_than_there_is_is_refused(count: int, pair: bytes, tmp_path: Path) -> None:
    path = tmp_path / "claims.gguf"
    path.write_bytes(struct.pack("<4sIQQ", b"GGUF", 3, 0, count) + pair)
    with pytest.raises(HeadstartError) as caught:
        header(path)
    assert caught.value.code == "weights_invalid"


def test_a_damaged_file_is_listed_as_unavailable(tmp_path: Path) -> None:
    (tmp_path / "broken.gguf").write_bytes(b"GGUF and nothing else")
    available, reason = weights.availability("broken", tmp_path)
    assert not available
    assert "broken.gguf" in (reason or "")


def test_a_list_beyond_any_vocabulary_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path, count = tmp_path / "long.gguf", 2**20 + 1
    pair = struct.pack("<Q1sIIQ", 1, b"k", 9, 8, count)
    path.write_bytes(struct.pack("<4sIQQ", b"GGUF", 3, 0, 1) + pair + bytes(8 * count))
    with pytest.raises(HeadstartError, match="more than any vocabulary"):
        header(path)
