"""Copies that were augmented before the upload, told by the names that people and tools give them.

`cat.jpg` beside `cat_rot90.jpg`, `cat-aug-2.jpg`, `flipped_cat.jpg` and `cat - Copy.jpg`; Keras's
`<save_prefix>_<index>_<hash>.jpeg` and Augmentor's `<class>_original_<name>.jpg_<uuid>.jpg`.
`cat (2).jpg` is none: browsers and file managers number different pictures so.
What may as well say what a picture is of (`wheat_crop.jpg`, `sofa_gray.jpg`) counts where two
pictures at least have such a copy; months, and what would be most of a class, count nowhere.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from app.core.augmented.naming import (
    ANY_MONTH,
    SURE,
    WORDS,
    are_dated,
    base_of,
    form_of,
    name_of,
    originals,
    says_some,
    stem_of,
)
from app.uploads.intake.layout.roles import LabelledFile
from app.uploads.intake.names import folded

APART = 3
"""Copies of one kind from which it tells something that all are held out."""


@dataclass(frozen=True, slots=True)
class Families:
    """The pictures that have copies by their names: of each file that belongs to one, by its place,
    what the picture is called. `example` is a copy's name and its original's."""

    of: Mapping[int, str]
    example: tuple[str, str]
    roots: Mapping[int, int]
    """By place, that of the picture itself, where it is there."""

    forms: Mapping[int, str | None]
    """How each copy is called beside its picture, as `form_of` says it."""

    def held_out_apart(self, items: Sequence[LabelledFile]) -> frozenset[int]:
        """The copies that are held out where all that are called so are, and all they would be
        copies of are trained on: a set of its own, such as one in other light, numbered from the
        start as the other is; copies that were made before a split lie on both sides.

        Beside copies to train on, only several whose name may as well say what a picture is of.
        """
        copies = {at for at in self.of if self.roots.get(at) != at}
        held_out = {at for at in self.of if items[at].split in ("val", "test")}
        if copies == held_out and copies <= self.roots.keys():
            return frozenset(copies)
        called: dict[str, set[int]] = defaultdict(set)
        for at, form in self.forms.items():
            if form is not None:
                called[form].add(at)
        apart = [
            some
            for some in called.values()
            if len(some) >= APART
            and some <= held_out
            and held_out.isdisjoint(self.roots[at] for at in some)
        ]
        return frozenset().union(*apart)

    def without(self, places: frozenset[int], items: Sequence[LabelledFile]) -> Families | None:
        """These without some copies, and without pictures that then have none; None of none."""
        of = {at: name for at, name in self.of.items() if at not in places}
        held = Counter(self.roots[at] for at in of if at in self.roots)
        of = {at: name for at, name in of.items() if held[self.roots.get(at, at)] != 1}
        if not of:
            return None
        roots = {at: root for at, root in self.roots.items() if at in of}
        forms = {at: form for at, form in self.forms.items() if at in of}
        return Families(of, _example(of, roots, items), roots, forms)


@dataclass(frozen=True, slots=True)
class _Copy:
    """The place of the picture that one is a copy of, and how it is called beside that one; None
    where that says nothing else."""

    of: int
    form: str | None


def families(items: Sequence[LabelledFile], uploads: Sequence[str] = ()) -> Families | None:
    """Which files of one label are copies of which picture; None where none are. `uploads` says of
    each file what it came in: names are asked there first, as each upload may count from 0."""
    came = uploads or [""] * len(items)
    dated = are_dated([item.path for item in items])
    by_label = list(_by_label(items))
    stems = [
        _Stems({at: (stem_of(items[at].path), came[at]) for at in places}, dated)
        for places in by_label
    ]
    found = [one.copies() for one in stems]
    copies = _borne_out(found)
    parents: dict[int, int] = {}
    named: dict[int, str] = {}
    for places, mine, some in zip(by_label, stems, copies, strict=True):
        kept = _bounded(some, len(places))
        parents |= kept
        named |= _orphans(mine, set(kept) | set(kept.values()), items[places[0]])
    roots = {at: _root(at, parents) for at in {*parents, *parents.values()}}
    of = {at: stem_of(items[root].path) for at, root in roots.items()} | named
    if not of:
        return None
    forms = {at: one.form for some in found for at, one in some.items() if at in parents}
    return Families(of, _example(of, roots, items), roots, forms)


def _example(
    of: Mapping[int, str], roots: Mapping[int, int], items: Sequence[LabelledFile]
) -> tuple[str, str]:
    """The names of a copy and of its original, of one that is there if any is."""
    at = min((at for at in of if roots.get(at) != at), key=lambda at: (at not in roots, at))
    return name_of(items[at].path), name_of(items[roots[at]].path if at in roots else of[at])


def _borne_out(copies: Sequence[Mapping[int, _Copy]]) -> list[dict[int, int]]:
    """Of the copies by label those whose name says nothing else, or of which two pictures have
    one."""
    originals: dict[str, set[int]] = defaultdict(set)
    for some in copies:
        for one in some.values():
            if one.form is not None:
                originals[one.form].add(one.of)
    return [
        {at: one.of for at, one in some.items() if one.form is None or len(originals[one.form]) > 1}
        for some in copies
    ]


def _bounded(parents: dict[int, int], count: int) -> dict[int, int]:
    """The copies without those of a picture that would be more than half of its class, `count`
    files: unless all of them are some picture's, and of several."""
    sizes = Counter(_root(at, parents) for at in {*parents, *parents.values()})
    if len(sizes) > 1 and sum(sizes.values()) == count:
        return parents
    return {at: up for at, up in parents.items() if 2 * sizes[_root(at, parents)] <= count + 1}


