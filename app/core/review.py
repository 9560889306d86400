"""What is doubtful about a set of examples: doubled contents, contradicting and colliding labels.

A new version, however it came about, is reviewed as a whole; a review of a review changes nothing.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Set

from app.core import manifest, splits
from app.core.manifest import Example, Problem, usable
from app.core.texts import alike, squeezed, told_apart, unescaped, visible

ENOUGH_TO_REPEAT = 20
"""Examples from which on it is told that labels hardly repeat, and of a class of one that others
have as many."""
_FEW = 3
"""Examples of every class beside which a number of one example is told."""
_LOOKS = str.maketrans(
    "\u0430\u0435\u043e\u0440\u0441\u0443\u0445\u0456\u0458\u0455\u04bb\u0501\u03bf\u03b1\u03bd\u03c1\u03b9",
    "aeopcyxijshdoavpi",
)
"""Cyrillic and Greek letters that look as Latin ones do."""
_NO_VALUE = (
    r"nan -nan null n/a #n/a #na na <na> nil - ? #value! #ref! #name? #div/0! #num! #null! \n "
    "(null) <null> [null] <nan> [nan] (nan) nat <nat> na_character_ na_integer_ undefined . "
    "1.#qnan -1.#qnan 1.#ind -1.#ind __hive_default_partition__"
)
MISSING = frozenset(_NO_VALUE.split())
"""What pandas, databases (`\\N`) and spreadsheets write where there is no value; `none` is a class,
too."""
_UNLABELLED = (
    "unlabeled,unlabelled,not labeled,not labelled,unannotated,not annotated,unlabeled data,"
    "unlabelled data,unlabeled images,unlabelled images,no label,no labels,without label,"
    "not yet labeled,not yet labelled"
)
UNLABELLED = frozenset(_UNLABELLED.split(","))
"""What says itself that there is no label."""
_UNSORTED = (
    "unsorted,not sorted,to sort,unsup,unsupervised,uncategorized,uncategorised,unclassified,"
    "unassigned,unreviewed,not reviewed,to label,to be labeled,to be labelled,to annotate,"
    "to review,todo,to do,inbox,unknown,skip,skipped,ignore,ignored,discard,discarded,exclude,"
    "excluded,trash,to delete"
)
_UNSURE = UNLABELLED | frozenset(_UNSORTED.split(","))
"""What may say so as well, or be a class, of what people could not tell, for one."""
_NEW_FOLDER = re.compile(
    r"(new folder|untitled folder|untitled|neuer ordner|nouveau dossier|dossier sans titre|"
    r"nueva carpeta|carpeta sin título|nuova cartella|cartella senza titolo|nova pasta|"
    r"nieuwe map|ny mapp|ny mappe|nowy folder|новая папка|新しいフォルダー|新建文件夹|新增資料夾|"
    r"새 폴더)( ?\(?\d+\)?)?"
)
"""What systems call a folder that nobody has named."""
_FRACTION = re.compile(r"[+-]?\d*[.,]\d+(?:[eE][+-]?\d+)?")
_NUMBER = re.compile(r"([+-]?)(?=\.?\d)(\d*)(?:\.(\d*))?")
_TRUE, _FALSE = ("true", "yes", "1", "t", "y"), ("false", "no", "0", "f", "n")
_TRUTHS = frozenset(_TRUE + _FALSE)
"""How tables write true and false, squeezed."""
_DAY = r"(?:0?[1-9]|[12]\d|3[01])"
_MONTH = r"(?:0?[1-9]|1[0-2])"
_NAMED_MONTH = (
    r"(?:jan(?:uary|uar)?|feb(?:ruary|ruar)?|mar(?:ch)?|märz|apr(?:il)?|may|mai|june?|juni|july?|juli|"
    r"aug(?:ust)?|sept?(?:ember)?|o[ck]t(?:ober)?|nov(?:ember)?|de[cz](?:ember)?)\.?"
)
_YEAR = r"(?:19|20)\d\d"
_DATE = re.compile(
    rf"(?:{_YEAR}([-/.]){_MONTH}(?:\1{_DAY})?|(?:{_DAY}([-/.]){_MONTH}|{_MONTH}([-/.]){_DAY})"
    rf"(?:[-/.]{_YEAR}|/\d\d)|(?:{_DAY}[-/. ]{{1,2}}{_NAMED_MONTH}|{_NAMED_MONTH}[-/ ]{_DAY})"
    rf"(?:,?[-/ ](?:{_YEAR}|\d\d))?|{_NAMED_MONTH}[-/ ](?:{_YEAR}|\d\d))"
    r"(?:[ T]\d\d?:\d\d(?::\d\d(?:\.\d+)?)?Z?)?",
    re.IGNORECASE,
)
"""As tables and spreadsheets write days: `2023-01-02 00:00:00`, `2.1.2023`, `1/2/23`, `2-Jan`."""
_ID = re.compile(r"(?=.*\d)[\w.:/-]+")


def review(examples: Iterable[Example]) -> tuple[list[Example], list[Problem]]:
    """The examples, equal contents joined by a group, and the problems that they have.

    Of two examples with one id (the same content at the same path) the later one counts.
    """
    kept = list({example.id: example for example in examples}.values())
    problems = [problem for copies in _copies(kept) for problem in _judge(copies)]
    kept = _grouped(kept, problems)
    fit = usable(kept, problems)
    doubtful = _doubtful([name for example in fit for name in example.names])
    held = [*_gone(kept, fit), *_leaks(fit)]
    alike = collisions(name for example in fit for name in example.names)
    return kept, [*problems, *held, *alike, *doubtful, *_untrained(fit)]


def _copies(examples: Sequence[Example]) -> list[list[Example]]:
    """Examples of equal content, in the order train, val, test; only where there are several."""
    same: dict[str, list[Example]] = defaultdict(list)
    for example in examples:
        same[example.content].append(example)
    order = splits.ORDER.index
    return [sorted(some, key=lambda one: order(one.split)) for some in same.values() if some[1:]]


def _judge(copies: Sequence[Example]) -> list[Problem]:
    labels = sorted({example.names for example in copies})
    if len(labels) > 1:
        said = " and ".join(_quoted(names) for names in labels[:5])
        return [
            _problem("label_conflict", f"labelled {said}", one, excluded=True) for one in copies
        ]
    first = copies[0]
    return [_copy_problem(one, first) for one in copies[1:]]


def _quoted(names: Sequence[str]) -> str:
    return repr(names[0]) if len(names) == 1 else repr(list(names))


def _copy_problem(example: Example, first: Example) -> Problem:
    if example.split == first.split:
        said = f"the same content as {first.path}; both are kept, in one group"
        return _problem("duplicate_example", said, example, excluded=False)
    said = f"the same content as {first.path}, which is in {first.split}"
    return _problem("duplicate_across_splits", said, example, excluded=True)


def _problem(code: str, message: str, example: Example, *, excluded: bool) -> Problem:
    return Problem(
        code=code,
        message=f"{example.path}: {message}",
        path=example.path,
        example_id=example.id,
        excluded=excluded,
    )


def _grouped(examples: Sequence[Example], problems: Sequence[Problem]) -> list[Example]:
    """Equal contents, and groups that share one, under one group's name."""
    excluded = {problem.example_id for problem in problems if problem.excluded}
    free = [at for at, example in enumerate(examples) if example.id not in excluded]
    unit = splits.units([examples[at].content for at in free], [examples[at].group for at in free])
    together: dict[int, list[int]] = defaultdict(list)
    for at, first in zip(free, unit, strict=True):
        together[first].append(at)
    result = list(examples)
    for members in together.values():
        if len(members) > 1:
            name = _group_name([examples[at] for at in members])
            for at in members:
                if result[at].group != name:
                    result[at] = result[at].model_copy(update={"group": name})
    return result


