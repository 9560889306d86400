"""What is said of layouts that are not clear: problems, and the refusals where none can be chosen.

Every sentence names the folders, how deep they lie, and what to do.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from app.core.errors import HeadstartError
from app.core.manifest import Problem, Split
from app.core.texts import few
from app.uploads.intake.layout.roles import FileInTree, LabelledFile
from app.uploads.intake.names import shown
from app.uploads.intake.splits import SPLITS

SINGLY = 100
"""Problems of one kind that are listed one by one; the rest share one more."""
METADATA = "or say the labels in a metadata.csv with the columns path, label and split"


def singly(problems: Sequence[Problem]) -> list[Problem]:
    """The problems, but of very many the last are counted in one."""
    if len(problems) <= SINGLY:
        return list(problems)
    first, rest = problems[: SINGLY - 1], problems[SINGLY - 1 :]
    more = f"{rest[0].message} (and so are {len(rest) - 1:,} more)"
    return [*first, rest[0].model_copy(update={"message": more})]


def unlabelled(members: Sequence[FileInTree]) -> list[Problem]:
    """Files that lie in no class folder."""
    return singly(
        [
            Problem(
                code="invalid_value",
                message=f"{shown(one.path)} lies in no class folder, so it has no label",
                path=one.path,
                excluded=True,
            )
            for one in members
        ]
    )


def left_beside(members: Sequence[FileInTree], splits: Sequence[str]) -> list[Problem]:
    """One problem for each folder that lies beside the splits' folders and is none."""
    counts = Counter(one.parts[0] for one in members)
    first = {one.parts[0]: one.path for one in reversed(members)}
    return [
        Problem(
            code="ambiguous_layout",
            message=f"{count} file(s) in {shown(top)}/ left out, the first of them "
            f"{shown(first[top])}: it lies beside the split folders {_folders(splits)}",
            path=first[top],
            excluded=True,
        )
        for top, count in counts.items()
    ]


def doubled(members: Sequence[FileInTree]) -> list[Problem]:
    """A folder that has all again which lies beside it."""
    if not members:
        return []
    top, first = members[0].parts[0], members[0].path
    message = (
        f"{len(members)} file(s) in {shown(top)}/ left out, the first of them {shown(first)}: the "
        "same folders with files of the same names lie beside it"
    )
    return [Problem(code="ambiguous_layout", message=message, path=first, excluded=True)]


def no_class_held_out(top: str, some: Sequence[LabelledFile]) -> Problem:
    """A held-out split's folder that has other folders than those of the classes."""
    inner = sorted({one.label for one in some})
    message = (
        f"none of the folders in {shown(top, 60)}/ is a class that is trained on ({_folders(inner)}"
        f"): its {len(some)} file(s), the first of them {shown(some[0].path)}, have no label and "
        f"are left out: put them into folders of those classes, {METADATA}"
    )
    return Problem(code="ambiguous_layout", message=message, path=some[0].path, excluded=True)


def never_held_out(items: Sequence[LabelledFile]) -> list[Problem]:
    """A warning of the one class that no held-out split has, where it has all others: it may be
    what nobody has labelled (`unsup`)."""
    trained = {one.label for one in items if one.split == "train"}
    held = {one.label for one in items if one.split != "train"}
    alone = sorted(trained - held)
    if len(alone) != 1 or len(held & trained) < 2:
        return []
    message = (
        f"{shown(alone[0], 60)!r} is the only class that is in no held-out folder: if it is what "
        "nobody has labelled, it is no class, and is to be left out"
    )
    return [Problem(code="labels_doubtful", message=message)]


def first_folder(labels: Sequence[str], nested: Sequence[str]) -> Problem:
    """A warning that files are labelled by their class folder, whatever folders lie in it."""
    message = (
        f"the folders {_folders(labels)} are the labels of all that lies in them, and "
        f"{_folders(nested)} say nothing more: if those are your classes, lay them on top, "
        f"as in <class>/<file>, {METADATA}"
    )
    return Problem(code="ambiguous_layout", message=message)


def left_out(path: str, error: HeadstartError) -> Problem:
    """A table that is not read, and why."""
    said = f"{shown(path)} is left out: {error.message}"
    return Problem(code=error.code, message=said, path=path, excluded=True)


def trained_on(path: str) -> Problem:
    """A table whose name says no split, beside others whose names do."""
    message = f"{shown(path)}: its name says no split, so its rows are trained on"
    return Problem(code="ambiguous_layout", message=message, path=path)


def no_list(path: str, why: str) -> Problem:
    """A file that is named as lists of labelling tools are, and is none by its content."""
    message = f"{shown(path)} is read as no list of the pictures' labels: {why}"
    return Problem(code="schema_mismatch", message=message, path=path, excluded=True)


