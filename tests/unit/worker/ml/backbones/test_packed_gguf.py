"""A decoder's GGUF file gives what the folder that it was made of gives, or is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch

from app.core.errors import HeadstartError
from app.infra.found_backbones.gguf_header import header
from tests.tiny_decoders import DECODERS, SIZES, decoder, gguf_file, say, tokenizer
from worker.ml.backbones.packed_gguf import GgufFile
from worker.ml.backbones.packed_gguf_network import network
from worker.ml.engines import load_engine
from worker.ml.engines.torch_engine import load_torch

pytestmark = pytest.mark.slow

TEXTS = ["the card was back", "hello", "money in 2024, 3,500 of it", "", "card " * 150]
FORMATS = {
    "F32": 0.0, "F16": 1e-3, "BF16": 1e-2, "Q8_0": 1 / 127, "Q5_0": 1 / 15, "Q5_1": 1 / 15,
    "Q4_0": 1 / 7, "Q4_1": 1 / 7,
}  # fmt: skip
"""What ggml's own package writes, and how far a number may be off, in those of the largest."""
FAMILIES = ["llama", "qwen2", "qwen3"]


@pytest.mark.parametrize("family", FAMILIES)
def test_it_embeds_as_its_folder_does(family: str, tmp_path: Path) -> None:
    made = decoder(family, tmp_path / "folder")
    gguf_file(family, made, tmp_path / "packed.gguf")
    folder, packed = (
        load_engine(name, tmp_path, device="cpu", precision="f32") for name in ("folder", "packed")
    )
    theirs: Any = load_torch(packed.spec, tmp_path, "cpu")
    ours, own = packed.embed(TEXTS), folder.embed(TEXTS)  # type: ignore[arg-type]
    assert ours.shape == (5, 64)
    assert (ours * theirs.embed(TEXTS)).sum(1).min() > 0.9999
    assert (ours * own).sum(1).min() > 0.99  # 8 bits
    assert np.abs(packed.embed(TEXTS[:1]) - ours[:1]).max() < 1e-4  # type: ignore[arg-type]
    assert packed.spec.licence == "mit"


@pytest.mark.parametrize(("kind", "share"), FORMATS.items())
def test_numbers_of_every_format_are_unpacked(kind: str, share: float, tmp_path: Path) -> None:
    made = decoder("llama", tmp_path / "folder")
    path = tmp_path / "packed.gguf"
    gguf_file("llama", made, path, kind=gguf.GGMLQuantizationType[kind])
    own = made.model.state_dict()
    read = dict(GgufFile(path).tensors())
    assert read.keys() == own.keys()
    for name, rows in read.items():
        wanted = own[name].numpy()
        assert np.abs(rows - wanted).max() <= share * np.abs(wanted).max(), name
    kinds = {tensor.kind for tensor in header(path).tensors.values()}
    assert kinds == {gguf.GGMLQuantizationType.F32, gguf.GGMLQuantizationType[kind]}


def test_its_tokens_are_those_of_its_vocabulary(tmp_path: Path) -> None:
    gguf_file("llama", DECODERS["llama"](), tmp_path / "tiny.gguf")
    made = GgufFile(tmp_path / "tiny.gguf").tokenizer()
    for text in TEXTS:
        assert made.encode(text).ids == tokenizer().encode(text).ids


@pytest.mark.parametrize(("pre", "pieces"), [("llama-bpe", 2), ("qwen2", 4), ("smollm", 4)])
def test_words_are_cut_as_its_family_cuts_them(pre: str, pieces: int, tmp_path: Path) -> None:
    gguf_file("llama", DECODERS["llama"](), tmp_path / "tiny.gguf", pre=pre)
    cut = GgufFile(tmp_path / "tiny.gguf").tokenizer().pre_tokenizer
    assert cut is not None
    assert len(cut.pre_tokenize_str("2024")) == pieces


