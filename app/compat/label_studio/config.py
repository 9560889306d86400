"""What a labelling configuration says of classification: which choices, of which part of a task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

from app.core.errors import HeadstartError

MOST_CHARACTERS = 500_000
_READS = {"image": ("image",), "text": ("text", "hypertext", "paragraphs")}
Attributes = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ChoiceConfig:
    """The control that says the class: its name, what it is of, and that one's key in a task."""

    from_name: str
    to_name: str
    key: str
    choices: frozenset[str]
    """Empty where they come with each task."""


@dataclass
class _Tags(HTMLParser):
    """Tags of a configuration; no entity is expanded, nothing is fetched."""

    controls: list[tuple[Attributes, list[str]]] = field(default_factory=list)
    objects: dict[str, tuple[str, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        told = {name: value or "" for name, value in attrs}
        if tag == "choices":
            self.controls.append((told, []))
        elif tag == "choice" and self.controls:
            self.controls[-1][1].append(told.get("alias") or told.get("value", ""))
        elif told.get("name") and told.get("value", "").startswith("$"):
            self.objects[told["name"]] = (tag, told["value"][1:])


def read_config(text: str, modality: str) -> ChoiceConfig:
    """The first control of choices over what a model of this modality reads. Raises
    invalid_request.
    """
    if len(text) > MOST_CHARACTERS:
        raise HeadstartError("invalid_request", "the labelling configuration is too long")
    tags = _Tags()
    tags.feed(text)
    tags.close()
    for told, choices in tags.controls:
        kind, key = tags.objects.get(told.get("toname", ""), ("", ""))
        if kind in _READS[modality] and told.get("name"):
            return ChoiceConfig(told["name"], told["toname"], key, frozenset(choices) - {""})
    raise HeadstartError(
        "invalid_request",
        f"the labelling configuration has no <Choices> over a tag that reads {modality}s",
        param="label_config",
    )


def chosen(annotation: Mapping[str, Any], config: ChoiceConfig) -> list[str] | None:
    """The choices of an annotation; None where it was skipped or says nothing of them."""
    if annotation.get("was_cancelled"):
        return None
    for region in annotation.get("result") or []:
        if isinstance(region, dict) and region.get("from_name") == config.from_name:
            value = region.get("value")
            choices = value.get("choices") if isinstance(value, dict) else None
            if isinstance(choices, list) and all(isinstance(one, str) for one in choices):
                return choices
    return None


def last_word(task: Mapping[str, Any], config: ChoiceConfig) -> list[str] | None:
    """What a task was last annotated with; None where nothing says it."""
    known = [one for one in task.get("annotations") or [] if isinstance(one, dict)]
    known.sort(key=lambda one: (bool(one.get("ground_truth")), str(one.get("updated_at") or ""),
                                str(one.get("id", "")).zfill(20)))  # fmt: skip
    said = [found for one in known if (found := chosen(one, config)) is not None]
    return said[-1] if said else None