class _Stems:
    """The paths without endings of the files of one label, and what they came in, by their
    places; where they are `dated`, `aug` is a month."""

    def __init__(self, found: Mapping[int, tuple[str, str]], dated: bool) -> None:
        self.of = {at: stem for at, (stem, _) in found.items()}
        self._uploads = {at: upload for at, (_, upload) in found.items()}
        self.words = ANY_MONTH if dated else WORDS
        self.sure = SURE & ANY_MONTH if dated else SURE
        self._exact: dict[tuple[str, str], int] = {}
        self._bare: dict[tuple[str, str], list[int]] = defaultdict(list)
        for at, (stem, upload) in found.items():
            for among in {upload, ""}:
                self._exact.setdefault((among, folded(stem)), at)
                self._bare[among, folded(name_of(stem))].append(at)

    def copies(self) -> dict[int, _Copy]:
        """What is a copy of another by its name, by place."""
        return {at: found for at in self.of if (found := self._copy(at)) is not None}

    def _copy(self, at: int) -> _Copy | None:
        """Of the picture in its folder, or of the only one of its name in another: of those that
        came with it, or else of all."""
        folder, slash, name = self.of[at].rpartition("/")
        made = list(originals(name, self.words))
        for among in dict.fromkeys((self._uploads[at], "")):
            for stem, rest in made:
                found = self._exact.get((among, folded(folder + slash + stem)))
                alike = self._bare.get((among, folded(stem)), [])
                found = alike[0] if found is None and len(alike) == 1 else found
                if found is not None and found != at:
                    return _Copy(found, form_of(rest, self.sure))
        return None


def _orphans(stems: _Stems, known: set[int], like: LabelledFile) -> dict[int, str]:
    """Copies of one picture that is not there itself, by place. What would be more than half of
    its class is not: then it is the class that is called so."""
    if any(says_some(label) for label in (like.label, *(like.labels or ()))):
        return {}
    rest = {at: stem for at, stem in stems.of.items() if at not in known}
    found = {at: base for at, stem in rest.items() if (base := base_of(stem, stems.sure))}
    counts = Counter(found.values())
    return {at: base for at, base in found.items() if 1 < counts[base] <= len(stems.of) / 2}


def _root(at: int, parents: Mapping[int, int]) -> int:
    """The first original: a copy may be one of a copy, and its name is longer than that one's."""
    while at in parents:
        at = parents[at]
    return at


def _by_label(items: Sequence[LabelledFile]) -> Iterator[list[int]]:
    places: dict[tuple[str, tuple[str, ...] | None], list[int]] = defaultdict(list)
    for at, item in enumerate(items):
        places[item.label, item.labels].append(at)
    yield from places.values()
