"""What sentence-transformers saves beside a network of texts: heeded exactly, or refused."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, Field

from app.core.backbones import Pooling
from app.infra.found_backbones.settings_files import (
    SettingsFile,
    content,
    parsed,
    refusal,
    told,
)

_POOLINGS: dict[str, Pooling] = {
    "cls": "cls", "cls_token": "cls", "lasttoken": "last", "mean": "mean", "mean_tokens": "mean",
    "mean_sqrt_len_tokens": "mean", "weightedmean": "weighted", "weightedmean_tokens": "weighted",
    "max": "max", "max_tokens": "max",
}  # fmt: skip
"""What it calls them, today and before; lengths come out as one of all."""
_BEFORE = "pooling_mode_"
_MODULES = {"Transformer": "", "Pooling": "1_Pooling", "Normalize": None, "Dropout": None}
"""What it calls the modules that are read, and where; the last two of them need no file: lengths
come out as one of all, and nothing is dropped but while it is taught.
"""
_TRANSFORMERS = (
    "sentence_bert_config.json", "sentence_roberta_config.json", "sentence_distilbert_config.json",
    "sentence_camembert_config.json", "sentence_albert_config.json",
    "sentence_xlm-roberta_config.json", "sentence_xlnet_config.json",
)  # fmt: skip
"""The first of these that is here is read, as it is there."""
_PLAIN = {"method": "forward", "method_output_name": "last_hidden_state"}


class PoolingFile(SettingsFile):
    """`1_Pooling/config.json`, as it is written today and was before."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    embedding_dimension: int | None = None
    word_embedding_dimension: int | None = None
    pooling_mode: str | list[str] = Field(default_factory=list)
    pooling_mode_cls_token: bool | None = None
    pooling_mode_max_tokens: bool | None = None
    pooling_mode_mean_tokens: bool | None = None
    pooling_mode_mean_sqrt_len_tokens: bool | None = None
    pooling_mode_weightedmean_tokens: bool | None = None
    pooling_mode_lasttoken: bool | None = None
    include_prompt: bool = True

    def modes(self) -> list[str]:
        """What is asked for; the mean where nothing is."""
        told = [self.pooling_mode] if isinstance(self.pooling_mode, str) else self.pooling_mode
        flags = [
            key.removeprefix(_BEFORE)
            for key, value in self
            if key.startswith(_BEFORE) and value is True
        ]
        return told or flags or ["mean"]


class PromptFile(SettingsFile):
    """`config_sentence_transformers.json`. Its `similarity_fn_name` decides no embedding."""

    model_type: str | None = None
    prompts: dict[str, str | None] | None = None
    default_prompt_name: str | None = None
    truncate_dim: None = None


class TransformerFile(SettingsFile):
    """`sentence_bert_config.json`: of what is not read, only what changes nothing is taken."""

    max_seq_length: int | None = Field(default=None, gt=0)
    do_lower_case: bool | None = None
    transformer_task: str | None = None
    modality_config: dict[str, Any] | None = None
    module_output_name: str | None = None
    unpad_inputs: bool | None = None


@dataclass(frozen=True)
class Sentences:
    """Where states are read, what stands before every text, whether texts are lower-cased first,
    and the most tokens of one, where that is said; `older` is the file that says it, if it has one
    of its former names.
    """

    pooling: Pooling
    prompt: str
    lowers: bool
    most: int | None
    older: str | None


def stated(folder: Path) -> Sentences:
    """Raises weights_invalid for what is malformed, or asks for what is not read."""
    _check_modules(folder)
    file = folder / "1_Pooling" / "config.json"
    pooled = parsed(PoolingFile, file)
    prompt = _default_prompt(folder / "config_sentence_transformers.json")
    if prompt and not pooled.include_prompt:
        why = "`include_prompt` is false, and a default prompt stands before every text"
        name = "leave `default_prompt_name` out of config_sentence_transformers.json"
        raise refusal(file, f"{why}: states without the prompt's are not read; {name}")
    named = next((one for one in _TRANSFORMERS if (folder / one).is_file()), _TRANSFORMERS[0])
    read = _transformer(folder / named)
    return Sentences(
        pooling=_pooling(file, pooled.modes()),
        prompt=prompt,
        lowers=bool(read.do_lower_case),
        most=read.max_seq_length,
        older=named if named != _TRANSFORMERS[0] else None,
    )


def _pooling(file: Path, modes: list[str]) -> Pooling:
    if len(modes) == 1 and modes[0] in _POOLINGS:
        return _POOLINGS[modes[0]]
    why = f"1_Pooling asks for {modes}: one of {', '.join(_POOLINGS)} is read"
    raise refusal(file, why)


def _default_prompt(file: Path) -> str:
    """What stands before every text unasked."""
    read = parsed(PromptFile, file)
    if read.model_type not in (None, "SentenceTransformer"):
        raise refusal(file, f"`model_type` is {read.model_type!r}, which is not read")
    if read.default_prompt_name is None:
        return ""
    prompts = read.prompts or {}
    if read.default_prompt_name not in prompts:
        why = (
            f"`default_prompt_name` is {read.default_prompt_name!r}, and `prompts` has no such one"
        )
        raise refusal(file, f"{why}: add it there, or leave the name out")
    return prompts[read.default_prompt_name] or ""


def _transformer(file: Path) -> TransformerFile:
    read = parsed(TransformerFile, file)
    more = {key: value for key, value in (read.model_extra or {}).items() if value}
    if read.transformer_task not in (None, "feature-extraction"):
        more["transformer_task"] = read.transformer_task
    if read.module_output_name not in (None, "token_embeddings"):
        more["module_output_name"] = read.module_output_name
    if (read.modality_config or {}).get("text", _PLAIN) != _PLAIN:
        more["modality_config"] = read.modality_config
    if more:
        key, value = next(iter(more.items()))
        raise refusal(file, f"`{key}` is {value!r}, which is not read: the embedding is another")
    return read


def _check_modules(folder: Path) -> None:
    """Raises weights_invalid where sentence-transformers would do more than is done here."""
    for one in _modules(folder / "modules.json"):
        kind, place = one["type"].rpartition(".")[2], one["path"]
        if kind not in _MODULES:
            why = f"it has {place or kind} ({kind}), which is not read, so its numbers would be"
            more = "others: without its entry there, the embedding is what comes before it"
            raise refusal(folder / "modules.json", f"{why} {more}")
        if (wanted := _MODULES[kind]) is not None and place != wanted:
            why = f"it has its {kind} in {place!r}: it is read in {wanted!r}: move it there"
            raise refusal(folder / "modules.json", why)


def _modules(file: Path) -> list[dict[str, str]]:
    """Type and path of each."""
    if not file.is_file():
        return []
    try:
        found = [{key: one[key] for key in ("type", "path")} for one in content(file)]
    except (TypeError, KeyError) as error:
        raise refusal(file, "it is no list of modules, each with a type and a path") from error
    if not found or not all(isinstance(one, str) for part in found for one in part.values()):
        raise refusal(file, "it is no list of modules, each with a type and a path")
    return found


def most_tokens(folder: Path, read: Sentences) -> int | None:
    """As sentence-transformers has it: its own number, else that of the tokenizer's settings."""
    if read.most is not None:
        return read.most
    most = told(folder / "tokenizer_config.json").get("model_max_length")
    return most if isinstance(most, int) and not isinstance(most, bool) and most > 0 else None
