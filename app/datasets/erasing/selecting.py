"""Which contents are to be erased, and where all versions of a dataset have them. It blocks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from app.core.errors import HeadstartError
from app.core.manifest import Example, usable
from app.http.dependencies import Services
from app.infra.orm import DatasetVersionRow
from app.infra.repositories import versions as version_rows
from app.uploads import blobs

Slots = dict[str, tuple[int, int]]
"""Of contents by their sha256, offset and length in a pack."""
SALT = 16
"""Bytes at a pack's end that are no content."""


@dataclass(frozen=True, kw_only=True)
class ErasureSelector:
    """What somebody wants to be erased: one of the three is told."""

    examples: frozenset[str] = frozenset()
    group: str | None = None
    sha256: str | None = None

    def takes(self, example: Example) -> bool:
        """Whether the example is named."""
        if self.group is not None:
            return example.group == self.group
        if self.sha256 is not None:
            return self.sha256 in (example.sha256, example.identity)
        return example.id in self.examples


@dataclass(kw_only=True)
class Found:
    """All examples of a dataset that have one of the erased contents.

    `kept` are the contents that stay, by the packs that they lie in.
    """

    contents: frozenset[str]
    sha256s: set[str] = field(default_factory=set)
    ids: set[str] = field(default_factory=set)
    paths: set[str] = field(default_factory=set)
    packs: set[str] = field(default_factory=set)
    gone: dict[str, list[Example]] = field(default_factory=lambda: defaultdict(list))
    """By the id of the version."""
    usable: dict[str, list[Example]] = field(default_factory=dict)
    """Of `gone`, those that no problem kept from being used."""
    kept: dict[str, Slots] = field(default_factory=lambda: defaultdict(dict))

    def add(self, version: DatasetVersionRow, examples: Sequence[Example]) -> None:
        """Note what a version has."""
        for one in examples:
            if one.content in self.contents:
                self.sha256s.add(one.sha256)
                self.ids.add(one.id)
                self.paths.add(one.path)
                self.packs.add(one.pack)
                self.gone[version.id].append(one)
            else:
                self.kept[one.pack][one.sha256] = (one.offset, one.length)
        if version.id in self.gone:
            told = version_rows.problems_of(version)
            self.usable[version.id] = usable(self.gone[version.id], told)


def find(
    services: Services, versions: Sequence[DatasetVersionRow], wanted: ErasureSelector
) -> Found:
    """Raises not_found where no version has such an example, or not one of the examples named."""
    named = [one for _, some in _read(services, versions) for one in some if wanted.takes(one)]
    missing = wanted.examples - {one.id for one in named}
    if missing:
        why = f"no version of the dataset has the example {min(missing)}"
        raise HeadstartError("not_found", why, param="examples")
    if not named:
        why = "no version of the dataset has such an example"
        param = "group" if wanted.group is not None else "sha256"
        raise HeadstartError("not_found", why, param=param)
    found = Found(contents=frozenset(one.content for one in named))
    for version, examples in _read(services, versions):
        found.add(version, examples)
    return found


def _read(
    services: Services, versions: Sequence[DatasetVersionRow]
) -> Iterator[tuple[DatasetVersionRow, Sequence[Example]]]:
    """Each version with its examples, one version at a time."""
    for version in versions:
        yield version, blobs.load_manifest(services, version)


def to_rewrite(
    services: Services, organisation_id: str, versions: Sequence[DatasetVersionRow], found: Found
) -> Mapping[str, Slots]:
    """The packs that hold an erased content, with what stays of each.

    A pack may also hold what no version names: an upload's copy of what was there already. Such
    bytes could be of an erased content, so that they go, too.
    """
    told: dict[str, Slots] = {}
    for pack in sorted({pack for version in versions for pack in version.packs}):
        slots = found.kept.get(pack, {})
        size = blobs.open_pack(services, organisation_id, pack).stat().st_size
        listed = sum(length for _, length in set(slots.values()))
        if pack in found.packs or size > listed + SALT:
            told[pack] = slots
    return told