@pytest.mark.parametrize(
    ("told", "why"), [({"model": "llama"}, "byte-level"), ({"pre": "unheard"}, "unheard")]
)
def test_tokens_of_another_kind_are_refused(told: dict[str, str], why: str, tmp_path: Path) -> None:
    gguf_file("llama", DECODERS["llama"](), tmp_path / "tiny.gguf", **told)
    with pytest.raises(HeadstartError, match=why) as caught:
        load_engine("tiny", tmp_path, device="cpu", precision="f32")
    assert caught.value.code == "weights_invalid"


def test_a_file_that_is_cut_short_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tiny.gguf"
    gguf_file("llama", DECODERS["llama"](), path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(HeadstartError) as caught:
        network(GgufFile(path))
    assert caught.value.code == "weights_invalid"


def test_a_missing_tensor_and_one_that_is_not_read_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "tiny.gguf"
    gguf_file("llama", DECODERS["llama"](), path)
    file = GgufFile(path)
    norm = file.header.tensors.pop("blk.1.attn_norm.weight")
    with pytest.raises(HeadstartError, match="input_layernorm"):
        network(file)
    file.header.tensors["rope_freqs.weight"] = norm
    with pytest.raises(HeadstartError, match="rope_freqs"):
        network(file)


def test_numbers_that_are_none_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "tiny.gguf"
    gguf_file("llama", DECODERS["llama"](), path)
    data = bytearray(path.read_bytes())
    start = header(path).tensors["output_norm.weight"].start
    data[start : start + 4] = np.float32(np.nan).tobytes()
    path.write_bytes(bytes(data))
    with pytest.raises(HeadstartError, match="NaN"):
        network(GgufFile(path))


def test_another_family_is_refused_by_name(tmp_path: Path) -> None:
    gguf_file("falcon", DECODERS["llama"](), tmp_path / "tiny.gguf")
    with pytest.raises(HeadstartError, match="falcon") as caught:
        load_engine("tiny", tmp_path, device="cpu", precision="f32")
    assert caught.value.code == "weights_invalid"


def test_where_its_states_are_read_is_part_of_the_key(tmp_path: Path) -> None:
    gguf_file("llama", DECODERS["llama"](), tmp_path / "tiny.gguf")
    plain: Any = load_engine("tiny", tmp_path, device="cpu", precision="f32")
    say(tmp_path, "tiny", template="the {} was", pooling="last", layer=2)
    asked: Any = load_engine("tiny", tmp_path, device="cpu", precision="f32")
    assert plain.weights_sha256 == asked.weights_sha256
    assert plain.fingerprint != asked.fingerprint
    (window,) = asked.encoder.windows(["card"])[0]
    ends = [tokenizer().encode(part).ids for part in ("the ", "card", " was")]
    assert window == [one for part in ends for one in part]
    file = network(GgufFile(tmp_path / "tiny.gguf"))
    with torch.inference_mode():
        states: Any = file(torch.tensor([window]), output_hidden_states=True)
    own = torch.nn.functional.normalize(states.hidden_states[2][0, -1], dim=-1).numpy()
    assert np.abs(asked.embed(["card", "money " * 30])[0] - own).max() < 1e-4


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ({"template": "no place"}, "once"),
        ({"template": "{}" + "long " * 90}, "no room"),
        ({"layer": SIZES["num_hidden_layers"] + 1}, "no block 4"),
        ({"pooling": "middle"}, "pooling"),
    ],
)
def test_what_a_side_file_cannot_mean_is_said(
    told: dict[str, Any], why: str, tmp_path: Path
) -> None:
    gguf_file("llama", DECODERS["llama"](), tmp_path / "tiny.gguf")
    say(tmp_path, "tiny", **told)
    with pytest.raises(HeadstartError, match=why) as caught:
        load_engine("tiny", tmp_path, device="cpu", precision="f32")
    assert caught.value.code == "weights_invalid"
