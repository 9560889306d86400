"""Which split a folder's or a table's name speaks of. Pure: names only.

The words are Hugging Face's (`datasets/data_files.py`); like there, digits and punctuation part
words. A split word beside others (`crash_test`) is trusted only where a second name agrees.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from app.core.manifest import Split

SPLITS: Mapping[str, Split] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "development": "val",
    "test": "test",
    "testing": "test",
    "eval": "test",
    "evaluation": "test",
}
"""`eval` is held out, as Hugging Face reads it."""
PLAIN = frozenset(
    [
        "x",
        "y",
        "data",
        "dataset",
        "set",
        "sets",
        "datasets",
        "split",
        "folder",
        "dir",
        "part",
        "image",
        "images",
        "img",
        "imgs",
        "picture",
        "pictures",
        "pic",
        "pics",
        "photo",
        "photos",
        "sample",
        "samples",
        "example",
        "examples",
        "text",
        "texts",
        "file",
        "files",
        "raw",
    ]
)
"""Words that say nothing of a class: `train_images` can only be a split."""
_JOINED = re.compile(
    f"({'|'.join(SPLITS)})(sets?|data|datasets?|images?|imgs?|s?(?:daten|bilder|satz|menge))"
)
"""Words that are written as one: `trainset`, `Trainingsdaten`."""
_ELSEWHERE: Mapping[str, str] = {
    **dict.fromkeys(("entrainement", "entraînement", "entrenamiento", "treinamento"), "train"),
    **dict.fromkeys(("treino", "addestramento", "训练", "训练集", "обучение"), "train"),
    **dict.fromkeys(("validierung", "validación", "validação", "validazione"), "val"),
    **dict.fromkeys(("验证", "验证集"), "val"),
    **dict.fromkeys(("prueba", "pruebas", "测试", "测试集", "тест"), "test"),
}
"""What the words are in other languages: such a name is a split beside one of another."""
_SAYS_NOTHING = PLAIN | frozenset(
    ("final", "input", "inputs", "full", "all", "v", "ver", "version", "release",
     "edition", "official", "original", "subset", "phase", "stage", "the", "of", "for", "my",
     "daten", "sdaten", "bilder", "sbilder", "satz", "ssatz", "menge", "smenge")
)  # fmt: skip
"""Words beside a split's, by which names of splits may differ; so are letters that count."""
_SHORT: Mapping[str, Split] = {"tr": "train", "ts": "test"}
_LETTERS = re.compile(r"[^\W\d_]+")
_HUMP = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


@dataclass(frozen=True, slots=True)
class SplitName:
    """What a name says: its split, the other words in it, whether it is the split's word alone."""

    split: Split
    rest: tuple[str, ...]
    exact: bool

    @property
    def family(self) -> tuple[str, ...]:
        """The other words, but for those that may differ between the splits of one set."""
        return tuple(word for word in self.rest if len(word) > 1 and word not in _SAYS_NOTHING)

    @property
    def certain(self) -> bool:
        """Whether the name cannot be a class's: all its other words say nothing."""
        return PLAIN.issuperset(self.rest)


def read_name(name: str) -> SplitName | None:
    """What `name` says, None where it has no split's word, or those of two splits."""
    said = words(name)
    splits = {SPLITS[word] for word in said if word in SPLITS}
    if len(splits) != 1:
        return None
    rest = tuple(word for word in said if word not in SPLITS)
    return SplitName(splits.pop(), rest, exact=name.strip().lower() in SPLITS)


def _cut_short(name: str, beside: Sequence[str]) -> SplitName | None:
    """What a name says with `tr` or `ts` in it, beside the same name with the other."""
    said = words(name)
    short = [word for word in said if word in _SHORT]
    rest = tuple(word for word in said if word not in _SHORT)
    if len(short) != 1 or not rest or not PLAIN.issuperset(rest):
        return None
    other = sorted([*rest, "ts" if short[0] == "tr" else "tr"])
    there = any(sorted(words(one)) == other for one in beside)
    return SplitName(_SHORT[short[0]], rest, exact=False) if there else None


def words(name: str) -> list[str]:
    """The words of a name in lower case: digits, punctuation and humps part them."""
    runs = _LETTERS.findall(unicodedata.normalize("NFKC", name))
    return [word for run in runs for word in _parted(run)]


def _parted(run: str) -> list[str]:
    """The words of letters in a row: humps, or a split's word joined with one that says nothing."""
    if run.lower() in _ELSEWHERE:
        return [_ELSEWHERE[run.lower()]]
    joined = _JOINED.fullmatch(run.lower())
    if joined is not None:
        return list(joined.groups())
    return [word.lower() for word in (_HUMP.findall(run) if run.isascii() else [run])]


def of_folders(names: Iterable[str]) -> dict[str, Split]:
    """The splits among folders that lie side by side.

    A word alone (`Train`) is one; `seg_train` is one beside `seg_test`, which differs in the
    split only and in what says nothing (`a. Train`, `b. Test`), or beside a word alone of another
    split. `images_tr` is one beside `images_ts`.
    """
    names = list(names)
    told = {name: said for name in names if (said := read_name(name) or _cut_short(name, names))}
    families: dict[tuple[str, ...], set[Split]] = defaultdict(set)
    for said in told.values():
        families[said.family].add(said.split)
    sure = {name for name, said in told.items() if said.exact or len(families[said.family]) > 1}
    named = {told[name].split for name in sure}
    return {
        name: said.split
        for name, said in told.items()
        if name in sure or (named and said.split not in named)
    }


def of_tables(paths: Sequence[str]) -> list[Split | None]:
    """The split of each table, by its own name or else by its nearest folder's.

    Longer names than the split's word alone count only where another table is left to train on.
    """
    told = [_of_table(path) for path in paths]
    kept = len(paths) > 1 and any(said is None or said.split == "train" for said in told)
    return [said.split if said and (said.exact or kept) else None for said in told]


def _of_table(path: str) -> SplitName | None:
    *folders, name = path.split("/")
    stem = name.partition(".")[0]
    whole = name.rpartition(".")[0] or name
    names = [stem, whole, *reversed(folders)]
    return next((said for one in names if (said := read_name(one))), None)
