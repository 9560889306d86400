"""The manifest: the immutable list of a dataset version's examples, one JSON object a line."""

from __future__ import annotations

import hashlib
import secrets
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.core.errors import HeadstartError

Split = Literal["train", "val", "test"]
Modality = Literal["image", "text"]
LabelMode = Literal["single_label", "multi_label"]
"""Whether every example of a dataset has one label, or each may have several or none."""


class Example(BaseModel):
    """One labelled input; its bytes are `pack[offset : offset + length]` and hash to `sha256`."""

    model_config = ConfigDict(frozen=True)

    id: str
    sha256: str
    label: str
    group: str | None = None
    split: Split = "train"
    path: str
    pack: str
    offset: int
    length: int
    identity: Annotated[str | None, Field(exclude_if=lambda told: told is None)] = None
    """The sha256 of a text's canonical form, where its bytes are not in it."""
    confirmed: Annotated[bool, Field(exclude_if=lambda told: not told)] = False
    """Somebody has looked, and said that the label is right."""
    labels: Annotated[tuple[str, ...] | None, Field(exclude_if=lambda told: told is None)] = None
    """All labels in order, of an example of a multi-label dataset, whose `label` is empty."""
    source: Annotated[str | None, Field(exclude_if=lambda told: told is None)] = None
    """The sha256 of the picture that it was cut out of."""

    @property
    def names(self) -> tuple[str, ...]:
        """Its labels: the one that it has, or several, or none."""
        return (self.label,) if self.labels is None else self.labels

    @property
    def caption(self) -> str:
        """Its label; of several, all of them with commas between."""
        return ", ".join(self.names)

    @property
    def content(self) -> str:
        """What is equal for equal contents: a text's form and the blanks around it do not count."""
        return self.identity or self.sha256


class Problem(BaseModel):
    """Something wrong with one example or with the dataset; `excluded` says it is not used."""

    model_config = ConfigDict(frozen=True)

    code: str
    message: str
    path: str | None = None
    example_id: str | None = None
    excluded: bool = False


def example_id(*, sha256: str, path: str) -> str:
    """A name that the same content at the same path keeps in every version."""
    return "ex_" + hashlib.sha256(f"{sha256}\0{path}".encode()).hexdigest()[:24]


def windowed(sha256: str) -> str:
    """The name under which an embedding of more than one window of a text is cached.

    What was cached under the content's own hash is of the first window alone.
    """
    return hashlib.sha256(f"windows\0{sha256}".encode()).hexdigest()


def checked(data: bytes, sha256: str) -> bytes:
    """An example's bytes out of a pack, if they are what was uploaded. Raises dataset_corrupt."""
    if hashlib.sha256(data).hexdigest() != sha256:
        why = "an example's bytes are not what was uploaded: restore a backup, or upload them again"
        raise HeadstartError("dataset_corrupt", why, retry_after=60)
    return data


def dump(examples: Iterable[Example]) -> bytes:
    """The manifest's bytes, the same for the same examples in the same order."""
    return b"".join(example.model_dump_json().encode() + b"\n" for example in examples)


def once(data: bytes) -> bytes:
    """A manifest that has never been before, for those who read it the same: its hash is a name
    that nothing else has had, or will have (ADR 19). One without examples is blanks.
    """
    if not data:
        return bytes(secrets.choice(b" \t") for _ in range(128))
    first, end, rest = data.partition(b"\n")
    return b'%b,"salt":"%b"}%b%b' % (first[:-1], secrets.token_hex(8).encode(), end, rest)


def load(data: bytes) -> Iterator[Example]:
    """The examples of `data`, in order."""
    for line in data.splitlines():
        if not line.isspace():
            yield Example.model_validate_json(line)


def usable(examples: Iterable[Example], problems: Iterable[Problem]) -> list[Example]:
    """The examples that no problem excludes."""
    excluded = {problem.example_id for problem in problems if problem.excluded}
    return [example for example in examples if example.id not in excluded]


def class_counts(
    examples: Iterable[Example], declared: Iterable[str] = ()
) -> list[dict[str, str | int]]:
    """`[{label, count}]` in the labels' order; of those declared, too, that have no example."""
    counts = Counter(name for example in examples for name in example.names)
    return [{"label": label, "count": counts[label]} for label in sorted({*counts, *declared})]


def negatives(examples: Iterable[Example]) -> int:
    """How many belong to no class."""
    return sum(example.labels == () for example in examples)


def mode_of(examples: Iterable[Example]) -> LabelMode:
    """The mode that the examples, which are of one dataset, are in."""
    return "multi_label" if any(one.labels is not None for one in examples) else "single_label"


def told_apart(examples: Sequence[Example]) -> set[str]:
    """The labels that can be learned: of single ones each, of several those that some examples have
    and others have not.
    """
    counts = Counter(name for example in examples for name in example.names)
    if mode_of(examples) == "single_label":
        return set(counts)
    return {label for label, count in counts.items() if count < len(examples)}


def least_classes(mode: LabelMode, minimum: int = 2) -> int:
    """How many labels must be told apart: against the rest one is enough."""
    return 1 if mode == "multi_label" else minimum
