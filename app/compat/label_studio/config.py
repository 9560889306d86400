"""What a labelling configuration says of classification: which choices, of which part of a task."""

from __future__ import annotations

import io
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn
from xml.parsers import expat

from app.compat.label_studio.words import ChoiceWords
from app.core.errors import HeadstartError
from app.uploads.intake.limits import Limits
from app.uploads.intake.names import UNSAFE
from app.uploads.intake.tables.consensus import winner
from app.uploads.intake.tables.json_stream import elements
from app.uploads.intake.tables.label_studio import holds, vote_of
from app.uploads.intake.tables.studio_regions import choices, is_choice, parted, parts_of

MOST_CHARACTERS = 500_000
MOST_TASKS = 200_000
_LIMITS = Limits()
_LONGEST_ID = 100
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
    single: bool = True
    """Whether one may be chosen, as Label Studio has it where nothing else is said."""
    by_address: bool = False
    """Whether tasks say where what they show lies, though it be a text."""


@dataclass(frozen=True, slots=True)
class _Object:
    """A tag that shows what a task has under a key."""

    kind: str = ""
    key: str = ""
    by_address: bool = False


@dataclass
class _Tags:
    """Tags of a configuration, which is XML; with a document type, and so entities, it is none.

    A parser of HTML would be kinder, and takes time by the square of what is never closed.
    """

    controls: list[tuple[Attributes, list[str]]] = field(default_factory=list)
    objects: dict[str, _Object] = field(default_factory=dict)

    def read(self, text: str) -> None:
        """Raises invalid_request."""
        parser = expat.ParserCreate("utf-8")
        parser.StartElementHandler = self._start
        parser.StartDoctypeDeclHandler = self._refuse
        try:
            parser.Parse(text.strip().encode(errors="replace"), True)
        except expat.ExpatError as error:
            raise _refused(f"the labelling configuration is no XML: {error}") from error

    def _start(self, name: str, attributes: Mapping[str, str]) -> None:
        tag, told = name.lower(), {each.lower(): value for each, value in attributes.items()}
        if tag == "choices":
            self.controls.append((told, []))
        elif tag == "choice" and self.controls:
            self.controls[-1][1].append(told.get("alias") or told.get("value", ""))
        elif told.get("name") and told.get("value", "").startswith("$"):
            by_address = told.get("valuetype") == "url"
            self.objects[told["name"]] = _Object(tag, told["value"][1:], by_address)

    def _refuse(self, *_: Any) -> NoReturn:
        raise _refused("the labelling configuration has a document type; leave it out")


def _refused(why: str) -> HeadstartError:
    return HeadstartError("invalid_request", why, param="label_config")


def read_config(text: str, modality: str, labels: Collection[str] = ()) -> ChoiceConfig:
    """Of the controls of choices over what a model of this modality reads the one that has most of
    its labels, the first of several such. Raises invalid_request.
    """
    if len(text) > MOST_CHARACTERS:
        raise _refused("the labelling configuration is too long")
    tags = _Tags()
    tags.read(text)
    found = list(_controls(tags, modality))
    if not found:
        raise _refused(f"the labelling configuration has no <Choices> over a tag of {modality}s")
    return max(found, key=lambda one: _known(one, labels))


def _controls(tags: _Tags, modality: str) -> Iterator[ChoiceConfig]:
    for told, named in tags.controls:
        shows = tags.objects.get(told.get("toname", ""), _Object())
        if shows.kind in _READS[modality] and told.get("name"):
            yield ChoiceConfig(
                told["name"],
                told["toname"],
                shows.key,
                frozenset(named) - {""},
                single=told.get("choice", "single") != "multiple",
                by_address=shows.by_address,
            )


def _known(config: ChoiceConfig, labels: Collection[str]) -> int:
    return len(ChoiceWords.between(config.choices, labels).choice_of) if config.choices else 0


def chosen(annotation: Mapping[str, Any], config: ChoiceConfig) -> list[str] | None:
    """The choices of an annotation for the whole of a task; None where it does not count, or says
    nothing of them."""
    if not holds(annotation):
        return None
    whole, _ = parted(parts_of(annotation))
    said = [part for part in whole if part.get("from_name") == config.from_name and is_choice(part)]
    return list(choices(said).get(config.from_name, [])) if said else None


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


@dataclass(frozen=True, slots=True)
class Annotated:
    """A task that somebody labelled: its number, what it shows, and the choices."""

    id: str
    """Empty where it has none that could be told from others."""
    shows: Any
    choices: list[str]


def annotated(export: bytes, config: ChoiceConfig) -> list[Annotated]:
    """The tasks of an export that an annotation says something of; read one by one.

    Raises url_unreachable where it is no list of tasks, or has too many.
    """
    found = []
    try:
        for _, number, task in elements(io.BytesIO(export), "the export", _LIMITS):
            if number > MOST_TASKS:
                raise _no_export(f"it has more than {MOST_TASKS:,} tasks")
            if not isinstance(task, dict):
                raise _no_export("it is no list of tasks")
            if (said := last_word(task, config)) is not None:
                found.append(Annotated(_number(task), shown(task, config), said))
    except HeadstartError as error:
        raise _no_export(error.message) from error
    return found


def _number(task: Mapping[str, Any]) -> str:
    told = task.get("id")
    text = str(told) if isinstance(told, int | str) and not isinstance(told, bool) else ""
    return "" if len(text) > _LONGEST_ID or UNSAFE.search(text) else text


def shown(task: Mapping[str, Any], config: ChoiceConfig) -> Any:
    """What a task shows: the value of the key that the labelled tag reads."""
    data = task.get("data")
    return data.get(config.key) if isinstance(data, dict) else None


def _no_export(why: str) -> HeadstartError:
    return HeadstartError("url_unreachable", f"Label Studio's export: {why}", param="hostname")


def last_word(task: Mapping[str, Any], config: ChoiceConfig) -> list[str] | None:
    """What holds of a task's annotations, by the rule that uploads have; None where nothing says
    it."""
    known = [one for one in _listed(task.get("annotations")) if isinstance(one, dict)]
    answers = [(found, vote_of(one)) for one in known if (found := chosen(one, config)) is not None]
    at = winner([(tuple(sorted(found)), vote) for found, vote in answers]) if answers else None
    return None if at is None else answers[at][0]