def splits_said(splits: Mapping[str, Split], *, where: str = "on top") -> str:
    """How split folders were read."""
    told = ", ".join(f"{shown(name, 60)}/ is {splits[name]}" for name in sorted(splits))
    return f"the folders {where} are read as splits: {told}"


def splits_of_folders(splits: Mapping[str, Split], named: int, rest: int) -> Problem:
    """That files whose rows say no split have that of their folder."""
    told = ", ".join(f"{shown(name, 60)}/ is {splits[name]}" for name in sorted(splits)[:5])
    message = f"{named} file(s) whose rows say no split have that of their folder: {told}"
    message += f"; {rest} in no such folder are trained on" if rest else ""
    message += "; a column split says otherwise"
    return Problem(code="ambiguous_layout", message=message)


def splits_without_classes(splits: Sequence[str]) -> HeadstartError:
    """There are split folders, and nothing in them has a label."""
    return _ambiguous(
        f"{_folders(splits)} (depth 1) read as splits, and no class folder lies in them (depth 2): "
        "put each split's files into class folders, as in train/<class>/<file>, "
        f"rename the folders if they are your classes, {METADATA}",
        splits[0],
    )


def one_split_among_others(splits: Sequence[str], others: Sequence[str]) -> HeadstartError:
    """A folder that reads as a split lies among folders that hold classes or are some."""
    return _ambiguous(
        f"{_folders(splits)} (depth 1) reads as a split, and {_folders(others)} beside it do not: "
        f"put all class folders into split folders, or rename {_folders(splits)} if it is a class, "
        f"{METADATA}",
        splits[0],
    )


def splits_among_folders(tops: Sequence[str], splits: Sequence[str]) -> HeadstartError:
    """Split folders lie below others and hold, or lie beside, folders that may be classes."""
    return _ambiguous(
        f"{_folders(splits)} (depth 2) in {_folders(tops)} (depth 1) read as splits, and folders "
        "that are none lie in them or beside them: upload one of the top folders at a time, lay "
        f"the files as <split>/<class>/<file> or <class>/<split>/<file>, {METADATA}",
        tops[0],
    )


def classes_on_two_levels(tops: Sequence[str], inner: Sequence[str]) -> HeadstartError:
    """Folders of the same names lie in several folders: either may be the classes."""
    return _ambiguous(
        f"{_folders(tops)} hold folders of the same names, {_folders(inner)}: if those are your "
        f"classes, lay them on top, as in <class>/<file>; if {_folders(tops)} are, put the files "
        "straight into them; or add a metadata.csv with the columns path, label and, for the "
        "folder that is neither, group",
        tops[0],
    )


def pictures_and_masks(labels: Sequence[str]) -> HeadstartError:
    """The folders hold pictures and their masks, which are no classes."""
    return _ambiguous(
        f"{_folders(labels)} look like pictures and what was drawn on them, which are no classes: "
        f"put the pictures into class folders, as in <class>/<file>, {METADATA}",
        labels[0],
    )


def drawn_on_others(members: Sequence[FileInTree]) -> list[Problem]:
    """One problem for all pictures that are called as masks of others beside them."""
    if not members:
        return []
    first = members[0].path
    message = (
        f"{len(members)} picture(s) are called as what was drawn on others beside them or in the "
        "dataset, and have a handful of colours, flat areas or no grain, the first of them "
        f"{shown(first)}: masks are no examples of a class, and are left out; if they are, "
        "rename them, or name them in a metadata.csv with the columns path and label"
    )
    return [Problem(code="ambiguous_layout", message=message, path=first, excluded=True)]


def not_drawn(members: Sequence[FileInTree]) -> list[Problem]:
    """One warning of all pictures that are called as masks and are none."""
    if not members:
        return []
    first = members[0].path
    message = (
        f"{len(members)} picture(s) are called as what was drawn on others beside them, the first "
        f"of them {shown(first)}, and have more colours than masks have: they are examples; leave "
        "them out if they are none"
    )
    return [Problem(code="ambiguous_layout", message=message, path=first)]


def looked_through(wrapper: str) -> list[str]:
    """That a folder around everything says nothing."""
    return [f"the folder {shown(wrapper)} around everything is looked through"] if wrapper else []


def classes_named_after_splits(labels: Sequence[str]) -> HeadstartError:
    """Folders that can only be classes are named after splits."""
    return _ambiguous(
        f"the class {'folder' if len(labels) == 1 else 'folders'} {_folders(labels)} would be "
        f"named after a split: lay the files as <split>/<class>/<file>, rename the folder "
        f"if it is a class, {METADATA} (words of splits are {', '.join(SPLITS)})",
        labels[0],
    )


