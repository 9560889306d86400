"""Which `.txt` of an archive are tables of lines with their labels, and which a class's texts."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

from app.uploads.intake.labels.pairs import is_pairs, parted
from app.uploads.intake.labels.rules import is_fasttext, is_tailed
from app.uploads.intake.splits import of_folders, read_name

MOST = 8
"""Tables that lie in one folder under names of their own; more files are the texts of a class."""
DOCUMENTS = re.compile(r"readme|licen[cs]e|changelog|notice|citation|copying|authors", re.I)
"""Names of what lies beside a dataset and is about it."""


def tables_among(texts: Mapping[int, str], peek: Callable[[int], bytes]) -> frozenset[int]:
    """Of the texts, by index and path, those that are lines with their labels: on top, or in a
    folder that is no class. `peek` gives a member's first bytes."""
    near = {at: path for at, path in texts.items() if path.count("/") < 2}
    told = {at for at in near if _says_labels(peek(at))}
    if not told:
        return frozenset()
    folders = _by_folder({at: path for at, path in near.items() if "/" in path})
    splits = of_folders(folders)
    classes = {name: inside for name, inside in folders.items() if name not in splits}
    are_classes = _are_classes(list(classes.values()), told)
    found = {at for at in told if "/" not in near[at]}
    for name, inside in folders.items():
        mine = told & set(inside)
        called = all(_says_split(near[at]) for at in inside)
        few = not are_classes and len(inside) <= MOST and 2 * len(mine) >= len(inside)
        if name in splits or called or few:
            found |= mine
    return frozenset(found | _beside(near, found, peek))


def _beside(near: Mapping[int, str], found: set[int], peek: Callable[[int], bytes]) -> set[int]:
    """What lies beside such lines, is named after a split and parted as they are, though too few to
    tell by themselves: it is read, or refused by its line. Under another name it may say what
    labels that are numbers mean, or be prose."""
    folders = {near[at].rpartition("/")[0] for at in found if is_pairs(peek(at))}
    return {
        at
        for at, path in near.items()
        if path.rpartition("/")[0] in folders
        and _says_split(path)
        and parted(_whole_lines(peek(at)))
    }


def _whole_lines(head: bytes) -> bytes:
    """Without the last line, of which there may be more, unless it is the only one."""
    return head.rpartition(b"\n")[0] or head


def _says_labels(head: bytes) -> bool:
    return is_fasttext(head) or is_tailed(head) or is_pairs(head)


def _by_folder(paths: Mapping[int, str]) -> dict[str, list[int]]:
    """The texts in each folder, but for documents about them."""
    inside: dict[str, list[int]] = defaultdict(list)
    for at, path in paths.items():
        folder, _, name = path.partition("/")
        if not DOCUMENTS.match(name):
            inside[folder].append(at)
    return inside


def _are_classes(folders: Sequence[Sequence[int]], told: set[int]) -> bool:
    """Whether folders are classes: two have several texts, or both such lines."""
    several = sum(len(inside) > 1 for inside in folders)
    return several > 1 or sum(bool(told & set(inside)) for inside in folders) > 1


def _says_split(path: str) -> bool:
    said = read_name(path.rpartition("/")[2].rpartition(".")[0])
    return said is not None and (said.exact or said.certain)