def _group_name(members: Sequence[Example]) -> str:
    """The first of the names that the members have; a name of our own where they have none."""
    named = [example.group for example in members if example.group is not None]
    return min(named) if named else "same:" + members[0].content[:16]


def _gone(examples: Sequence[Example], fit: Sequence[Example]) -> Iterator[Problem]:
    """That nothing is left of what the upload holds out, where all of it is trained on, too."""
    held = [one for one in examples if one.split != "train"]
    if len(held) > 1 and all(one.split == "train" for one in fit):
        said = f"none of the {len(held)} held-out examples is left: their contents are trained on, "
        said += "or contradict others"
        yield Problem(code="duplicate_across_splits", message=said)


def _leaks(examples: Sequence[Example]) -> list[Problem]:
    """Groups that the upload itself puts into several splits."""
    firsts: dict[str, dict[str, Example]] = defaultdict(dict)
    for example in examples:
        if example.group is not None:
            firsts[example.group].setdefault(example.split, example)
    return [
        Problem(
            code="duplicate_across_splits",
            message=f"the group {group!r} is in {' and '.join(sorted(where))}",
            path=next(iter(where.values())).path,
        )
        for group, where in firsts.items()
        if len(where) > 1
    ]


def collisions(labels: Iterable[str]) -> list[Problem]:
    """Warnings of different labels that look alike, or say one thing."""
    same_looks: dict[str, set[str]] = defaultdict(set)
    for label in set(labels):
        same_looks[_number(_looks(label))].add(label)
    same = [
        Problem(
            code="label_collision",
            message="these labels differ only in case, spaces, `_`, `-`, accents' form, a mark at "
            "the end, characters that cannot be seen or look alike, how a number is written or "
            "what a tool made of them (`&amp;`, `%20`, tags, quotation marks, another encoding), "
            "and are different classes: " + _listed(labels),
        )
        for _, labels in sorted(same_looks.items())
        if len(labels) > 1
    ]
    return [*same, *_truths(same_looks)]


