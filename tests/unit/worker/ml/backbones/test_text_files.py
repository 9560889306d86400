"""What sentence-transformers says of texts besides: its vectors are ours."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.core.errors import HeadstartError
from app.infra import weights
from tests.unit.worker.ml.tiny_encoder import saved
from worker.ml.backbones.text_files import HuggingFaceFolder, fingerprint, former
from worker.ml.engines import load_engine

pytestmark = pytest.mark.slow

TEXTS = ["How do I ACTIVATE my Card?", "ok", "Ina son WANNAN abu sosai"]


def edited(file: Path, **told: Any) -> None:
    content = json.loads(file.read_text()) if file.is_file() else {}
    file.write_text(json.dumps({**content, **told}))


def cased(folder: Path) -> None:
    """The same tokens without lower-casing."""
    content = json.loads((folder / "tokenizer.json").read_text())
    content["normalizer"].update(lowercase=False, strip_accents=False)
    (folder / "tokenizer.json").write_text(json.dumps(content))
    told = {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "[PAD]"}
    edited(folder / "tokenizer_config.json", **told)


def theirs(folder: Path) -> Any:
    """Vectors as sentence-transformers has them, once it has saved the folder itself."""
    library = pytest.importorskip("sentence_transformers")
    made = library.SentenceTransformer(str(folder), device="cpu")
    return made.encode(TEXTS, normalize_embeddings=True)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("lowers", [True, False])
def test_texts_are_lowered_as_sentence_transformers_does(lowers: bool, tmp_path: Path) -> None:
    saved("bert", tmp_path)
    cased(tmp_path / "bert")
    edited(tmp_path / "bert" / "modules.json")
    kinds = [("Transformer", ""), ("Pooling", "1_Pooling")]
    modules = [
        {"idx": at, "name": str(at), "path": place, "type": f"sentence_transformers.models.{kind}"}
        for at, (kind, place) in enumerate(kinds)
    ]
    (tmp_path / "bert" / "modules.json").write_text(json.dumps(modules))
    (tmp_path / "bert" / "1_Pooling").mkdir()
    pooled = {"word_embedding_dimension": 32, "pooling_mode_mean_tokens": True}
    edited(tmp_path / "bert" / "1_Pooling" / "config.json", **pooled)
    edited(tmp_path / "bert" / "sentence_bert_config.json", max_seq_length=64, do_lower_case=lowers)
    assert weights.availability("bert", tmp_path).available
    engine: Any = load_engine("bert", tmp_path, device="cpu", precision="f32")
    assert np.abs(engine.embed(TEXTS) - theirs(tmp_path / "bert")).max() < 1e-4
    ids = engine.encoder.windows([TEXTS[0], TEXTS[0].lower()])
    assert (ids[0] == ids[1]) is lowers


def test_what_is_heeded_besides_is_part_of_the_fingerprint(tmp_path: Path) -> None:
    saved("bert", tmp_path)
    folder = tmp_path / "bert"
    plain = HuggingFaceFolder(folder).fingerprint()
    edited(folder / "sentence_bert_config.json", do_lower_case=True)
    assert HuggingFaceFolder(folder).fingerprint() == plain  # the tokens do already
    cased(folder)
    lowered = HuggingFaceFolder(folder).fingerprint()
    edited(folder / "sentence_bert_config.json", do_lower_case=False)
    plain = HuggingFaceFolder(folder).fingerprint()
    assert lowered != plain
    edited(folder / "tokenizer_config.json", model_max_length=512)
    assert HuggingFaceFolder(folder).fingerprint() == plain  # beyond the network's own
    edited(folder / "tokenizer_config.json", model_max_length=16)
    assert weights.window(folder) == 16
    assert HuggingFaceFolder(folder).fingerprint() != plain


def test_two_windows_are_two_readings_which_older_models_do_not_tell_apart(tmp_path: Path) -> None:
    saved("bert", tmp_path)
    folder, spec = tmp_path / "bert", weights.get("bert", tmp_path)
    edited(folder / "sentence_bert_config.json", max_seq_length=16)
    narrow, before = fingerprint(spec, folder), former(spec, folder)
    edited(folder / "sentence_bert_config.json", max_seq_length=32)
    assert fingerprint(spec, folder) != narrow
    assert before == former(spec, folder) == (HuggingFaceFolder(folder).fingerprint(),)
    wide = fingerprint(spec, folder)
    edited(tmp_path / "bert.json", input_size=24)
    assert fingerprint(weights.get("bert", tmp_path), folder) not in (narrow, wide)


def test_special_tokens_that_a_file_has_not_are_refused(tmp_path: Path) -> None:
    """Its library panics at the first text, which no worker of ours may."""
    saved("bert", tmp_path)
    file = tmp_path / "bert" / "tokenizer.json"
    told = json.loads(file.read_text())
    told["post_processor"]["single"][0]["SpecialToken"]["id"] = "[START]"
    file.write_text(json.dumps(told))
    with pytest.raises(HeadstartError, match=r"bert: tokenizer\.json: .*save it anew") as caught:
        load_engine("bert", tmp_path, device="cpu", precision="f32")
    assert caught.value.code == "weights_invalid"
