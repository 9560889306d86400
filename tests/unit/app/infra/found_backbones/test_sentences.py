"""What sentence-transformers saves is read whole, or told in the listing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from app.infra.found_backbones import sentences
from tests.unit.app.infra.found_backbones.test_hugging_face import folder, reason

PROMPT = "config_sentence_transformers.json"
POOLING = "1_Pooling/config.json"
BERT = "sentence_bert_config.json"


def put(place: Path, name: str, content: Any) -> Path:
    made = folder(place / "net")
    (made / name).parent.mkdir(exist_ok=True)
    (made / name).write_text(content if isinstance(content, str) else json.dumps(content))
    return made


@pytest.mark.parametrize("name", [PROMPT, POOLING, BERT, "tokenizer_config.json", "modules.json"])
@pytest.mark.parametrize("content", ["7", "{", "null", '"x"', "[1]"])
def test_a_file_of_another_shape_is_refused(name: str, content: str, tmp_path: Path) -> None:
    made = put(tmp_path, name, content)
    if name == "tokenizer_config.json":
        (made / "tokenizer.json").write_text("{}")
    assert Path(name).name in reason(tmp_path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (POOLING, []),
        (POOLING, {"pooling_mode": 3}),
        (POOLING, {"pooling_mode": [3]}),
        (POOLING, {"pooling_mode": None}),
        (POOLING, {"pooling_mode": "middle"}),
        (POOLING, {"pooling_mode_cls_token": "yes"}),
        (POOLING, {"pooling_mode_new_tokens": True}),
        (POOLING, {"include_prompt": 0}),
        (PROMPT, []),
        (PROMPT, {"prompts": None, "default_prompt_name": "query"}),
        (PROMPT, {"prompts": {"a": "x"}, "default_prompt_name": "query"}),
        (PROMPT, {"prompts": ["x"]}),
        (PROMPT, {"prompts": {"a": 1}}),
        (PROMPT, {"default_prompt_name": 1}),
        (PROMPT, {"truncate_dim": 64}),
        (PROMPT, {"model_type": "SparseEncoder"}),
        (BERT, {"max_seq_length": "256"}),
        (BERT, {"max_seq_length": 0}),
        (BERT, {"do_lower_case": "yes"}),
        (BERT, {"transformer_task": "fill-mask"}),
        (BERT, {"module_output_name": "sentence_embedding"}),
        (BERT, {"modality_config": {"text": {"method": "get_text_features"}}}),
        (BERT, {"query_length": 32}),
        (BERT, {"processing_kwargs": {"text": {"truncation": False}}}),
        ("modules.json", {}),
        ("modules.json", []),
        ("modules.json", [{"type": None, "path": None}]),
    ],
)
def test_what_is_malformed_or_not_read_is_refused(name: str, content: Any, tmp_path: Path) -> None:
    put(tmp_path, name, content)
    told = reason(tmp_path)
    assert Path(name).name in told
    assert str(tmp_path) not in told


def test_a_prompt_that_is_not_pooled_is_refused_where_there_is_one(tmp_path: Path) -> None:
    put(tmp_path, POOLING, {"pooling_mode_mean_tokens": True, "include_prompt": False})
    assert reason(tmp_path) == ""
    put(
        tmp_path, PROMPT, {"prompts": {"query": "q: ", "plain": ""}, "default_prompt_name": "query"}
    )
    assert "include_prompt" in reason(tmp_path)
    put(
        tmp_path, PROMPT, {"prompts": {"query": "q: ", "plain": ""}, "default_prompt_name": "plain"}
    )
    assert reason(tmp_path) == ""


def test_what_newer_versions_write_is_read(tmp_path: Path) -> None:
    put(
        tmp_path, BERT,
        {
            "transformer_task": "feature-extraction",
            "modality_config": {
                "text": {"method": "forward", "method_output_name": "last_hidden_state"}
            },
            "module_output_name": "token_embeddings", "processing_kwargs": {}, "query_length": None,
        },
    )  # fmt: skip
    put(tmp_path, "tokenizer_config.json", {"model_max_length": 7})
    made = put(tmp_path, PROMPT, {"similarity_fn_name": "dot", "prompts": {}, "__version__": {}})
    assert reason(tmp_path) == ""
    read = sentences.stated(made)
    assert read == sentences.Sentences("mean", "", lowers=False, most=None, older=None)
    assert sentences.most_tokens(made, read) == 7


def test_a_former_name_of_the_file_is_read(tmp_path: Path) -> None:
    told = {"max_seq_length": 9, "do_lower_case": True}
    made = put(tmp_path, "sentence_roberta_config.json", told)
    read = sentences.stated(made)
    assert (read.most, read.lowers, read.older) == (9, True, "sentence_roberta_config.json")
    put(tmp_path, BERT, {"max_seq_length": 8})
    assert sentences.stated(made).most == 8