def _truths(same_looks: Mapping[str, Collection[str]]) -> Iterator[Problem]:
    """Warnings of labels that say one truth in several ways (label as a number or squeezed: the
    labels themselves). Digits and letters do so only where no label says anything else."""
    every = {*_TRUE, *_FALSE}
    told = _TRUTHS if every >= same_looks.keys() else _TRUTHS & {"true", "yes", "false", "no"}
    for kind in (_TRUE, _FALSE):
        ways = [way for way in kind if way in told and way in same_looks]
        if len(ways) > 1:
            labels = {label for way in ways for label in same_looks[way]}
            yield Problem(
                code="label_collision",
                message=f"these labels all say {kind[0]}, each in its own way, and are different "
                f"classes: {_listed(labels)}",
            )


def _listed(labels: Iterable[str]) -> str:
    return ", ".join(f"'{label}'" for label in told_apart(sorted(labels)))


def _looks(label: str) -> str:
    """How a label looks, without case, blanks, what joins words and a sentence's marks behind."""
    said = unescaped(label)
    plain = (alike(said) or squeezed(said)).translate(_LOOKS)
    return plain.rstrip(".,;:!?") or plain


def _number(label: str) -> str:
    """A number as it is written without a sign that says nothing, zeros in front and zeros behind:
    tables with a gap have `1.0` for `1`, spreadsheets `1` for `001`."""
    found = _NUMBER.fullmatch(label)
    if found is None:
        return label
    whole, part = found[2].lstrip("0") or "0", (found[3] or "").rstrip("0")
    told = f"{whole}.{part}" if part else whole
    return f"-{told}" if found[1] == "-" and told != "0" else told


def _untrained(examples: Sequence[Example]) -> list[Problem]:
    """Labels that are held out but never trained on, or that all that is trained on has."""
    train = [example for example in examples if example.split == "train"]
    trained = {name for example in train for name in example.names}
    rest = sorted({name for example in examples for name in example.names} - trained)
    everywhere = sorted(trained - manifest.told_apart(train))
    return [
        Problem(code="insufficient_classes", message=f"{label!r} {why}")
        for labels, why in (
            (rest, "has no example to train on"),
            (everywhere, "is on every example to train on: there is nothing to tell it from"),
        )
        for label in labels
    ]


