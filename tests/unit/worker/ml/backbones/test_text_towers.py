"""A tower of texts reads names as its family was taught to."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf

from app.core.errors import HeadstartError
from app.infra import weights
from tests import tiny_clip
from worker.ml.backbones.text_towers import TextTower

SIGHT = {
    "hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 2, "image_size": 32,
    "patch_size": 8, "intermediate_size": 64,
}  # fmt: skip
READS = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64,
    "vocab_size": len(tiny_clip.WORDS), "max_position_embeddings": 16, "pad_token_id": 1,
}  # fmt: skip


def siglip(folder: Path) -> Any:
    torch.manual_seed(0)
    made = hf.SiglipModel(hf.SiglipConfig(vision_config=SIGHT, text_config=READS)).eval()
    tiny_clip.save(made, folder / "siglip")
    return made


def features(model: Any, rows: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        told = model.get_text_features(input_ids=rows)
    found = told if isinstance(told, torch.Tensor) else told.pooler_output
    return torch.nn.functional.normalize(found, dim=-1)


def test_siglip_reads_names_filled_up_in_lower_case_without_marks(tmp_path: Path) -> None:
    model = siglip(tmp_path)
    tower = TextTower(tmp_path / "siglip")
    ids = tiny_clip.tokenizer().encode("a photo of a red disc").ids
    filled = torch.tensor([[*ids, *[1] * (16 - len(ids))]])
    assert torch.allclose(
        tower.embed(["A photo of a RED disc."]), features(model, filled), atol=1e-5
    )
    assert tower.scale == pytest.approx(math.exp(model.logit_scale.detach().item()))


def test_clip_reads_them_at_their_own_length(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = tiny_clip.network().eval()
    tiny_clip.save(model, tmp_path / "clip")
    tower = TextTower(tmp_path / "clip")
    ids = torch.tensor([tiny_clip.tokenizer().encode("blue bar").ids])
    assert torch.allclose(tower.embed(["blue bar"]), features(model, ids), atol=1e-5)
    beside = tower.embed(["blue bar", "a picture of a red pole.", "word " * 200])
    assert torch.allclose(beside[:1], features(model, ids), atol=1e-5)


def test_two_towers_are_told_by_files_alone(tmp_path: Path) -> None:
    siglip(tmp_path)
    assert weights.get("siglip", tmp_path).reads_names
    (tmp_path / "siglip" / "tokenizer.json").unlink()
    assert not weights.get("siglip", tmp_path).reads_names  # its pictures are read still


def test_what_is_damaged_is_refused(tmp_path: Path) -> None:
    siglip(tmp_path)
    (tmp_path / "siglip" / "tokenizer_config.json").write_text("{")
    with pytest.raises(HeadstartError) as caught:
        TextTower(tmp_path / "siglip")
    assert caught.value.code == "weights_invalid"


def test_the_token_that_fills_up_is_the_tokens_own(tmp_path: Path) -> None:
    siglip(tmp_path)
    told = {"pad_token": {"content": "[EOS]"}}
    (tmp_path / "siglip" / "tokenizer_config.json").write_text(json.dumps(told))
    assert TextTower(tmp_path / "siglip")._pad == tiny_clip.WORDS.index("[EOS]")