def called_alike(path: str, said: str, both: Sequence[str]) -> HeadstartError:
    """A table or a list has a label for each name, and each is called so in several folders."""
    some = " and ".join(shown(one, 60) for one in both[:2])
    more = f" and {len(both) - 2} more" if both[2:] else ""
    return _ambiguous(
        f"{shown(path)} has a label for {shown(said, 60)!r}, and several pictures are called so: "
        f"{some}{more}: leave out of the archive those that are no examples, or say the folder, "
        f"too, as in {shown(both[0], 60)}",
        path,
    )


def only_held_out(path: str, named: int, pictures: int) -> HeadstartError:
    """A table of what is held out, and nothing that says the classes of what is trained on."""
    return _ambiguous(
        f"{shown(path)} is called as what is held out, and has labels of {named} of {pictures} "
        "pictures, and nothing says those of the others: lay them into class folders, as in "
        "train/<class>/<file>, or name them in a table, too; call the table otherwise if it is to "
        "be trained on",
        path,
    )


def table_read(title: str, named: int, pictures: int) -> str:
    """That a table decides, though it is not called metadata."""
    return (
        f"{title} names {named} of {pictures} pictures and their labels: it is read, "
        "and what the folders are called is not"
    )


def table_agrees(path: str, named: int) -> Problem:
    """A table that says of the pictures what their folders say."""
    message = f"{shown(path)} gives {named} pictures the classes of their folders, which are read"
    return Problem(code="ambiguous_layout", message=message, path=path)


def table_completes(title: str, path: str, named: int) -> Problem:
    """A table that says the classes of pictures that lie in no folder of one."""
    message = f"{title} gives {named} pictures that lie in no class folder their class, one of the "
    return Problem(code="ambiguous_layout", message=f"{message}folders', which is read", path=path)


def facts_read(title: str, path: str, splits: int, groups: int) -> Problem:
    """What a table says beside the folders, of how many pictures."""
    counts = [f"the {what} of {n}" for what, n in (("split", splits), ("group", groups)) if n]
    message = f"{title} says {' and '.join(counts)} picture(s), which is read"
    return Problem(code="ambiguous_layout", message=message, path=path)


def splits_by_names(named: int, rest: int, twice: Sequence[str], other: Sequence[str]) -> Problem:
    """That tables and lists are called by splits, and what they do not say."""
    message = f"the names of tables and lists say the split of {named} picture(s), which is read"
    message = message if named else "the names of tables and lists say splits that are not read"
    message += f"; {rest} of which they say none are trained on" if rest else ""
    if twice:
        message += f"; {len(twice)} are named by several, such as {shown(twice[0], 60)}"
    if other:
        message += (
            f"; {len(other)} are in another split by their folder or a column, such as "
            f"{shown(other[0], 60)}, which holds: a metadata.csv with a column split says otherwise"
        )
    return Problem(code="ambiguous_layout", message=message)


def said_otherwise(path: str, example: str, role: str, said: str, before: str) -> HeadstartError:
    """A table and a folder, or two rows, give a picture different splits or groups."""
    return _ambiguous(
        f"{shown(path)} says of {shown(example)} the {role} {shown(said, 60)!r}, its folder or "
        f"another row {shown(before, 60)!r}: leave one of them out, or call the table that is to "
        "be read metadata.csv",
        path,
    )


def table_unread(path: str, why: str) -> Problem:
    """A table that names pictures, and does not decide their labels."""
    message = f"{shown(path)} names pictures and is not read: {why}"
    return Problem(code="ambiguous_layout", message=message, path=path)


def table_against_folders(path: str, example: str, said: str, folder: str) -> HeadstartError:
    """A table and the folders give pictures different classes."""
    return _ambiguous(
        f"{shown(path)} says of {shown(example)} {shown(said, 60)!r}, its folder "
        f"{shown(folder, 60)!r}: call the table metadata.csv (columns path and label) if it has "
        "the classes, or leave it out if the folders do",
        path,
    )


def table_without_labels(path: str, why: str, hint: str) -> HeadstartError:
    """A table names the pictures, folders do not tell their classes, and nor does the table."""
    said = f"{shown(path)} names the pictures, and no folder tells their classes, but {why}"
    return _ambiguous(f"{said}: {hint}" if hint else said, path)


def tables_disagree(
    path: str, other: str, example: str, labels: Sequence[str] = ()
) -> HeadstartError:
    """Two tables name one picture; `labels` are the columns that may be meant."""
    some = " or ".join(f"label_column={shown(one, 60)}" for one in labels[:5])
    say = f"say which has the labels with {some}, " if labels[1:] else ""
    return _ambiguous(
        f"{shown(path)} and {shown(other)} both name {shown(example)}: {say}leave one of them out, "
        "or call the one to be read metadata.csv",
        path,
    )


def _ambiguous(message: str, folder: str) -> HeadstartError:
    return HeadstartError("ambiguous_layout", message, param=shown(folder))


def _folders(names: Sequence[str]) -> str:
    """Up to five folders by name, the rest counted."""
    return few([f"{shown(name, 60)}/" for name in names])