def _doubtful(labels: Sequence[str]) -> Iterator[Problem]:
    """Warnings where labels look like measurements or ids instead of classes."""
    counts = Counter(labels)
    few = [label for label, count in counts.most_common()[-3:]]
    some = ", ".join(visible(label[:30]) for label in few)
    missing = [label for label in counts if label.strip().casefold() in MISSING]
    if missing and len(counts) > len(missing):
        yield _doubt(
            f"{sum(counts[label] for label in missing)} examples are labelled "
            f"{', '.join(repr(label) for label in missing[:5])}, as tables write that a value is "
            "missing: it is a class like any other; drop them if it is none"
        )
    yield from _slips(counts)
    unsorted = [label for label in counts if may_be_none(label)]
    if unsorted and len(counts) > len(unsorted):
        yield _doubt(
            f"{sum(counts[label] for label in unsorted)} examples are labelled "
            f"{', '.join(repr(label) for label in unsorted[:5])}: each is a class like any other; "
            "drop them if nobody has labelled them"
        )
    fractions = sum(_is_fraction(label) for label in counts)
    if fractions > max(2, len(counts) // 2):
        yield _doubt(
            f"{fractions} of {len(counts)} labels are numbers with a fraction, as {some}: "
            "each is a class of its own; give ranges names to tell them apart"
        )
    elif len(dates := [label for label in counts if _DATE.fullmatch(label.strip())]) > 1:
        some = ", ".join(visible(label[:30]) for label in dates[:3])
        yield _doubt(
            f"{len(dates)} of {len(counts)} labels are dates, as {some}: each is a class of its "
            "own; say which column has the labels, or keep its cells as text: spreadsheets make "
            "dates of `1-2` or `Mar 1`"
        )
    elif len(labels) >= ENOUGH_TO_REPEAT and 2 * len(counts) > len(labels) and _are_ids(counts):
        yield _doubt(
            f"{len(labels)} examples have {len(counts)} labels, such as {some}: "
            "is this the label's column, or one of ids?"
        )


def _slips(counts: Counter[str]) -> Iterator[Problem]:
    """A warning of a few classes of one example beside classes of many, or of a number beside
    classes of words."""
    single = sorted(label for label, count in counts.items() if count == 1)
    others = sorted(count for count in counts.values() if count > 1)
    many = single and 4 * len(single) <= len(counts) and others[0] >= ENOUGH_TO_REPEAT
    if not many:
        single = single if _are_number_among_words(single, counts) else []
    if single:
        some = ", ".join(repr(visible(label[:40])) for label in single[:5])
        yield _doubt(
            f"{some} {'has' if len(single) == 1 else 'have'} one example, where the other "
            f"{len(others)} labels have {others[0]} or more: a slip, or a row of something else?"
        )


def _are_number_among_words(single: Sequence[str], counts: Counter[str]) -> bool:
    """Whether they are one, as a table's last row has it, `Total,12`: all others are words of a few
    examples each."""
    if len(single) != 1 or len(counts) < 3:  # of several that have one example, none stands out
        return False
    few = all(count >= _FEW for label, count in counts.items() if label != single[0])
    return few and [label for label in counts if _NUMBER.fullmatch(label.strip())] == [*single]


def _are_ids(counts: Counter[str]) -> bool:
    return sum(_ID.fullmatch(label) is not None for label in counts) > 0.9 * len(counts)


def _is_fraction(label: str) -> bool:
    if _FRACTION.fullmatch(label.strip()) is None:
        return False
    return bool(re.split("[.,]", label.strip())[1].strip("0"))


def _doubt(message: str) -> Problem:
    return Problem(code="labels_doubtful", message=message)


def unlabelled(labels: Collection[str]) -> Set[str]:
    """Those of the labels that say that nobody has labelled an example, where several others are
    classes: beside one other they may be what it is told from."""
    found = {label for label in labels if _plain(label) in UNLABELLED}
    return found if len(set(labels) - found) > 1 else set()


def says_unlabelled(label: str, others: Collection[str]) -> bool:
    """Whether a label says so beside the others, of which it may be one."""
    return _plain(label) in UNLABELLED and label in unlabelled({*others, label})


def may_be_none(label: str) -> bool:
    """Whether a label may be what nobody has labelled, by what it is called."""
    plain = _plain(label)
    return plain in _UNSURE or _NEW_FOLDER.fullmatch(plain) is not None


def _plain(label: str) -> str:
    """The label in one case, with blanks for all joints and nothing around it."""
    return " ".join(re.split(r"[\s_.\-]+", label.casefold())).strip(" ()[]<>{}")
