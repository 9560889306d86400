"""What a labelling configuration says of classification: which choices, of which part of a task."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn
from xml.parsers import expat

from app.compat.label_studio.words import ONE, ChoiceWords, Says
from app.core.errors import HeadstartError
from app.uploads.intake import names
from app.uploads.intake.limits import Limits
from app.uploads.intake.names import UNSAFE
from app.uploads.intake.tables.consensus import winner
from app.uploads.intake.tables.json_stream import elements
from app.uploads.intake.tables.label_studio import holds, vote_of
from app.uploads.intake.tables.studio_regions import Part, choices, is_choice, parted, parts_of

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
    of_regions: bool = False
    """Whether it is asked of each region, and so never of the whole."""

    def check_holds(self, *, several: bool) -> None:
        """Raise invalid_request where annotators cannot say what a model of several labels says:
        the first alone would be shown, and whoever agrees with it would take the others away."""
        if several and self.single:
            why = "the model says several labels, and the labelling configuration lets one be "
            raise _refused(f'{why}chosen: write choice="multiple" in <Choices name="{self._name}">')

    def check_one(self, *, several: bool) -> None:
        """Raise invalid_request where annotators may say more than a model of one label learns."""
        if not (several or self.single):
            why = "the model says one label, and the labelling configuration lets several be "
            raise _refused(f'{why}chosen: leave choice="multiple" out of <Choices '
                           f'name="{self._name}">, or connect a multi_label model')  # fmt: skip

    @property
    def _name(self) -> str:
        return names.shown(self.from_name, 60)


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


def read_config(text: str, modality: str, says: Says = ONE) -> ChoiceConfig:
    """Of the controls of choices over what a model of this modality reads the one that has most of
    its labels, of several such the first that takes as many as it says. Raises invalid_request.
    """
    if len(text) > MOST_CHARACTERS:
        raise _refused("the labelling configuration is too long")
    tags = _Tags()
    tags.read(text)
    found = list(_controls(tags, modality))
    if not found:
        raise _refused(f"the labelling configuration has no <Choices> over a tag of {modality}s")
    return max(found, key=lambda one: (_known(one, says.labels), one.single != says.several))


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
                of_regions=told.get("perregion", "").lower() == "true",
            )


def _known(config: ChoiceConfig, labels: Sequence[str]) -> int:
    return len(ChoiceWords.between(config.choices, labels).choice_of) if config.choices else 0


def chosen(
    annotation: Mapping[str, Any], config: ChoiceConfig, *, several: bool = False
) -> list[str] | None:
    """The choices of an annotation for the whole of a task; None where it does not count, or says
    nothing of them. Where there may be `several`, what was submitted without one says none: the
    tool sends no part then."""
    if not holds(annotation):
        return None
    whole, placed = (list(_asked(parts, config)) for parts in parted(parts_of(annotation)))
    if not whole:
        return [] if several and not (placed or config.of_regions) else None
    return list(choices(whole).get(config.from_name, []))


def _asked(parts: Iterable[Part], config: ChoiceConfig) -> Iterator[Part]:
    """The parts that were chosen with the control that is read."""
    return (part for part in parts if part.get("from_name") == config.from_name and is_choice(part))


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


@dataclass(frozen=True, slots=True)
class Annotated:
    """A task that somebody labelled: its number, what it shows, and the choices."""

    id: str
    """Empty where it has none that could be told from others."""
    shows: Any
    choices: list[str]


def annotated(export: bytes, config: ChoiceConfig, *, several: bool = False) -> list[Annotated]:
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
            if (said := last_word(task, config, several=several)) is not None:
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


def last_word(
    task: Mapping[str, Any], config: ChoiceConfig, *, several: bool = False
) -> list[str] | None:
    """What holds of a task's annotations, by the rule that uploads have; None where nothing says
    it."""
    known = [one for one in _listed(task.get("annotations")) if isinstance(one, dict)]
    told = [(chosen(one, config, several=several), vote_of(one)) for one in known]
    answers = [(found, vote) for found, vote in told if found is not None]
    at = winner([(tuple(sorted(found)), vote) for found, vote in answers]) if answers else None
    return None if at is None else answers[at][0]
